"""An action that touches nothing, for workers that count bytes."""

from gostage_core import ActionContext, action


@action
def step(ctx: ActionContext) -> None:
    """Do nothing."""
