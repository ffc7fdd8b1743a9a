"""What a cluster does, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gostage_core.numbers.spans import Durations
    from gostage_core.status import RunStatus

OTHER: Final = "other"
"""Stands for the workflow and the action where there are too many to be counted one by one."""

OUTCOMES: Final = {
    "c": "completed",
    "f": "failed",
    "k": "cancelled",
    "s": "skipped",
    "m": "removed",
    "t": "retried",
    "l": "lost",
}
"""The letter of an outcome in Redis, and what it is called. A retried or lost action goes on."""


@dataclass(frozen=True, slots=True)
class ActionNumbers:
    """What is counted of one action of one workflow, since counting began."""

    workflow: str
    action: str
    """The name of its plan entries; hooks are called by what they are, such as ``after_stage``."""
    queue: str
    outcomes: Mapping[str, int]
    """How often it had each outcome; see :data:`OUTCOMES`."""
    durations: Durations
    planned: int = 0
    """How many entries are planned and not done, in runs that go on: those that run now included,
    those that sleep or wait for something not."""
    recovered: int = 0
    """How many completed after their worker was lost."""


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """One queue of the broker."""

    name: str
    depth: int | None = None
    """How many messages wait in it; ``None`` where the broker does not say."""
    oldest_wait: float | None = None
    """How long the action whose message comes next has waited, in seconds; 0 where none waits."""
    planned_actions: int = 0
    """Work that is planned for it in runs that go on."""
    planned_seconds: float = 0.0
    """The same, by the median of how long each such action took so far."""


@dataclass(frozen=True, slots=True)
class EntryNumbers:
    """What plan entries do now that have begun."""

    running: int = 0
    sleeping: int = 0
    """Until a time comes: of a retry, of a ``Sleep``."""
    waiting: int = 0
    """For a signal, a child run, a delivery, or entries of their own."""
    throttled: int = 0
    """In line for a throttle."""


@dataclass(frozen=True, slots=True)
class TimerNumbers:
    """Moments at which something has to be looked at."""

    set: int = 0
    due: int = 0
    """Their time has come, and nobody has looked yet."""
    overdue: int = 0
    """For five seconds: no rescuer is there, or none keeps up."""


@dataclass(frozen=True, slots=True)
class ProcessNumbers:
    """One process that executes actions, or could."""

    name: str
    slots_used: int = 0

    @property
    def worker(self) -> str:
        """The Celery node that it belongs to."""
        return self.name.rsplit(".", 2)[0]


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the cluster of one namespace does; see :func:`gostage_core.numbers.read_numbers`."""

    at: datetime
    """By the server's clock."""
    namespace: str
    runs: Mapping[RunStatus, int]
    actions: tuple[ActionNumbers, ...] = ()
    queues: tuple[QueueNumbers, ...] = ()
    entries: EntryNumbers = field(default_factory=EntryNumbers)
    timers: TimerNumbers = field(default_factory=TimerNumbers)
    processes: tuple[ProcessNumbers, ...] = ()
    throttles: int = 0
    """How many are in use, or set."""
    schedules: int = 0
    resends: int = 0
    """Messages that were lost and sent again."""

    @property
    def lease_losses(self) -> int:
        """How many attempts were taken from a worker that had died or was silent for a lease."""
        return sum(one.outcomes.get("lost", 0) for one in self.actions)

    @property
    def recoveries(self) -> int:
        """How many actions completed after their worker was lost."""
        return sum(one.recovered for one in self.actions)
