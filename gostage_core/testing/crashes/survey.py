"""Watches a run to which nothing happens, and notes where something could."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gostage_core.attempt import Moment
from gostage_core.testing.crashes.mishaps import of_message, of_request
from gostage_core.testing.crashes.places import place_of
from gostage_core.testing.crashes.requests import request_of
from gostage_core.testing.engine.crew import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.state.operations import State
    from gostage_core.testing.crashes.mishaps import Mishap
    from gostage_core.testing.crashes.places import Place
    from gostage_core.testing.engine.crew import Worker
    from gostage_core.testing.engine.post import Hint
    from gostage_core.testing.memory.faults import Words


@dataclass(slots=True)
class Point:
    """Something at which something may happen: a message, or a request to the server.

    Attributes:
        number: Of all messages, or of all requests, from 1.
        name: What it is.
        path: Of the action that it belongs to.
        is_message: Whether it is one.
        counts: Whether the request writes, or the message leads to work.
    """

    number: int
    name: str
    path: str
    is_message: bool
    counts: bool = False

    def mishaps(self) -> Iterator[Mishap]:
        """Return what may happen at it."""
        if self.is_message:
            return of_message(leads_to_work=self.counts)
        return of_request(writes=self.counts)


class Survey(Watch):
    """Notes every message and every request of the workers, in order."""

    def __init__(self, state: State, root: str) -> None:
        """Watch the run *root*, and what is below it."""
        self.points: list[Point] = []
        self._state = state
        self._root = root
        self._messages = 0
        self._requests = 0
        self._message: Point
        self._place: Place

    def deliveries(self, hint: Hint) -> int:
        """Note a message."""
        self._messages += 1
        self._place = place_of(self._state, hint, self._root)
        self._message = Point(self._messages, self._place.name, self._place.path, is_message=True)
        self.points.append(self._message)
        return 1

    def before(self, worker: Worker, request: Sequence[Words]) -> None:
        """Note a request."""
        self._requests += 1
        name, writes = request_of(request, self._place.name)
        self.points.append(
            Point(self._requests, name, self._place.path, is_message=False, counts=writes)
        )

    def reached(self, worker: Worker, moment: Moment) -> None:
        """Note that the message has led to an attempt."""
        if moment is Moment.CLAIMED:
            self._message.counts = True
