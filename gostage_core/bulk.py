"""What is done to many runs: found first, then each by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gostage_core.errors import GostageError, PlanConflictError, UnavailableError
from gostage_core.planning.outline import PlanDiff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gostage_core.edit import Edit
    from gostage_core.planning.plan_edit import PlanEdit

_TRIES: Final = 5
"""How often a run is tried that moves on while it is edited."""


@dataclass(frozen=True, slots=True)
class EditOutcome:
    """What became of the edit of one run."""

    run_id: str
    changes: PlanDiff = field(default_factory=PlanDiff)
    """What was applied; false where there was nothing to change."""
    error: GostageError | None = None
    """Why nothing was applied."""


class RunEdits:
    """The runs that an edit is for. Nothing is changed until :meth:`apply`."""

    def __init__(self, run_ids: Iterable[str], edit: Callable[[str], Edit]) -> None:
        self.run_ids = tuple(run_ids)
        """The runs, the youngest first."""
        self._edit = edit

    def __len__(self) -> int:
        return len(self.run_ids)

    def __repr__(self) -> str:
        return f"<an edit of {len(self)} runs>"

    def apply(
        self, change: Callable[[PlanEdit], object], *, dry_run: bool = False
    ) -> list[EditOutcome]:
        """Edit each run; return what became of each.

        Every run is an edit of its own: one that refuses stops no other. One that moves on
        meanwhile is read and changed again, up to five times.

        Args:
            change: changes the plan of a run, as the block of :meth:`Run.edit` does; called for
                each try.
            dry_run: tell what would be applied, and apply nothing.

        Raises:
            StoreUnavailableError: the server does not answer; the runs so far are edited.
        """
        return list(self.outcomes(change, dry_run=dry_run))

    def outcomes(
        self, change: Callable[[PlanEdit], object], *, dry_run: bool = False
    ) -> Iterator[EditOutcome]:
        """Do as :meth:`apply`, one run at each step, and yield what became of it."""
        for run_id in self.run_ids:
            try:
                yield EditOutcome(run_id, self._one(run_id, change, dry_run=dry_run))
            except UnavailableError:
                raise
            except GostageError as error:
                yield EditOutcome(run_id, error=error)

    def _one(self, run_id: str, change: Callable[[PlanEdit], object], *, dry_run: bool) -> PlanDiff:
        for tries_left in reversed(range(_TRIES)):
            edit = self._edit(run_id)
            plan = edit.read()
            change(plan)
            try:
                if not dry_run:
                    edit.apply(plan)
            except PlanConflictError:
                if not tries_left:
                    raise
            else:
                return plan.changes
        raise AssertionError("the last try ends with its changes or its error")


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What became of one run of many."""

    run_id: str
    error: GostageError | None = None
    """Why nothing was done to it."""


class RunBatch:
    """The runs that something is to be done to. Nothing is done until :meth:`apply`."""

    def __init__(self, run_ids: Iterable[str], act: Callable[[str], None]) -> None:
        self.run_ids = tuple(run_ids)
        """The runs, the youngest first."""
        self._act = act

    def __len__(self) -> int:
        return len(self.run_ids)

    def __repr__(self) -> str:
        return f"<{len(self)} runs>"

    def apply(self) -> list[RunOutcome]:
        """Do it to each run; return what became of each. One that refuses stops no other.

        Raises:
            StoreUnavailableError: the server does not answer; the runs so far are done.
        """
        return list(self.outcomes())

    def outcomes(self) -> Iterator[RunOutcome]:
        """Do as :meth:`apply`, one run at each step, and yield what became of it."""
        for run_id in self.run_ids:
            try:
                self._act(run_id)
                yield RunOutcome(run_id)
            except UnavailableError:
                raise
            except GostageError as error:
                yield RunOutcome(run_id, error)
