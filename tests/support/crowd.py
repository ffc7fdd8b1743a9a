"""An action that leaves its mark in every way that siblings may, for tests of joins."""

from gostage_core import ActionContext, action


@action
def member(ctx: ActionContext, number: int) -> None:
    """Count, and append a number."""
    ctx.store.increment("count")
    ctx.store.append("numbers", number)


@action
def join(ctx: ActionContext) -> None:
    """Note what had been done when the join was over."""
    ctx.store.put("joined", ctx.store.get("count", int))
