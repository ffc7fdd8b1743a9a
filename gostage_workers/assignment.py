"""What a worker hands to the process of one attempt, and what comes back, as lines of JSON."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from gostage_core.attempt import Ended
from gostage_core.settings import FOR_OUR_PROCESS, Settings
from gostage_core.state.answers import Claim


class Source(NamedTuple):
    """A module that such a process loads, and the file that the worker has it from."""

    module: str
    file: str | None


class Assignment(BaseModel):
    """One attempt, whose lease the worker holds, and all that its process needs for it."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    parent: int
    """The worker's process; the attempt does not outlive it."""
    report_fd: int
    sources: tuple[Source, ...]
    known: bool
    """Whether the worker itself knows the action."""
    log_level: int
    settings: Settings
    process: str
    """The name under which the worker's process holds the lease."""
    claim: Claim
    have: str
    """The entry that the chain at hand goes on with."""
    trace: str = ""
    """The span that the attempt is made in."""

    def lines(self, sys_path: list[str]) -> bytes:
        """Return the assignment as it is written: where to import from, then the rest."""
        text = self.model_dump_json(context=FOR_OUR_PROCESS)
        return f"{json.dumps(sys_path)}\n{text}\n".encode()


class Report(BaseModel):
    """One thing that such a process says; the other fields are ``None``."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    limit: float | None = None
    """The body begins, and may take so many seconds."""
    record: dict[str, Any] | None = None
    """A log record."""
    refused: str | None = None
    """Why the process cannot do the attempt."""
    ended: Ended | None = None
    """How the attempt ended."""
