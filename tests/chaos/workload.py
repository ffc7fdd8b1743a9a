"""What a storm has to do: runs of ten actions each, in five shapes, that leave a trace.

Imported by the workers. What comes one after another reads what is there and writes it back, longer
by itself: an update that is lost, done twice or out of order shows in the end. What goes side by
side appends instead. All of them count.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from gostage_core import Action, ActionContext, Retry, Stage, Throttle, Workflow
from tests.chaos import witness

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIONS: Final = 10
"""Of each run, those that are added on the way among them."""

WAITS: Final = "held"
"""The workflow whose runs wait for the signal :data:`GO`."""
GO: Final = "go"

_SHORT_SECONDS: Final = 0.04
_LONG_SECONDS: Final = 1.0
_LONG_PART: Final = 0.01
"""So many take longer: long enough for one that was thought dead to come back meanwhile."""


class FirstTryError(Exception):
    """What an action raises that is to be tried again."""


class Step(Action):
    """One action of a storm."""

    beside: bool = False
    """Whether others write to the store meanwhile."""
    fails: bool = False
    """Whether its first try is to fail."""
    adds: int = 0
    """How many actions it adds right after itself."""
    adds_beside: int = 0
    """How many actions side by side a stage has that it adds."""
    waits: bool = False
    """Whether it waits for a signal, and keeps what one call returns."""

    def execute(self, ctx: ActionContext) -> None:
        """Leave a mark, take a little while, add what is to be added."""
        if self.waits:
            ctx.wait_for(GO)
            first = ctx.once("attempt", lambda: ctx.attempt)
            assert first == ctx.once("attempt", lambda: ctx.attempt) <= ctx.attempt
        mark = f"{ctx.idempotency_key.rpartition(':')[2]}:{ctx.attempt}"
        witness.tell("body", ctx.run_id, mark)
        ctx.store.increment("count")
        if self.beside:
            ctx.store.append("marks", mark)
        else:
            ctx.store["trace"] = [*ctx.store.get("trace", list[str], default=[]), mark]
        if self.adds:
            ctx.add_action(*(Step() for _ in range(self.adds)))
        if self.adds_beside:
            ctx.add_stage(_side_by_side("added", self.adds_beside))
        longest = _LONG_SECONDS if random.random() < _LONG_PART else _SHORT_SECONDS
        time.sleep(random.uniform(0, longest))
        if self.fails and ctx.attempt == 1:
            raise FirstTryError


def row() -> Workflow:
    """Ten one after another."""
    return _workflow("row", Stage("row", [Step() for _ in range(ACTIONS)]))


def fan() -> Workflow:
    """Nine side by side, and one when all have ended."""
    return _workflow("fan", _side_by_side("fan", ACTIONS - 1), Stage("join", [Step()]))


def tried_again() -> Workflow:
    """Ten one after another, three of which fail at first."""
    retry = Retry(max_attempts=5, delay=0.05)
    steps = [Step(fails=n % 4 == 1).options(retry=retry) for n in range(ACTIONS)]
    return _workflow("tried_again", Stage("row", steps))


def grown() -> Workflow:
    """Four in the plan, which add two behind one of them and a stage of four, one after another."""
    steps = [Step(adds=2), Step(), Step(adds_beside=4), Step()]
    return _workflow("grown", Stage("row", steps))


def held() -> Workflow:
    """Nine of which three go on at a time over all runs, and one that waits for a signal."""
    throttle = Throttle("storm", concurrency=3)
    steps = [Step(beside=True).options(throttle=throttle) for _ in range(ACTIONS - 1)]
    return _workflow(WAITS, Stage("held", steps, parallel=True), Stage("go", [Step(waits=True)]))


SHAPES: Final[tuple[Callable[[], Workflow], ...]] = (row, fan, tried_again, grown, held)


def _side_by_side(name: str, count: int) -> Stage:
    return Stage(name, [Step(beside=True) for _ in range(count)], parallel=True)


def _workflow(name: str, *stages: Stage) -> Workflow:
    made = Workflow(name)
    for stage in stages:
        made.add_stage(stage)
    return made
