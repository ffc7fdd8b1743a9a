"""Lets one thing happen to a run, at one point of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gostage_core.attempt import Moment
from gostage_core.errors import TrialError
from gostage_core.testing.crashes.mishaps import Mishap
from gostage_core.testing.crashes.places import place_of
from gostage_core.testing.crashes.requests import request_of
from gostage_core.testing.engine.crew import Watch
from gostage_core.testing.memory import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core.testing.crashes.places import Place
    from gostage_core.testing.crashes.survey import Point
    from gostage_core.testing.engine.crew import Worker
    from gostage_core.testing.engine.post import Hint
    from gostage_core.testing.engine.world import World
    from gostage_core.testing.memory.faults import Words

_FROZEN_LEASES: Final = 3
"""How long a worker stands still, in leases: others have noticed by then, and done its work."""
_DELIVERIES: Final = {Mishap.LOST_MESSAGE: 0, Mishap.TWICE: 2}
_FAULTS: Final = {
    Mishap.LOST_REQUEST: Fault.LOST,
    Mishap.LOST_ANSWER: Fault.UNANSWERED,
    Mishap.AWAY: Fault.LOST,
}


class Disturbance(Watch):
    """Lets *mishap* happen at *point*, once."""

    def __init__(self, world: World, root: str, point: Point, mishap: Mishap) -> None:
        """Disturb the run *root* in *world*."""
        self._world = world
        self._root = root
        self._point = point
        self._mishap = mishap
        self._count = 0
        self._place: Place
        self._met: Sequence[Words] | None = None
        self._meanwhile: Hint | None = None
        self._has_happened = False
        self._found = "it has not come so far"

    def check(self) -> None:
        """See that it has happened.

        Raises:
            TrialError: the run has gone another way than the one to which nothing happened.
        """
        if not self._has_happened:
            raise TrialError(
                f"the run has gone another way than when nothing happened to it, so that this "
                f"could not happen: {self._found}. Have everything that it depends on (fakes, "
                f"time, chance, the order of sets) be the same at the beginning of each run"
            )

    def deliveries(self, hint: Hint) -> int:
        """Let the message be lost, or come twice, if it is the one."""
        self._place = place_of(self._world.state, hint, self._root)
        if not self._point.is_message or not self._is_met(self._place.name):
            return 1
        if self._mishap is Mishap.MEANWHILE:
            self._meanwhile = hint
            return 1
        self._has_happened = True
        return _DELIVERIES[self._mishap]

    def reached(self, worker: Worker, moment: Moment) -> None:
        """Deliver the message to another worker, in the midst of the attempt that it has led to."""
        hint = self._meanwhile
        if hint is not None and moment is Moment.CLAIMED:
            self._meanwhile = None
            self._has_happened = True
            self._world.hand_over(hint)

    def before(self, worker: Worker, request: Sequence[Words]) -> Fault | None:
        """Let happen what happens before a request is carried out, or in place of that."""
        if worker.is_dead:
            worker.die()
        if request is self._met:  # sent again: the connection broke
            return Fault.LOST if self._mishap is Mishap.AWAY else None
        name = request_of(request, self._place.name).name
        if self._point.is_message or not self._is_met(name):
            return None
        self._met = request
        self._has_happened = True
        return self._strike(worker)

    def after(self, worker: Worker, request: Sequence[Words]) -> None:
        """Let happen what happens when a request was carried out."""
        if request is not self._met:
            return
        self._met = None
        if self._mishap is Mishap.DIES_AFTER:
            worker.die()
        elif self._mishap is Mishap.FREEZES_AFTER:
            self._freeze(worker)

    def _strike(self, worker: Worker) -> Fault | None:
        if self._mishap is Mishap.DIES_BEFORE:
            worker.die()
        elif self._mishap is Mishap.FREEZES_BEFORE:
            self._freeze(worker)
        return _FAULTS.get(self._mishap)

    def _freeze(self, worker: Worker) -> None:
        self._world.freeze(worker, _FROZEN_LEASES * self._world.state.settings.lease)

    def _is_met(self, name: str) -> bool:
        """Count one more, and tell whether it is the point."""
        self._count += 1
        if self._count != self._point.number:
            return False
        if name != self._point.name:
            self._found = f"it came to {name} in the place of {self._point.name}"
        return name == self._point.name
