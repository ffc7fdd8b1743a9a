"""Submits the runs of schedules that are due. Every worker does; of each time there is one run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from gostage_core.errors import ScheduleNotFoundError
from gostage_core.scheduling.plan import Stored
from gostage_core.tracing.current import carrier

if TYPE_CHECKING:
    from gostage_core.state.answers import Answer, Next
    from gostage_core.state.operations import State


class Send(Protocol):
    """What sends the messages of what became ready."""

    def __call__(self, run_id: str, following: Next) -> None:
        """Publish what a run goes on with."""


class Firing:
    """Submits what is due, for one namespace."""

    def __init__(self, state: State, send: Send) -> None:
        self._state = state
        self._send = send

    def fire(self, name: str) -> None:
        """Submit what a schedule is due for now, if anything. Safe to repeat, by any number.

        Raises:
            SealedValueError: this process does not have its key; one that has it will submit it.
        """
        fields = self._state.scheduled(name, must=True)
        if not fields:
            self._state.adjust(name, "remove", "{}")  # the index alone knew of it
            return
        stored = Stored.read(name, fields)
        if stored.queued is not None:
            self._submit(stored, stored.queued, due=stored.due, queued=True)
        occurrence = stored.occurrence(self._state.server_ms())
        if occurrence is not None:
            overlap = "none" if occurrence.is_left_out else stored.policy.overlap
            self._submit(
                stored,
                occurrence.at,
                due=stored.due,
                following=occurrence.following,
                passed=occurrence.passed,
                overlap=overlap,
            )

    def _submit(
        self,
        stored: Stored,
        at: int,
        *,
        due: int,
        following: int = 0,
        passed: int = 0,
        overlap: str = "allow",
        queued: bool = False,
    ) -> None:
        run_id = scheduled_run_id(stored.name, at)
        actor = f"schedule {stored.name}"
        answer = self._state.fire(
            run_id,
            stored.name,
            due=due,
            at=at,
            following=following,
            passed=passed,
            overlap=overlap,
            why=json.dumps({"actor": actor, "reason": "the next run is due"}),
            queued=queued,
            run=stored.new_run(
                run_id, f"{actor} {at}", self._state.settings.bounds, {"actor": actor}
            ).arguments(),
        )
        self._send(run_id, answer.next)


def trigger(state: State, stored: Stored, *, reason: str, actor: str) -> tuple[str, Answer]:
    """Submit a run of a schedule now, whatever its times and its last run.

    Raises:
        ScheduleNotFoundError: it was removed meanwhile.
    """
    run_id = f"{scheduled_run_id(stored.name, state.server_ms())}-{state.machine.token(3)}"
    details = {"actor": actor, "reason": reason}
    run = replace(
        stored.new_run(run_id, state.machine.token(), state.settings.bounds, details),
        trace=carrier(),
    )
    answer = state.fire(run_id, stored.name, due=None, run=run.arguments())
    if answer.word == "gone":
        raise ScheduleNotFoundError(stored.name)
    return run_id, answer


def scheduled_run_id(name: str, at: int) -> str:
    """Return the id of the run of a schedule for one time: the same, whoever submits it."""
    return f"{name}-{datetime.fromtimestamp(at / 1000, UTC):%Y%m%dT%H%M%SZ}"
