"""Small actions that note what they do in the store, for :func:`tests.support.watched.done`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core import ActionContext, Middleware, action

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core import HookContext, ScopeOutcome

HOOKS: dict[str, Callable[[], object]] = {}
"""What :func:`meanwhile` does, under ``"now"``: a test sets it."""


@action
def note(ctx: ActionContext) -> str:
    ctx.store.append("done", ctx.action.name)
    return ctx.action.name


@action
def undo(ctx: ActionContext) -> None:
    ctx.store.append("done", "undo")


@action
def fails(ctx: ActionContext) -> None:
    raise ValueError("as it was told")


@action
def meanwhile(ctx: ActionContext) -> None:
    """Let the test do something while this runs."""
    HOOKS["now"]()
    ctx.store.append("done", ctx.action.name)


class After(Middleware):
    """Notes how its stage went."""

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        ctx.store.append("done", f"after {outcome.status}")


class Recovers(Middleware):
    """Has its stage go on after a failure."""

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        if outcome.status == "failed":
            outcome.recover()
