"""A whole gostage on this machine for as long as a block lasts: a server and its workers."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from gostage_core.errors import ConfigurationError, UnavailableError
from gostage_core.runner import Runner
from gostage_core.state.client import connect, our_errors
from gostage_core.state.operations import State
from gostage_workers.cluster_worker import ClusterWorker
from gostage_workers.embedded import EmbeddedServer
from gostage_workers.inventory import take_inventory
from gostage_workers.launch import Launch, loading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gostage_workers.inventory import Inventory
    from gostage_workers.launch import Pool

_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02


class LocalCluster:
    """An embedded server and *workers* Celery workers, for as long as a ``with`` block lasts.

    The workers have the caller's ``sys.path`` and working directory, and know the actions that
    were registered in this process before the block began, a script's own included. A worker that
    dies is started again. At the end of the block the workers finish the actions they are at, for
    up to 10 s, and everything is gone; runs in a *data_dir* go on when it is used again. All of
    it ends with this process, however that ends (Linux), or as the interpreter exits (elsewhere).

    Attributes:
        workers: the workers, in order; empty while the cluster is not started.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        data_dir: Path | str | None = None,
        modules: Sequence[str] = (),
        namespace: str = "gostage",
        concurrency: int = 1,
        pool: Pool = "prefork",
        url: str | None = None,
        startup_timeout: float = 60,
    ) -> None:
        """Describe the cluster; nothing is started yet.

        Args:
            workers: how many worker processes.
            data_dir: where the server keeps its data and the workers their logs; by default in a
                temporary directory, which is removed at the end.
            modules: what the workers import; by default every module whose actions are registered
                in this process. A script's own actions are there in both cases.
            namespace: the prefix of every key.
            concurrency: how many actions one worker runs at a time.
            pool: Celery's pool.
            url: a Redis server to use instead of an embedded one.
            startup_timeout: how many seconds the workers may take until they are ready.

        Raises:
            ConfigurationError: arguments that do not go together.
        """
        if workers < 1 or concurrency < 1:
            raise ConfigurationError("a cluster needs at least one worker, and one process each")
        if url is not None and data_dir is not None:
            raise ConfigurationError("data_dir is the embedded server's; leave it out, or url")
        self.workers: list[ClusterWorker] = []
        self._server = EmbeddedServer(data_dir) if url is None else url
        self._count = workers
        self._data_dir = None if data_dir is None else Path(data_dir).absolute()
        self._modules = tuple(modules)
        self._namespace = namespace
        self._concurrency = concurrency
        self._pool: Pool = pool
        self._startup_timeout = startup_timeout
        self._owner = os.getpid()
        self._directory: Path | None = None
        self._runner: Runner | None = None

    @property
    def server(self) -> EmbeddedServer | None:
        """The embedded server, or ``None`` where ``url`` was given."""
        return self._server if isinstance(self._server, EmbeddedServer) else None

    @property
    def url(self) -> str:
        """What ``GOSTAGE_REDIS_URL`` and Celery's ``broker=`` take.

        Raises:
            ConfigurationError: the embedded server was never started.
        """
        return self._server.url if isinstance(self._server, EmbeddedServer) else self._server

    @property
    def runner(self) -> Runner:
        """A runner that submits to this cluster.

        Raises:
            ConfigurationError: the embedded server was never started.
        """
        if self._runner is None:
            self._runner = Runner(self.url, broker=self._broker, namespace=self._namespace)
        return self._runner

    def start(self) -> None:
        """Start the server and the workers, and return once all take work. Safe to repeat.

        Raises:
            ConfigurationError: there is no server to embed, the workers cannot load what they
                need, or a script does this without a main guard; the message says which.
            StoreUnavailableError: the server at ``url`` does not answer.
            UnavailableError: the workers were not ready in time.
        """
        _refuse_while_loading()
        if self._directory is not None:
            return
        inventory = take_inventory(self._modules)
        atexit.register(self.stop)
        try:
            self._directory = Path(tempfile.mkdtemp(prefix="gostage-cluster-"))
            self._start_server()
            self._start_workers(inventory, self._directory)
            self._await_workers()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let the workers finish what they are at, for up to 10 s, then end all. Safe to repeat."""
        if os.getpid() != self._owner:
            return
        try:
            self._stop_workers()
            if self._runner is not None:
                self._runner.close()
        finally:
            self._stop_server()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
            self._runner = None
            atexit.unregister(self.stop)

    def kill_worker(self, index: int | None = None) -> int:
        """Send SIGKILL to the main process of a worker; it is started again.

        Args:
            index: which of :attr:`workers`; by default the one that has been up longest.

        Returns:
            The process that was killed.

        Raises:
            ConfigurationError: there is no such worker.
            UnavailableError: it is down already, and about to be started again or given up.
        """
        worker = self._longest_up() if index is None else self._worker(index)
        pid = worker.process.kill()
        if pid is None:
            raise UnavailableError(
                worker.process.error or f"worker {worker.name} is just being started again"
            )
        return pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _broker(self) -> str | None:
        # The embedded server is the broker too, whatever GOSTAGE_BROKER_URL says.
        return None if self.server is None else self.url

    def _start_server(self) -> None:
        if self.server is not None:
            self.server.start()
            return
        with our_errors(url=self.url):
            connect(self.url).ping()

    def _stop_server(self) -> None:
        if self.server is not None:
            self.server.stop()

    def _start_workers(self, inventory: Inventory, directory: Path) -> None:
        for number in range(1, self._count + 1):
            launch = Launch(
                url=self.url,
                broker=self._broker,
                namespace=self._namespace,
                modules=inventory.modules,
                main_path=inventory.main_path,
                main_name=inventory.main_name,
                sys_path=tuple(str(path) for path in sys.path),
                name=self._node_name(number),
                concurrency=self._concurrency,
                pool=self._pool,
            )
            log_path = (self._data_dir or directory) / f"w{number}.log"
            worker = ClusterWorker(launch, directory, log_path)
            self.workers.append(worker)
            worker.process.start()

    def _node_name(self, number: int) -> str:
        # At an embedded server there are no others; elsewhere a second cluster may have a w1 too.
        own = "" if self.server is not None else f"-{secrets.token_hex(3)}"
        return f"w{number}{own}@{socket.gethostname()}"

    def _worker(self, index: int) -> ClusterWorker:
        if not 0 <= index < len(self.workers):
            raise ConfigurationError(
                f"there is no worker {index}; this cluster has {len(self.workers)}, counted from 0"
            )
        return self.workers[index]

    def _longest_up(self) -> ClusterWorker:
        # Called again and again, this takes one after the other.
        running = [worker for worker in self.workers if worker.pid is not None]
        return min(running or [self._worker(0)], key=lambda worker: worker.process.started_at)

    def _await_workers(self) -> None:
        deadline = time.monotonic() + self._startup_timeout
        while waiting := [worker for worker in self.workers if not worker.is_ready]:
            for worker in waiting:
                worker.check()
            if time.monotonic() > deadline:
                raise self._too_slow(waiting[0])
            time.sleep(_POLL_SECONDS)

    def _too_slow(self, worker: ClusterWorker) -> UnavailableError:
        return UnavailableError(
            f"worker {worker.name} was not ready within {self._startup_timeout:g} s; look at the "
            f"end of its log, or raise startup_timeout:\n{worker.log_tail()}"
        )

    def _stop_workers(self) -> None:
        workers, self.workers = self.workers, []
        deadline = time.monotonic() + _STOP_SECONDS
        try:
            for worker in workers:
                worker.process.terminate()
            self._end_idle(workers)
            for worker in workers:
                worker.process.stop(max(0.0, deadline - time.monotonic()))
        finally:
            # A second Ctrl-C: nobody waits any longer.
            for worker in workers:
                worker.process.stop(0)

    def _end_idle(self, workers: Sequence[ClusterWorker]) -> None:
        """End the workers that are at nothing: Celery's own way takes an idle one three seconds.

        Not those with resources to tear down. One that takes a message at this very moment loses
        it, which costs a run of a kept *data_dir* a second when it goes on.
        """
        if self.server is None or self._runner is None:
            return
        with contextlib.suppress(UnavailableError):
            working = State(self._runner.settings).working()
            for worker in (one for one in workers if not one.tears_down):
                if not any(process.startswith(f"{worker.name}.") for process in working):
                    worker.process.stop(0)


def _refuse_while_loading() -> None:
    if (what := loading()) is not None:
        raise ConfigurationError(
            f"{what} starts a LocalCluster when a worker of that cluster loads it; "
            f'put what it runs under `if __name__ == "__main__":`'
        )
