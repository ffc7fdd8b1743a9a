"""Real workers, each of which reaches one real server on a way of its own."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

import psutil

from gostage_core import Runner
from gostage_workers import LocalCluster
from tests.support.clock import Clock, environment
from tests.support.proxy import FaultProxy
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from gostage_core.state.operations import State
    from gostage_workers.cluster_worker import ClusterWorker


class Member:
    """One worker of a crew.

    Attributes:
        proxy: its way to the server.
        clock: what it believes the time to be.
        cluster: of this worker alone; starts it again when it dies.
    """

    def __init__(
        self, proxy: FaultProxy, clock: Clock, modules: Sequence[str], concurrency: int
    ) -> None:
        self.proxy = proxy
        self.clock = clock
        self.cluster = LocalCluster(
            1, url=proxy.url, modules=modules, concurrency=concurrency, startup_timeout=90
        )

    @property
    def worker(self) -> ClusterWorker:
        """The worker itself."""
        return self.cluster.workers[0]

    @property
    def children(self) -> list[int]:
        """The processes of its pool; none while it is down."""
        pid = self.worker.pid
        try:
            return [] if pid is None else [c.pid for c in psutil.Process(pid).children()]
        except psutil.NoSuchProcess:
            return []

    @property
    def processes(self) -> list[int]:
        """Its main process and those of its pool."""
        pid = self.worker.pid
        return [] if pid is None else [pid, *self.children]

    def holds(self, state: State, pids: Iterable[int] | None = None) -> list[tuple[str, str]]:
        """Return what it works on, run and entry; of all its processes, or of these."""
        wanted = None if pids is None else set(pids)
        processes = [
            process.decode()
            for process in cast("list[bytes]", state.client.zrange(state.keys.of("alive"), 0, -1))
            if process.startswith(f"{self.worker.name}.".encode())
            and (wanted is None or int(process.rpartition(b".")[2]) in wanted)
        ]
        held = [one for process in processes for one in state.claims_of(process).values()]
        return [(run_id, entry) for run_id, _, entry in (one.partition(" ") for one in held)]


class Crew:
    """A server and workers, for as long as a ``with`` block lasts.

    Attributes:
        server: the one that all reach.
        members: the workers.
        runner: submits straight to the server, whatever the workers suffer from.
    """

    def __init__(
        self,
        workers: int,
        *,
        modules: Sequence[str],
        concurrency: int = 1,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; nothing is started yet.

        Args:
            workers: how many.
            modules: what they import.
            concurrency: how many actions each does at a time.
            options: of the server's command line.
            env: what the workers are started with beside the environment of this process.
        """
        self.server = RedisServer(*options)
        self.members: list[Member] = []
        self._count = workers
        self._modules = modules
        self._concurrency = concurrency
        self._env = dict(env or {})
        self._clocks = Path(tempfile.mkdtemp(prefix="gostage-clocks-"))
        self._stack = ExitStack()

    @property
    def state(self) -> State:
        """What the runner sees of the server."""
        return self.runner._state

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.callback(shutil.rmtree, self._clocks, ignore_errors=True)
            self._stack.enter_context(self.server)
            self.runner = Runner(self.server.url, broker=self.server.url)
            self._stack.callback(self.runner.close)
            self._start_workers()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _start_workers(self) -> None:
        for _ in range(self._count):
            proxy = self._stack.enter_context(FaultProxy(self.server.url))
            clock = Clock(self._clocks, proxy.url)
            self.members.append(Member(proxy, clock, self._modules, self._concurrency))
        self._stack.callback(self._all, LocalCluster.stop)
        with patch.dict("os.environ", {**environment(self._clocks), **self._env}):
            self._all(LocalCluster.start)

    def _all(self, what: object) -> None:
        """Start or stop all at once: each takes seconds."""
        with ThreadPoolExecutor(self._count) as pool:
            list(pool.map(what, [member.cluster for member in self.members]))  # type: ignore[arg-type]
