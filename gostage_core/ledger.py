"""The history of a run's plan: its revisions, what it was at each, what changed between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gostage_core.damage import readable
from gostage_core.errors import HistoryLostError, PlanError
from gostage_core.planning.outline import PlanDiff, PlanOutline, diff_of
from gostage_core.planning.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from gostage_core.journal import JournalEntry


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of a plan."""

    number: int
    """From 1, which is the plan as it was submitted."""
    at: datetime
    """By the server's clock."""
    actor: str
    """Who did it: ``action stage/name``, or the name of an operator."""
    reason: str
    changes: PlanDiff
    """What it changed; ``str()`` is for people. Nothing for the first one."""


class Ledger:
    """Reads the history of one plan from the run's journal, once it is asked for."""

    def __init__(
        self,
        run_id: str,
        fields: Mapping[str, bytes],
        planned: int,
        journal: Callable[[], list[JournalEntry]],
    ) -> None:
        """Take the *fields* of a plan, of which so many nodes were *planned* at first."""
        self._run_id = run_id
        self._fields = fields
        self._planned = planned
        self._journal = journal
        self._changes: list[JournalEntry] | None = None

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """Every revision, the first one first.

        Raises:
            HistoryLostError: the journal does not go back to the beginning of the run.
        """
        with readable(self._run_id, "journal"):
            return tuple(self._told())

    def at(self, number: int) -> PlanOutline:
        """Return what the plan was as of a revision.

        Raises:
            PlanError: the run has no such revision.
            HistoryLostError: as for :attr:`revisions`.
        """
        with readable(self._run_id, "journal"):
            replay = self._begun()
            for entry in self._until(number):
                replay.apply(entry.revision, entry.change.get("ops", ()))
            return replay.outline()

    def diff(self, first: int, second: int) -> PlanDiff:
        """Return what changed from one revision to another.

        Raises:
            PlanError: the run has no such revision.
            HistoryLostError: as for :attr:`revisions`.
        """
        return diff_of(self.at(first), self.at(second))

    def _told(self) -> Iterator[Revision]:
        replay = self._begun()
        for entry in self._entries():
            changes = replay.apply(entry.revision, entry.change.get("ops", ()))
            yield Revision(entry.revision, entry.at, entry.actor, entry.reason, changes)

    def _begun(self) -> Replay:
        ops = [op for entry in self._entries() for op in entry.change.get("ops", ())]
        return Replay(self._fields, self._planned, ops)

    def _entries(self) -> list[JournalEntry]:
        if self._changes is None:
            journal = self._journal()
            if journal and journal[0].sequence > 1:
                raise HistoryLostError(self._run_id, "how its plan came to be what it is")
            kinds = ("run.submitted", "plan.changed")
            self._changes = [entry for entry in journal if entry.kind in kinds]
        return self._changes

    def _until(self, number: int) -> list[JournalEntry]:
        entries = self._entries()
        known = [entry.revision for entry in entries]
        if number not in known:
            raise PlanError(
                f"the plan of run {self._run_id!r} has the revisions 1 to {max(known, default=1)}, "
                f"not {number}"
            )
        return entries[: known.index(number) + 1]
