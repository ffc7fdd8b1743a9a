"""The statuses of a run and of an action, and the changes that are allowed between them."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run stands. The last four are terminal."""

    PENDING = "pending"
    RUNNING = "running"
    SLEEPING = "sleeping"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BAILED = "bailed"

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.BAILED}
)


class ActionStatus(StrEnum):
    """Where one entry of a plan stands; a stage uses the same words."""

    PENDING = "pending"
    RUNNING = "running"
    SLEEPING = "sleeping"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    REMOVED = "removed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether this entry has ended."""
        return self in _ENDED


_ENDED = frozenset(
    {
        ActionStatus.COMPLETED,
        ActionStatus.FAILED,
        ActionStatus.SKIPPED,
        ActionStatus.REMOVED,
        ActionStatus.CANCELLED,
    }
)
