"""Workflows that are links of a canvas, or come from elsewhere, and their actions."""

from __future__ import annotations

from typing import Any

from gostage_core import ActionContext, Stage, Workflow, action


@action("links.triple", store_as="output")
def triple(ctx: ActionContext) -> int:
    """Multiply what the run was given."""
    return 3 * ctx.store.get("input", int, default=1)


@action("links.refuse")
def refuse(ctx: ActionContext, word: str = "no") -> None:
    """Fail."""
    raise LookupError(word)


@action("links.leave")
def leave(ctx: ActionContext) -> None:
    """End the run early."""
    ctx.store["output"] = "early"
    ctx.bail("enough")


@action("links.odd", store_as="output")
def odd(ctx: ActionContext) -> Any:
    """Leave what no message can carry."""
    return {1, 2}


def workflow(*actions: Any) -> Workflow:
    """Return a workflow of one stage."""
    made = Workflow("link")
    made.add_stage(Stage("s", actions))
    return made
