"""The ordered history of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One fact of a run's history."""

    sequence: int
    """From 1, without gaps."""
    at: datetime
    """By the server's clock."""
    kind: str
    """``run.submitted``, ``stage.started``, ``action.completed``, ``plan.changed`` and so on."""
    revision: int
    """Of the plan, after this entry."""
    entry: str
    """The entry of the plan that this is about; empty where it is about the run."""
    actor: str = "engine"
    """Who did it: ``engine``, ``action stage/name``, or the name of an operator."""
    reason: str = ""
    change: dict[str, Any] = field(default_factory=dict)
    """What else is known: attempt, worker, failure, what was added."""

    @classmethod
    def from_text(cls, sequence: int, text: bytes) -> JournalEntry:
        """Read one item of the journal."""
        at, kind, entry, revision, details = json.loads(text)
        change = dict(details) if isinstance(details, dict) else {}
        by = change.get("by")
        actor = change.pop("actor", f"action {by}" if by else "engine")
        return cls(
            sequence=sequence,
            at=datetime.fromtimestamp(at / 1000, UTC),
            kind=kind,
            revision=revision,
            entry=str(entry) if entry else "",
            actor=actor,
            reason=change.pop("reason", ""),
            change=change,
        )
