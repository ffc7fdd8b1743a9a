"""What ``gostage top`` shows, read anew for each picture."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gostage_core.broker.app import producer_app
from gostage_core.damage import readable
from gostage_core.entry import Entry
from gostage_core.errors import CorruptRunError
from gostage_core.numbers import read_numbers
from gostage_core.status import RunStatus
from gostage_workers.cli.documents import summary_document
from gostage_workers.cli.pools import NO_POOL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gostage_core.numbers import Numbers
    from gostage_core.runner import Runner
    from gostage_core.state.counting import Held
    from gostage_core.state.operations import State
    from gostage_core.summary import RunSummary
    from gostage_workers.cli.pools import Pool

_BUSY_PROCESSES: Final = 100
"""Of how many processes it is told what they work on."""
_RUNS: Final = 20
"""How many runs of each kind are read."""


@dataclass(frozen=True, slots=True)
class Work:
    """An action that somebody is at."""

    run_id: str
    workflow: str
    path: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Worker:
    """One Celery node."""

    name: str
    pool: Pool
    used: int
    work: tuple[Work, ...] = ()
    """What it is at, the longest first."""


@dataclass(frozen=True, slots=True)
class Overview:
    """All of one picture."""

    numbers: Numbers
    workers: tuple[Worker, ...]
    running: tuple[RunSummary, ...]
    waiting: tuple[RunSummary, ...]
    """What sleeps, waits or is paused."""
    failing: tuple[RunSummary, ...]
    """The last ones that failed first."""


class Overviews:
    """Reads one after another from the same servers."""

    def __init__(self, runner: Runner, state: State) -> None:
        """Nothing is read yet."""
        self._runner = runner
        self._state = state
        self.app = producer_app(state.settings)

    def read(self, pools: Mapping[str, Pool]) -> Overview:
        """Read how the cluster stands; *pools* are those of its nodes, as far as they are known.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        numbers = read_numbers(self._state, self.app)
        failed = self._runs(RunStatus.FAILED)
        idle = [
            self._runs(one) for one in (RunStatus.WAITING, RunStatus.SLEEPING, RunStatus.PAUSED)
        ]
        return Overview(
            numbers=numbers,
            workers=self._workers(numbers, pools),
            running=tuple(self._runs(RunStatus.RUNNING)),
            waiting=tuple(sorted((run for runs in idle for run in runs), key=_age, reverse=True)),
            failing=tuple(sorted(failed, key=_end, reverse=True)),
        )

    def _runs(self, status: RunStatus) -> list[RunSummary]:
        return self._runner.list(status=status, limit=_RUNS)

    def _workers(self, numbers: Numbers, pools: Mapping[str, Pool]) -> tuple[Worker, ...]:
        used: Counter[str] = Counter()
        for process in numbers.processes:
            used[process.worker] += process.slots_used
        busy = [process.name for process in numbers.processes if process.slots_used]
        work: defaultdict[str, list[Work]] = defaultdict(list)
        for held in self._state.held_by(busy[:_BUSY_PROCESSES]):
            work[held.process.rsplit(".", 2)[0]].append(_work(held))
        return tuple(
            Worker(name, pools.get(name, NO_POOL), many, tuple(sorted(work[name], key=_since)))
            for name, many in sorted(used.items())
        )


def document_of(overview: Overview) -> dict[str, Any]:
    """Return an overview as plain data."""
    numbers = overview.numbers
    actions = [
        {**asdict(one), "durations": {"count": one.durations.count, "median": one.durations.median}}
        for one in numbers.actions
    ]
    runs = {
        name: [summary_document(run) for run in getattr(overview, name)]
        for name in ("running", "waiting", "failing")
    }
    return {
        **asdict(numbers),
        "runs": {status.value: many for status, many in numbers.runs.items()},
        "actions": actions,
        "lease_losses": numbers.lease_losses,
        "recoveries": numbers.recoveries,
        "workers": [asdict(worker) for worker in overview.workers],
        **runs,
    }


def _work(held: Held) -> Work:
    try:
        with readable(held.run_id, "plan"):
            path = Entry.from_spec(held.spec).path
    except CorruptRunError:
        path = f"entry {held.entry}"
    return Work(held.run_id, held.workflow, path, datetime.fromtimestamp(held.since / 1000, UTC))


def _since(work: Work) -> datetime:
    return work.since


def _age(run: RunSummary) -> datetime:
    return run.submitted_at


def _end(run: RunSummary) -> datetime:
    return run.ended_at or run.submitted_at
