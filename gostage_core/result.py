"""How a run stands or ended: its stages and actions, its store, its error, as values."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import CorruptRunError
from gostage_core.failure import Failure
from gostage_core.state.client import newer_schema
from gostage_core.state.keys import SCHEMA
from gostage_core.status import ActionStatus, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gostage_core.store import StoreReader

_UNREADABLE: Final = (
    *(LookupError, ValueError, TypeError, AttributeError, RecursionError),
    *(OverflowError, OSError),  # of numbers that are no time
    StopIteration,
)

ACTION_STATES: Final = {
    "r": ActionStatus.PENDING,
    "x": ActionStatus.RUNNING,
    "z": ActionStatus.SLEEPING,
    "w": ActionStatus.WAITING,
    "c": ActionStatus.COMPLETED,
    "f": ActionStatus.FAILED,
    "s": ActionStatus.SKIPPED,
    "m": ActionStatus.REMOVED,
    "k": ActionStatus.CANCELLED,
}
"""The letters of the records in Redis, and what they are called."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """One action of a plan, and how it went."""

    entry: str
    """Its id in the plan."""
    name: str
    action: str
    """The registry id."""
    stage: str
    status: ActionStatus
    attempt: int = 0
    began_at: datetime | None = None
    ended_at: datetime | None = None
    worker: str = ""
    error: Failure | None = None
    """Of the last attempt that failed, whatever became of the next."""
    progress: float | None = None
    message: str = ""
    tags: tuple[str, ...] = ()
    added_by: str = ""
    """``stage/action`` that added it at run time."""

    @property
    def duration(self) -> float | None:
        """Seconds from its first claim to its end."""
        if self.began_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.began_at).total_seconds()


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of a plan, with its actions in plan order."""

    id: str
    name: str
    status: ActionStatus
    actions: tuple[ActionResult, ...]
    parallel: bool = False
    began_at: datetime | None = None
    ended_at: datetime | None = None
    added: bool = False
    """Whether it was added at run time."""
    entry: str = ""
    """Its id in the plan, by which the journal names it."""

    @property
    def duration(self) -> float | None:
        """Seconds from its begin to its end."""
        if self.began_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.began_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run as it is now."""

    revision: int
    stages: Mapping[str, StageResult]

    @property
    def actions(self) -> tuple[ActionResult, ...]:
        """Every action, in plan order."""
        return tuple(action for stage in self.stages.values() for action in stage.actions)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as lists show it."""

    run_id: str
    workflow: str
    name: str
    status: RunStatus
    tags: tuple[str, ...]
    submitted_at: datetime
    began_at: datetime | None = None
    ended_at: datetime | None = None
    deadline: datetime | None = None
    error: Failure | None = None
    bail_reason: str | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from the first claim to the end."""
        if self.began_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.began_at).total_seconds()


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run stood when it was looked at; final when the status is terminal."""

    run_id: str
    status: RunStatus
    plan: Plan
    store: StoreReader = field(repr=False)
    error: Failure | None = None
    """What ended a failed run; ``str()`` names the action, the exception's type and its message."""
    bail_reason: str | None = None
    duration: float | None = None
    """Seconds from the first claim to the end."""

    @property
    def stages(self) -> Mapping[str, StageResult]:
        """The stages by id, in plan order."""
        return self.plan.stages

    @property
    def actions(self) -> tuple[ActionResult, ...]:
        """Every action, in plan order."""
        return self.plan.actions


@contextmanager
def readable(run_id: str, what: str) -> Iterator[None]:
    """Read *what* of a run inside, whatever is there.

    Raises:
        CorruptRunError: it is not one of ours.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise CorruptRunError(run_id, f"its {what} cannot be read ({error!r:.300})") from error


def status_of(run_id: str, text: bytes, schema: bytes) -> RunStatus:
    """Read a run's status.

    Raises:
        CorruptRunError: it is not one of ours.
    """
    with readable(run_id, "header"):
        check_schema(run_id, schema)
        return RunStatus(text.decode())


def check_schema(run_id: str, schema: bytes) -> None:
    """Refuse a run that a later version wrote.

    Raises:
        CorruptRunError: this version cannot read it.
    """
    if int(schema) > SCHEMA:
        raise CorruptRunError(run_id, newer_schema(schema.decode()))


def summary_of(run_id: str, header: Mapping[str, bytes]) -> RunSummary:
    """Read a run's header.

    Raises:
        CorruptRunError: it is not one of ours.
    """
    with readable(run_id, "header"):
        check_schema(run_id, header["schema"])
        workflow = json.loads(header["definition"])
        status = RunStatus(header["status"].decode())
        why = json.loads(header["why"]) if "why" in header else {}
        return RunSummary(
            run_id=run_id,
            workflow=header["workflow"].decode(),
            name=workflow.get("name") or workflow["id"],
            status=status,
            tags=tuple(tag for tag in json.loads(header["tags"]) if tag),
            submitted_at=_needed(_moment(header.get("submitted"))),
            began_at=_moment(header.get("began")),
            ended_at=_moment(header.get("ended")),
            deadline=_moment(header.get("deadline")),
            error=_run_failure(why) if status is RunStatus.FAILED else None,
            bail_reason=why.get("reason") if status is RunStatus.BAILED else None,
        )


def plan_of(run_id: str, revision: int, fields: Mapping[str, bytes], status: RunStatus) -> Plan:
    """Read the whole plan of a run.

    Raises:
        CorruptRunError: it is not one of ours.
    """
    with readable(run_id, "plan"):
        return Plan(revision, {stage.id: stage for stage in _stages(fields, status)})


def failure_with_place(failure: Failure, plan: Plan, entry: str) -> Failure:
    """Return *failure* with the path of its action, where only the engine knew of it."""
    if failure.path or not entry:
        return failure
    found = next(action for action in plan.actions if action.entry == entry)
    return replace(failure, path=f"{found.stage}/{found.name}", action=found.action)


def _stages(fields: Mapping[str, bytes], status: RunStatus) -> Iterator[StageResult]:
    for node in _siblings(fields, _links(fields, "0")[2]):
        links = _links(fields, node)
        spec = json.loads(fields[f"s{node}"])
        actions = tuple(_action(fields, n, status) for n in _siblings(fields, links[2]))
        state, began, ended = _scope(fields.get(f"r{node}"))
        yield StageResult(
            id=spec["id"],
            name=spec.get("name") or spec["id"],
            status=_stage_status(state, actions, status),
            actions=actions,
            parallel=links[4] == "p",
            began_at=_moment(began),
            ended_at=_moment(ended),
            added=links[6] != "0",
            entry=node,
        )


def _siblings(fields: Mapping[str, bytes], first: str) -> Iterator[str]:
    node, seen = first, 0
    while node != "0":
        yield node
        seen += 1
        if seen > len(fields):
            raise ValueError("the plan's links run in a circle")
        node = _links(fields, node)[1]


def _links(fields: Mapping[str, bytes], node: str) -> list[str]:
    return fields[f"l{node}"].decode().split(",")


def _scope(record: bytes | None) -> tuple[str | None, bytes | None, bytes | None]:
    if record is None:
        return None, None, None
    parts = record.split(b"|")
    return parts[0].decode(), parts[5], parts[6]


def _stage_status(
    state: str | None, actions: tuple[ActionResult, ...], run: RunStatus
) -> ActionStatus:
    if state is None:
        return ActionStatus.PENDING
    if state == "c":
        return ActionStatus.COMPLETED
    if not run.is_terminal:
        return ActionStatus.RUNNING
    if any(action.status is ActionStatus.FAILED for action in actions):
        return ActionStatus.FAILED
    return ActionStatus.COMPLETED if run is RunStatus.BAILED else ActionStatus.CANCELLED


def _action(fields: Mapping[str, bytes], node: str, run: RunStatus) -> ActionResult:
    spec = json.loads(fields[f"s{node}"])
    record = fields[f"r{node}"].decode().split("|") if f"r{node}" in fields else None
    progress = json.loads(fields[f"p{node}"]) if f"p{node}" in fields else {}
    return ActionResult(
        entry=node,
        name=spec["name"],
        action=spec["action"],
        stage=spec["stage"],
        status=ACTION_STATES[record[0]] if record else ActionStatus.PENDING,
        attempt=int(record[1]) if record else 0,
        began_at=_moment(record[6].encode()) if record else None,
        ended_at=_moment(record[7].encode()) if record else None,
        worker=record[8] if record else "",
        error=_node_failure(fields.get(f"e{node}"), spec),
        progress=progress.get("fraction"),
        message=progress.get("message", ""),
        tags=tuple(spec.get("tags", ())),
        added_by=spec.get("added_by", ""),
    )


def _node_failure(text: bytes | None, spec: Mapping[str, Any]) -> Failure | None:
    if text is None:
        return None
    data = json.loads(text)
    if "released" in data:
        return None
    failure = _run_failure(data)
    if failure.path:
        return failure
    return replace(failure, path=f"{spec['stage']}/{spec['name']}", action=spec["action"])


def _run_failure(data: Mapping[str, Any]) -> Failure:
    if data.get("poison"):
        return Failure(
            "PoisonedError",
            f"lost its worker {data['lost']} times; it is not tried again",
            attempt=data["attempt"],
        )
    return Failure.from_data(dict(data))


def _moment(ms: bytes | None) -> datetime | None:
    number = float(ms) if ms else 0
    return datetime.fromtimestamp(number / 1000, UTC) if number else None


def _needed(moment: datetime | None) -> datetime:
    if moment is None:
        raise ValueError("no time of submission")
    return moment
