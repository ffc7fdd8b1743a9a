"""The worlds that are walked: small plans, each about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gostage_core import (
    Action,
    ActionContext,
    NoRetry,
    Retry,
    RunWorkflow,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
)

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS: Final = "checker.Count"


class Count(Action, id=COUNTS):
    """Counts itself."""

    fails: int = 0
    """Attempts that fail, the first ones."""

    def execute(self, ctx: ActionContext) -> None:
        """Leave one trace for each time that it is committed."""
        ctx.store.increment(f"n.{ctx._entry}")
        if ctx.attempt <= self.fails:
            raise ValueError("as it was told")


class Undo(Action, id="checker.Undo"):
    """Undoes a count."""

    def execute(self, ctx: ActionContext) -> None:
        """Leave one trace for each time that it is committed."""
        ctx.store.increment("undone")


class Break(Action, id="checker.Break"):
    """Fails for good."""

    def execute(self, ctx: ActionContext) -> None:
        """Fail."""
        raise NoRetry("as it was told")


def _workflow(*stages: Stage, throttle: Throttle | None = None) -> Workflow:
    workflow = Workflow("small", throttle=throttle)
    for stage in stages:
        workflow.add_stage(stage)
    return workflow


@dataclass(frozen=True)
class World:
    """What there is at first, what operators may do, and how runs may end."""

    about: str
    plan: Callable[[], Workflow]
    runs: int = 1
    deeds: tuple[str, ...] = ()
    """Of operators, each once, at any time: the signal, pause, cancel, retry or deletion of
    the first run."""
    ends: tuple[str, ...] = ("completed",)
    faults: int = 1
    """In one path, by default."""


def _sequence() -> Workflow:
    return _workflow(Stage("s", [Count(), Count(), Count()]))


def _pair() -> Workflow:
    return _workflow(Stage("s", [Count(), Count()]))


def _join() -> Workflow:
    return _workflow(Stage("s", [Count(), Count()], parallel=True), Stage("t", [Count()]))


def _wait() -> Workflow:
    wait = WaitForSignal("go", str, timeout=60, default="nobody")
    return _workflow(Stage("s", [wait, Count()]))


def _throttled() -> Workflow:
    narrow = Throttle(key="narrow", concurrency=1)
    return _workflow(Stage("s", [Count().options(throttle=narrow)]))


def _throttled_run() -> Workflow:
    return _workflow(Stage("s", [Count()]), throttle=Throttle(key="narrow", concurrency=1))


def _tried_again() -> Workflow:
    stumbles = Count(fails=1).options(retry=Retry(max_attempts=5, delay=1))
    return _workflow(Stage("s", [stumbles, Count()]))


def _undone() -> Workflow:
    first = [Count().options(name=name, compensate=Undo()) for name in ("a", "b")]
    return _workflow(Stage("s", [*first, Break()]))


def _undone_if_cancelled() -> Workflow:
    return _workflow(Stage("s", [Count().options(compensate=Undo()), Count()]))


def _opened_again() -> Workflow:
    return _workflow(Stage("s", [Count(), Count(fails=1)]))


def _child() -> Workflow:
    child = Workflow("child")
    child.add_stage(Stage("c", [Count()]))
    return _workflow(Stage("s", [RunWorkflow(child), Count()]))


def _timed() -> Workflow:
    slow = Count().options(timeout=10, retry=Retry(max_attempts=2, delay=0))
    return _workflow(Stage("s", [slow, Count()]))


WORLDS: Final = {
    "sequence": World("three actions, one after another", _sequence),
    "join": World("two side by side, and one behind both", _join),
    "signal": World("a wait for a signal, with a timeout", _wait, deeds=("signal",)),
    "throttle": World("two runs, and a throttle for one action at a time", _throttled, runs=2),
    "turns": World("a throttle for one run at a time, of two", _throttled_run, runs=2),
    "retry": World("an action that fails at first, and one behind it", _tried_again),
    "undo": World("two that are undone when the third fails", _undone, ends=("failed",)),
    "pause": World("two actions; the run is paused, and resumed", _pair, deeds=("pause",)),
    "cancel": World(
        "two actions, one to be undone; the run is cancelled",
        _undone_if_cancelled,
        deeds=("cancel",),
        ends=("completed", "cancelled"),
    ),
    "delete": World("two actions; the run is deleted", _pair, deeds=("delete",)),
    "hold": World(
        "a wait for a signal; the run is signalled, paused and resumed",
        _wait,
        deeds=("pause", "signal"),
    ),
    "give-up": World(
        "a wait for a signal; the run is signalled, and cancelled",
        _wait,
        deeds=("cancel", "signal"),
        ends=("completed", "cancelled"),
    ),
    "reopen": World(
        "two actions, of which the second fails at first; the run is retried",
        _opened_again,
        deeds=("retry",),
        ends=("completed", "failed"),
    ),
    "child": World("a run in a run, and an action behind it", _child),
    "child-hold": World("a run in a run, paused and resumed", _child, deeds=("pause",)),
    "child-give-up": World(
        "a run in a run, cancelled", _child, deeds=("cancel",), ends=("completed", "cancelled")
    ),
    "timeout": World(
        "an action that may take too long, twice, and one behind it",
        _timed,
        ends=("completed", "failed"),
    ),
}
"""By name."""
