"""The ordered history of a run, and reading it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from gostage_core.damage import readable
from gostage_core.errors import HistoryLostError
from gostage_core.state.client import our_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core.state.operations import State

    Opened = Callable[[dict[str, Any]], dict[str, Any]]


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
    def from_text(cls, sequence: int, text: bytes, opened: Opened) -> JournalEntry:
        """Read one item of the journal, whose details are *opened* where they are sealed."""
        at, kind, entry, revision, details = json.loads(text)
        change = dict(opened(details)) if isinstance(details, dict) else {}
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


def read_journal(state: State, run_id: str, after: int) -> list[JournalEntry]:
    """Return the history of a run from behind entry *after* on; for 0 from the first that is kept.

    Raises:
        HistoryLostError: what came right behind entry *after* is not kept any more.
        CorruptRunError: it is not one of ours.
    """
    with readable(run_id, "journal"):
        forgotten, texts = _read(state, run_id, after)
        if 0 < after < forgotten:
            raise HistoryLostError(
                run_id,
                f"what came behind entry {after:,}: its history begins with entry "
                f"{forgotten + 1:,}",
            )
        first = max(after, forgotten) + 1
        told = partial(state.vault.details, run_id)
        return [JournalEntry.from_text(i, text, told) for i, text in enumerate(texts, first)]


def _read(state: State, run_id: str, after: int) -> tuple[int, list[bytes]]:
    """Read how many entries are not kept any more, and those behind *after* that are."""
    forgotten = 0
    while True:
        with our_errors(run_id, state.settings.redis_url):
            pipeline = state.client.pipeline(transaction=True)
            pipeline.hget(state.keys.of("run", run_id), "forgotten")
            pipeline.lrange(state.keys.of("journal", run_id), max(0, after - forgotten), -1)
            found, texts = pipeline.execute()
        if int(found or 0) == forgotten:
            return forgotten, texts
        forgotten = int(found)
