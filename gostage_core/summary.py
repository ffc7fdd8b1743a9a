"""One run as lists show it, read from its header."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gostage_core.damage import readable
from gostage_core.errors import CorruptRunError
from gostage_core.failure import Failure
from gostage_core.moments import Timed, moment
from gostage_core.state.client import newer_schema
from gostage_core.state.keys import SCHEMA
from gostage_core.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunSummary(Timed):
    """One run as lists show it; ``duration`` counts from the first claim."""

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
    parent: str = ""
    """The run above it, whose entry waits for it."""
    compensated: bool | None = None
    """Whether what it had done is undone; ``None`` where nothing was to be, or not yet."""


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
            submitted_at=_submitted(moment(header.get("submitted"))),
            began_at=moment(header.get("began")),
            ended_at=moment(header.get("ended")),
            deadline=moment(header.get("deadline")),
            error=failure_from(why) if status is RunStatus.FAILED else None,
            bail_reason=why.get("reason") if status is RunStatus.BAILED else None,
            parent=header.get("parent", b"").decode().partition(" ")[0],
            compensated=_truth(header.get("compensated")),
        )


def _truth(text: bytes | None) -> bool | None:
    return None if text is None else text == b"1"


def failure_from(data: Mapping[str, Any]) -> Failure:
    """Return the failure of an entry or of a run, from what is kept of it."""
    if data.get("poison"):
        return Failure(
            "PoisonedError",
            f"lost its worker {data['lost']} times; it is not tried again",
            attempt=data["attempt"],
        )
    return Failure.from_data(dict(data))


def _submitted(at: datetime | None) -> datetime:
    if at is None:
        raise ValueError("no time of submission")
    return at
