"""The worker step that keeps leases and runs alive, under every pool."""

from __future__ import annotations

import logging
import os
import random
import threading
from typing import TYPE_CHECKING, Any, Final

import psutil
from celery import bootsteps, signals

from gostage_core.broker.depth import queue_depth
from gostage_core.errors import UnavailableError
from gostage_core.preflight import check_server
from gostage_core.rescuer import Rescuer
from gostage_workers.identity import new_boot, process_name, stop_waiting
from gostage_workers.installation import installation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_workers.installation import Installation

logger: Final = logging.getLogger(__name__)

_GONE: Final = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


class RescuerStep(bootsteps.StartStopStep):
    """Starts the rescuer in the worker's main process, and stops it as the last thing.

    A thread of its own: the main process's event loop stands still while the broker is away, and
    under solo while an action runs.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_options: Any) -> None:
        self._thread: RescuerThread | None = None

    def create(self, worker: Any) -> Any:
        """Name this life of the node before the pool forks its children."""
        new_boot()
        if "thread" in worker.pool_cls.__module__:
            # The end of a thread's task does not wake the event loop, so a worker that takes a
            # message only when a thread is free would sit idle for most of a second each time.
            worker.app.conf.worker_disable_prefetch = False
        return super().create(worker)

    def start(self, worker: Any) -> None:
        """Check the server, then begin to tick."""
        installation = installation_of(worker.app)
        if installation is None:
            return
        _check(installation)
        self._thread = RescuerThread(installation, worker)
        self._thread.start()
        signals.worker_shutdown.connect(self._end)

    def stop(self, worker: Any) -> None:
        """Go on: what runs in the pool needs its leases until it has ended."""

    def terminate(self, worker: Any) -> None:
        """Stop waiting for a server that may be away; leases lapse by themselves."""
        stop_waiting()

    def _end(self, **_: Any) -> None:
        stop_waiting()
        if self._thread is not None:
            self._thread.end()


def _check(installation: Installation) -> None:
    """Refuse a server that is not fit; one that is away is waited for."""
    try:
        check_server(installation.state)
    except UnavailableError as error:
        logger.warning("%s; waiting for it", error)


class RescuerThread(threading.Thread):
    """Ticks until it is ended, then gives back what its worker still holds."""

    def __init__(self, installation: Installation, worker: Any) -> None:
        super().__init__(name="gostage-rescuer", daemon=True)
        self._installation = installation
        self._worker = worker
        self._ended = threading.Event()
        self._known: set[int] = set()

    def run(self) -> None:
        """Tick, whatever happens; an error is logged and survived."""
        installation = self._installation
        rescuer = Rescuer(installation.state, installation.coordinator, self._depth)
        pause = installation.settings.tick
        while not self._ended.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads workers
            try:
                self._tick(rescuer)
            except UnavailableError as error:
                logger.warning("%s", error)
            except Exception:
                logger.exception("the rescuer goes on after an error")
        try:
            rescuer.leave([self._process_of(pid) for pid in self._known])
        except UnavailableError as error:
            logger.warning("leases are left to lapse: %s", error)

    def end(self) -> None:
        """Stop, after giving back what is held; waits a few seconds at most."""
        self._ended.set()
        self.join(timeout=5)

    def _tick(self, rescuer: Rescuer) -> None:
        living = set(self._living())
        for pid in self._known - living:
            rescuer.lost(self._process_of(pid))
        self._known = living
        rescuer.tick([self._process_of(pid) for pid in living])

    def _living(self) -> Iterator[int]:
        """Yield the processes of this worker that can execute: a stopped one cannot.

        A child that holds the interpreter's lock for long is alive all the same, which is why the
        main process speaks for it.
        """
        yield os.getpid()
        for pid in (getattr(self._worker.pool, "info", None) or {}).get("processes", ()):
            try:
                state = psutil.Process(pid).status()
            except psutil.NoSuchProcess:
                continue
            if state not in _GONE and state != psutil.STATUS_STOPPED:
                yield pid

    def _process_of(self, pid: int) -> str:
        return process_name(self._worker.hostname, pid)

    def _depth(self, queue: str) -> int | None:
        with self._installation.app.connection_or_acquire() as connection:
            return queue_depth(connection, queue)
