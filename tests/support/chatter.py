"""Actions that log, and what they call too. Imported by workers."""

from __future__ import annotations

import logging

from gostage_core import ActionContext, Stage, Workflow, action


@action
def talk(ctx: ActionContext) -> None:
    """Log by the context, and by a library."""
    ctx.log.info("first\nsecond")
    logging.getLogger("library").warning("within")


@action(isolation="process")
def talk_apart(ctx: ActionContext) -> None:
    """Do so in a process of its own, and print."""
    talk(ctx)
    print("printed")


@action
def refuse(ctx: ActionContext) -> None:
    """Log an exception."""
    try:
        raise LookupError("no such account")
    except LookupError:
        ctx.log.exception("refused")


chat = Workflow("chat")
chat.add_stage(Stage("s", [talk.s(), refuse.s(), talk_apart.s()]))
