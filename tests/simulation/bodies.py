"""The actions of stories: real ones, whose bodies do what a deed says in the world that is now."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Protocol

from gostage_core import (
    Action,
    ActionContext,
    HookContext,
    Middleware,
    NoRetry,
    ScopeOutcome,
    condition,
)
from gostage_core.errors import PlanError
from tests.simulation.stories import Deed, Hook

if TYPE_CHECKING:
    from random import Random

_SLICE = 0.5
"""How often a body asks whether it is to go on, in seconds."""


class Stage(Protocol):
    """What bodies need of the world around them."""

    chance: Random

    def seen(self, kind: str, ctx: ActionContext, what: object = None) -> None:
        """Take note of what a body does, or what it was told."""

    def pass_time(self, seconds: float) -> None:
        """Let others go on for so long."""

    def unique(self) -> int:
        """Return a number that was never returned before."""

    def additions(self, deed: Deed, ctx: ActionContext) -> None:
        """Change the plan as the deed says."""


class Act(Action, id="simulation.Act"):
    """Leaves its traces, and does what its deed says."""

    deed: Deed

    now: ClassVar[list[Stage]] = []
    """In which world bodies are executed: the last."""

    def execute(self, ctx: ActionContext) -> str:
        """Do all of it in the same order, whatever becomes of the attempt."""
        deed, stage = self.deed, Act.now[-1]
        stage.seen("body", ctx)
        for name in deed.waits:
            stage.seen("signal", ctx, ctx.wait_for(name, str))
        if deed.once:
            stage.seen("once", ctx, ctx.once("what", stage.unique))
        if deed.checkpoint:
            ctx.store.increment(f"kept.{ctx._entry}")
            ctx.checkpoint()
        self._leave_traces(ctx)
        if deed.says:
            ctx.send("note", path_of(ctx))
        self._take_time(ctx, stage)
        if fails_so_far(ctx) < deed.fails:
            raise NoRetry("for good") if deed.fails > deed.tries else ValueError("as told")
        stage.additions(deed, ctx)
        if deed.bails:
            ctx.bail("as told")
        return path_of(ctx)

    def _leave_traces(self, ctx: ActionContext) -> None:
        store = ctx.store
        store.append("log", path_of(ctx))
        store.increment("count")
        store["last"] = token_of(ctx)
        if self.deed.counts:
            store["seq"] = store.get("seq", int, default=0) + 1

    def _take_time(self, ctx: ActionContext, stage: Stage) -> None:
        left = self.deed.seconds
        while left > 0:
            stage.pass_time(min(left, _SLICE))
            left -= _SLICE
            if self.deed.heeds and ctx.cancelled:
                raise RuntimeError("told to end")


class Undo(Action, id="simulation.Undo"):
    """Undoes an act."""

    name: str
    fails: bool = False

    def execute(self, ctx: ActionContext) -> None:
        """Note whose turn it was."""
        Act.now[-1].seen("body", ctx)
        ctx.store.append("undone", self.name)
        if self.fails and fails_so_far(ctx) == 0:
            raise NoRetry("cannot be undone")


class Watch(Middleware):
    """Has hooks that do what they were told."""

    before: Hook = ""
    after: Hook = ""

    def before_stage(self, ctx: HookContext) -> None:
        """Fail, or have the stage skipped, or do nothing."""
        if self.before == "skip":
            ctx.skip("told")
        self._enter()

    def before_run(self, ctx: HookContext) -> None:
        """Fail, or do nothing."""
        self._enter()

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Fail, or recover, or do nothing."""
        self._leave(outcome)

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Fail, or recover, or do nothing."""
        self._leave(outcome)

    def _enter(self) -> None:
        Act.now[-1].pass_time(0)
        if self.before == "fail":
            raise ValueError("told to fail before")

    def _leave(self, outcome: ScopeOutcome) -> None:
        Act.now[-1].pass_time(0)
        if self.after == "fail":
            raise ValueError("told to fail behind")
        if self.after == "recover" and outcome.status == "failed":
            outcome.recover()


@condition("simulation.holds")
def holds(ctx: ActionContext, does: bool) -> bool:
    """Hold where the plan says so."""
    return does


def meddle(ctx: ActionContext, chance: Random, fresh: list[Action]) -> None:
    """Change the plan from within, as chance has it; *fresh* are actions to add."""
    match chance.randrange(6):
        case 0:
            ctx.add_action(*fresh)
        case 1 | 2:
            stage = ctx.stages[chance.choice(ctx.stages.ids)]
            chance.choice([stage.disable, stage.enable, stage.remove])()
        case 3 | 4:
            named = ctx.actions[chance.choice(list(ctx.actions.names))]
            chance.choice([named.disable, named.enable, named.remove])()
        case _:
            with suppress(PlanError):
                ctx.stages[chance.choice(ctx.stages.ids)].add(*fresh)


def path_of(ctx: ActionContext) -> str:
    """Return where an action stands in its plan."""
    return ctx._port.entry.path  # type: ignore[attr-defined,no-any-return]


def token_of(ctx: ActionContext) -> str:
    """Return the token of an attempt."""
    return ctx._port.claim.token  # type: ignore[attr-defined,no-any-return]


def fails_so_far(ctx: ActionContext) -> int:
    """Return how many tries of an entry have failed, as its record says."""
    return ctx._port.claim.fails  # type: ignore[attr-defined,no-any-return]
