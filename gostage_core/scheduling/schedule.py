"""The handle of one schedule, and how schedules are made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from gostage_core.authoring.definition_fields import LONGEST_ID
from gostage_core.authoring.problems import listing, problem_lines
from gostage_core.errors import (
    InvalidScheduleError,
    ScheduleExistsError,
    ScheduleNotFoundError,
)
from gostage_core.moments import moment
from gostage_core.scheduling.firing import trigger
from gostage_core.scheduling.plan import NEVER, Options, Policy, Stored, following
from gostage_core.scheduling.timing import Timing
from gostage_core.state.keys import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from gostage_core.authoring.definition import WorkflowDefinition
    from gostage_core.scheduling.plan import CatchUp, Overlap
    from gostage_core.state.answers import Answer
    from gostage_core.state.operations import State

_LONGEST_NAME: Final = 100
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
        StoreUnavailableError: the server does not answer.
    """

    def __init__(self, state: State, name: str, submitted: Callable[[str, Answer], Any]) -> None:
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

    def trigger(self, reason: str = "", *, actor: str = OPERATOR) -> Any:
        """Submit a run now, whatever its times and its last run; return the run."""
        return self._submitted(*trigger(self._state, self._read(), reason=reason, actor=actor))

    def _read(self) -> Stored:
        fields = self._state.scheduled(self.name)
        if not fields:
            raise ScheduleNotFoundError(self.name)
        return Stored.read(self.name, fields)

    def _adjust(self, how: str, details: Mapping[str, str], due: int = 0) -> None:
        if self._state.adjust(self.name, how, json.dumps(details), due) == "gone":
            raise ScheduleNotFoundError(self.name)


def make_schedule(
    state: State,
    name: str,
    definition: WorkflowDefinition,
    *,
    timing: Mapping[str, Any],
    policy: Mapping[str, Any],
    values: Mapping[str, bytes],
    tags: Iterable[str],
    deadline: Any,
    concurrency_key: str,
    paused: bool,
    replace: bool,
    actor: str,
) -> None:
    """Write a schedule.

    Raises:
        InvalidScheduleError: something of it cannot be; the message names it.
        ScheduleExistsError: there is one of this name, which is not to be replaced.
    """
    if not RUN_ID.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InvalidScheduleError(
            name[:LONGEST_ID], f"a name is 1 to {_LONGEST_NAME} of A-Z a-z 0-9 _ . : -"
        )
    now = state.server_ms()
    try:
        when = Timing(**{"anchor": now, **timing})
        what = Options(
            values={key: data.decode("ascii") for key, data in values.items()},
            tags=tuple(tags),
            deadline=deadline,
            concurrency_key=concurrency_key,
            actor=actor,
        )
        how = Policy(**policy)
    except ValidationError as error:
        lines = [line.removeprefix("the whole: ") for line in problem_lines(error, "")]
        raise InvalidScheduleError(name, listing(lines)) from error
    word = state.schedule(
        name,
        replace=replace,
        nonce=state.machine.token(),
        due=following(when, now),
        timing=when.model_dump_json(),
        policy=how.model_dump_json(),
        definition=definition.to_json(),
        options=what.model_dump_json(),
        paused=json.dumps({"actor": actor, "reason": "from the start"}) if paused else "",
    )
    if word == "exists":
        raise ScheduleExistsError(name)


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
