"""The handle of one schedule: how it stands, and what operators do with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from gostage_core.errors import ScheduleNotFoundError
from gostage_core.moments import moment
from gostage_core.scheduling.firing import trigger
from gostage_core.scheduling.plan import NEVER, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from gostage_core.run import Run
    from gostage_core.scheduling.plan import CatchUp, Overlap
    from gostage_core.state.answers import Answer
    from gostage_core.state.operations import State

OPERATOR: Final = "operator"


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """How a schedule stands."""

    name: str
    workflow: str
    timing: str
    """When it is due, for people."""
    overlap: Overlap
    catch_up: CatchUp
    next_at: datetime | None
    """When it is due next; ``None`` while it is paused, and when it never is again."""
    paused_by: str = ""
    """Who has paused it; empty while it is not."""
    paused_reason: str = ""
    last_run_id: str = ""
    last_at: datetime | None = None
    """When its last run was submitted."""
    fired: int = 0
    """How many runs it has submitted."""
    skipped: int = 0
    """How many times were left out, for the last run was going on."""
    missed: int = 0
    """How many times were left out, for no worker was there."""


class Schedule:
    """One schedule. Holds no state of its own: each answer is read when it is asked for.

    Raises (every method):
        ScheduleNotFoundError: there is none of this name any more.
        CorruptScheduleError: it cannot be read; it can be removed, and replaced.
        StoreUnavailableError: the server does not answer.
    """

    def __init__(self, state: State, name: str, submitted: Callable[[str, Answer], Run]) -> None:
        self.name = name
        self._state = state
        self._submitted = submitted

    def __repr__(self) -> str:
        return f"Schedule({self.name!r})"

    @property
    def info(self) -> ScheduleInfo:
        """How it stands."""
        return _info(self._read())

    def next_times(self, count: int = 5) -> list[datetime]:
        """Return the next times that it is due, from the server's time on, paused or not."""
        stored, now = self._read(), self._state.server_ms()
        found = (moment(at) for at in islice(stored.timing.times(now), count))
        return [at for at in found if at is not None]

    def pause(self, reason: str = "", *, actor: str = OPERATOR) -> None:
        """Submit no more runs until it is resumed. Times that pass meanwhile are not caught up."""
        self._adjust("pause", {"actor": actor, "reason": reason})

    def resume(self, *, actor: str = OPERATOR) -> None:
        """Go on, from the next time on. One that is not paused stays as it is."""
        due = self._read().following(self._state.server_ms())
        self._adjust("resume", {"actor": actor}, due)

    def remove(self, *, actor: str = OPERATOR) -> None:
        """Forget it; its runs stay."""
        self._adjust("remove", {"actor": actor})

    def trigger(self, reason: str = "", *, actor: str = OPERATOR) -> Run:
        """Submit a run now, whatever its times and its last run; return the run."""
        stored = read_schedule(self._state, self.name, must=True)
        return self._submitted(*trigger(self._state, stored, reason=reason, actor=actor))

    def _read(self) -> Stored:
        return read_schedule(self._state, self.name)

    def _adjust(self, how: str, details: Mapping[str, str], due: int = 0) -> None:
        if self._state.adjust(self.name, how, json.dumps(details), due) == "gone":
            raise ScheduleNotFoundError(self.name)


def read_schedule(state: State, name: str, *, must: bool = False) -> Stored:
    """Read a schedule; what of it cannot be read here is left out, unless it *must* be there.

    Raises:
        ScheduleNotFoundError: there is none of this name.
        CorruptScheduleError: it is none of ours.
        SealedValueError: something of it must be there, and its key is not.
    """
    fields = state.scheduled(name, must=must)
    if not fields:
        raise ScheduleNotFoundError(name)
    return Stored.read(name, fields)


def _info(stored: Stored) -> ScheduleInfo:
    paused = stored.paused or {}
    is_due = stored.paused is None and stored.due < NEVER
    return ScheduleInfo(
        name=stored.name,
        workflow=stored.definition.id,
        timing=stored.timing.text,
        overlap=stored.policy.overlap,
        catch_up=stored.policy.catch_up,
        next_at=moment(stored.due) if is_due else None,
        paused_by=paused.get("actor", ""),
        paused_reason=paused.get("reason", ""),
        last_run_id=stored.last,
        last_at=moment(stored.fired_at),
        fired=stored.fired,
        skipped=stored.skipped,
        missed=stored.missed,
    )
