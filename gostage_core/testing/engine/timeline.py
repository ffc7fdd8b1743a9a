"""When what falls due, by the indexes that the rescuer looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.scheduling.plan import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gostage_core.state.operations import State

_OF_RUNS: Final = ("wake", "sent", "refill", "schedules")
"""What has runs go on."""
_RECOVERING: Final = "sent"
"""Actions whose message is out: of these, where none is, the message was lost."""


class Timeline:
    """What is to come in one namespace. Moments are milliseconds since 1970."""

    def __init__(self, state: State, living: Callable[[], list[str]]) -> None:
        """Look at *state*, where the leases of *living* workers never end."""
        self._client: Any = state.client
        self._key = state.keys.of
        self._state = state
        self._living = living

    def next(self) -> int | None:
        """Return when something falls due that has a run go on."""
        return _earliest((*map(self._first, _OF_RUNS), self._next_death()))

    def next_of_all(self) -> int | None:
        """Return when anything falls due: also that a run is forgotten."""
        return _earliest((self.next(), self._first("expiry")))

    def next_recovery(self) -> int | None:
        """Return when something is taken up again that a dead worker or a lost message holds up."""
        return _earliest((self._first(_RECOVERING), self._next_death()))

    def has_timer_of(self, run_id: str) -> bool:
        """Tell whether a timer of the run, or of a run below it, is set."""
        members = self._client.zrange(self._key("wake"), 0, -1)
        return any(is_of(run_id, member.decode().partition(" ")[0]) for member in members)

    def _first(self, index: str) -> int | None:
        found = self._client.zrange(self._key(index), 0, 0, withscores=True)
        return int(found[0][1]) if found and found[0][1] < NEVER else None

    def _next_death(self) -> int | None:
        """Return when the lease of a worker ends that renews none any more, and holds something."""
        found = self._client.zrange(self._key("alive"), 0, -1, withscores=True)
        living = self._living()
        return _earliest(
            int(until)
            for name, until in found
            if name.decode() not in living and self._state.claims_of(name.decode())
        )


def is_of(run_id: str, other: str) -> bool:
    """Tell whether the *other* run is this one, or a run below it."""
    return other == run_id or other.startswith(f"{run_id}.")


def _earliest(moments: Iterable[int | None]) -> int | None:
    return min(cast("Iterator[int]", filter(lambda one: one is not None, moments)), default=None)
