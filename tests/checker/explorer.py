"""Walks every order in which the steps of a world may come, and keeps the shortest way to each."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gostage_core.errors import GostageError
from tests.checker.canonical import form_of
from tests.checker.engine import Engine
from tests.checker.moves import Moves
from tests.checker.possible import Possible
from tests.checker.promises import check_nothing_left, check_standing
from tests.checker.standing import Violation

if TYPE_CHECKING:
    from tests.checker.standing import Standing, Step
    from tests.checker.worlds import World

NOTHING_GOES_ON: Final = "a run has not ended, and nothing of it goes on"
NO_WAY_OUT: Final = "no fair way leads from here to an end"


@dataclass
class Walk:
    """What a walk through a world has come to."""

    states: int = 0
    transitions: int = 0
    deepest: int = 0
    """Steps of the longest of the shortest paths."""
    ends: int = 0
    """States in which all has ended, and nothing goes on."""
    seconds: float = 0.0
    violation: Violation | None = None


@dataclass
class _Seen:
    """Each state, by number: its form, how it was come to, and from where it can be come to."""

    number: dict[bytes, int] = field(default_factory=dict)
    came: list[tuple[int, str]] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    fair: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """From what states a fair step leads to this one."""

    def add(self, form: bytes, came_from: int, step: str) -> int:
        self.number[form] = len(self.came)
        self.came.append((came_from, step))
        self.depth.append(self.depth[came_from] + 1 if step else 0)
        return len(self.came) - 1

    def path(self, state: int) -> list[str]:
        steps: list[str] = []
        while self.came[state][1]:
            state, step = self.came[state]
            steps.append(step)
        return steps[::-1]


class Explorer:
    """Walks one world, with so many faults in a path."""

    def __init__(self, world: World, faults: int) -> None:
        self._world = world
        self._engine = Engine()
        self._moves = Moves(self._engine)
        self._possible = Possible(self._engine.state)
        self._seen = _Seen()
        self._todo: deque[tuple[int, Standing]] = deque()
        self._walk = Walk()
        self._at_rest: list[int] = []
        self._first = self._engine.first(world, faults)

    def walk(self) -> Walk:
        """See all states, or as many as there are before something is wrong."""
        began = time.monotonic()
        try:
            self._arrive(self._first, 0, "")
            while self._todo:
                self._go_on(*self._todo.popleft())
            self._check_that_all_ends()
        except Violation as violation:
            self._walk.violation = violation
        self._walk.states = len(self._seen.came)
        self._walk.deepest = max(self._seen.depth)
        self._walk.ends = len(self._at_rest)
        self._walk.seconds = time.monotonic() - began
        return self._walk

    def _go_on(self, state: int, standing: Standing) -> None:
        """Do each step that is possible in a state."""
        self._engine.set_to(standing)
        goes_on = False
        for step in self._possible.steps(standing):
            self._engine.set_to(standing)
            then = self._after(standing, step, state)
            self._walk.transitions += 1
            arrived = self._arrive(then, state, str(step))
            if step.is_fair and arrived != state:
                self._seen.fair[arrived].append(state)
                goes_on = True
        if not goes_on:
            self._rest(state, standing)

    def _after(self, standing: Standing, step: Step, state: int) -> Standing:
        try:
            return self._moves.after(standing, step)
        except Violation as violation:
            raise self._told(violation, state, str(step)) from None
        except GostageError as error:
            raise self._told(Violation(repr(error)), state, str(step)) from error

    def _arrive(self, standing: Standing, came_from: int, step: str) -> int:
        """Return the number of the state; one that is new is checked."""
        self._engine.set_to(standing)
        form = form_of(standing, self._engine.server)
        known = self._seen.number.get(form)
        if known is not None:
            return known
        state = self._seen.add(form, came_from, step)
        try:
            check_standing(self._engine, self._world)
        except Violation as violation:
            raise self._told(violation, state) from None
        self._todo.append((state, standing))
        return state

    def _rest(self, state: int, standing: Standing) -> None:
        """Check a state in which nothing goes on by itself any more."""
        self._engine.set_to(standing)
        try:
            if not check_standing(self._engine, self._world):
                raise Violation(NOTHING_GOES_ON)
            if books := self._engine.state.working():
                raise Violation(f"all has ended, and processes have claims: {books}")
            check_nothing_left(self._engine, self._world)
        except Violation as violation:
            raise self._told(violation, state) from None
        self._at_rest.append(state)

    def _check_that_all_ends(self) -> None:
        """Check that fair steps alone lead from each state to one at rest."""
        found, todo = set(self._at_rest), list(self._at_rest)
        while todo:
            for before in self._seen.fair[todo.pop()]:
                if before not in found:
                    found.add(before)
                    todo.append(before)
        for state in range(len(self._seen.came)):
            if state not in found:
                raise self._told(Violation(NO_WAY_OUT), state)

    def _told(self, violation: Violation, state: int, *more: str) -> Violation:
        violation.path = [*self._seen.path(state), *more]
        return violation
