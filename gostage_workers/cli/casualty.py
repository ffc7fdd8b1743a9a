"""Kills a worker in the middle of an action, and tells what became of that action."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from gostage_core.errors import UnavailableError
from gostage_core.status import ActionStatus
from gostage_workers.cli.plan_lines import worker_name, worker_pid

if TYPE_CHECKING:
    from gostage_core.result import ActionResult, RunResult
    from gostage_workers.cluster import LocalCluster

_EARLY: Final = 0.6
"""An action that is further than this may end before the signal arrives."""


class Say(Protocol):
    """Tells whoever looks on."""

    def __call__(self, message: str, style: str = "default") -> None:
        """Say *message*."""


@dataclass(slots=True)
class Casualty:
    """An action that was under way on a worker that was killed."""

    action: str
    """``stage/action``."""
    entry: str
    attempt: int
    worker: str
    pid: int
    """The worker's main process."""
    lost: bool = False
    """Whether the attempt ended with the worker: nothing of it was committed."""
    done_by: dict[str, Any] = field(default_factory=dict)
    """The worker that did it after all, the process in it, and the attempt."""


class Reaper:
    """Kills one worker of a cluster while it is in the middle of an action of a run.

    An action may be committed between the look and the signal. Then nothing was lost, and another
    worker is killed, until one was.
    """

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._casualty: Casualty | None = None

    @property
    def missing(self) -> Casualty | None:
        """The casualty, as long as its action still counts as running."""
        casualty = self._casualty
        return None if casualty is None or casualty.lost else casualty

    def document(self) -> dict[str, Any] | None:
        """Return what became of the action, as plain data."""
        return None if self._casualty is None else asdict(self._casualty)

    def look(self, result: RunResult, say: Say) -> None:
        """Kill where it is time to, or say what has become of what was killed."""
        casualty = self._casualty
        if casualty is None:
            self._casualty = self._kill(result, say)
            return
        action = next(one for one in result.actions if one.entry == casualty.entry)
        if not casualty.lost:
            self._see_loss(casualty, action, say)
        if casualty.lost and not casualty.done_by and action.status is ActionStatus.COMPLETED:
            _see_done(casualty, action, say)

    def _kill(self, result: RunResult, say: Say) -> Casualty | None:
        action = _in_the_middle(result)
        if action is None:
            return None
        name = worker_name(action.worker)
        index = next(i for i, one in enumerate(self._cluster.workers) if one.name == name)
        try:
            pid = self._cluster.kill_worker(index)
        except UnavailableError:
            return None
        place = f"{action.stage}/{action.name}"
        say(f"killed worker {name} (pid {pid}) with SIGKILL", "red")
        say(f"  in the middle of {place}, at {action.progress:.0%}", "red")
        return Casualty(place, action.entry, action.attempt, name, pid)

    def _see_loss(self, casualty: Casualty, action: ActionResult, say: Say) -> None:
        if action.attempt > casualty.attempt or action.status is ActionStatus.PENDING:
            casualty.lost = True
            say(f"{casualty.action} was lost with it, and goes to whoever is free", "yellow")
        elif action.status is not ActionStatus.RUNNING:
            say(f"{casualty.action} was done just before that; another worker is next")
            self._casualty = None


def _see_done(casualty: Casualty, action: ActionResult, say: Say) -> None:
    worker, pid = worker_name(action.worker), worker_pid(action.worker)
    casualty.done_by = {"worker": worker, "pid": pid, "attempt": action.attempt}
    say(f"{casualty.action} was done again, in attempt {action.attempt}", "green")
    say(f"  by {worker} (pid {pid})", "green")


def _in_the_middle(result: RunResult) -> ActionResult | None:
    """Return the action that has the most left to do, of those that say how far they are."""
    running = [
        action
        for action in result.actions
        if action.status is ActionStatus.RUNNING and 0 < (action.progress or 0) < _EARLY
    ]
    return min(running, key=lambda action: action.progress or 0, default=None)
