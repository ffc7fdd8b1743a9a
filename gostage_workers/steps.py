"""The worker step that keeps leases and runs alive, under every pool."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psutil
from celery import bootsteps, signals
from celery.worker import state as worker_state

from gostage_core.audit import Audit
from gostage_core.broker.depth import queue_depth
from gostage_core.broker.hints import HINT_TASK
from gostage_core.errors import UnavailableError
from gostage_core.preflight import check_server
from gostage_core.replies import send_reply
from gostage_core.rescuer import Rescuer
from gostage_core.scheduling.firing import Firing
from gostage_workers.identity import new_boot, process_name, stop_waiting
from gostage_workers.installation import installation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_workers.installation import Installation

logger: Final = logging.getLogger(__name__)

_GONE: Final = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


class RescuerStep(bootsteps.StartStopStep):
    """Starts the lease keeper and the rescuer in the main process, and stops them last of all.

    Threads of their own: the main process's event loop stands still while the broker is away, and
    under solo while an action runs.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_options: Any) -> None:
        self._threads: list[Repeating] = []

    def create(self, worker: Any) -> Any:
        """Name this life of the node before the pool forks its children."""
        new_boot()
        if "thread" in worker.pool_cls.__module__:
            # The end of a thread's task does not wake the event loop, so a worker that takes a
            # message only when a thread is free would sit idle for most of a second each time.
            worker.app.conf.worker_disable_prefetch = False
        return super().create(worker)

    def start(self, worker: Any) -> None:
        """Check the server, then begin."""
        installation = installation_of(worker.app)
        if installation is None:
            return
        _check(installation)
        household = Household(worker)
        self._threads = [Keeper(installation, household), Watch(installation, household)]
        for thread in self._threads:
            thread.start()
        signals.worker_shutdown.connect(self._end)

    def stop(self, worker: Any) -> None:
        """Go on: what runs in the pool needs its leases until it has ended."""

    def terminate(self, worker: Any) -> None:
        """Stop waiting for a server that may be away; leases lapse by themselves."""
        stop_waiting()

    def _end(self, **_: Any) -> None:
        stop_waiting()
        for thread in reversed(self._threads):
            thread.end()


def _check(installation: Installation) -> None:
    """Refuse a server that is not fit; one that is away is waited for."""
    try:
        check_server(installation.state)
    except UnavailableError as error:
        logger.warning("%s; waiting for it", error)


class Household:
    """The processes of one worker, by the names that their leases are held under."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def living(self) -> set[str]:
        """Return the processes that can execute: a stopped one cannot.

        A child that holds the interpreter's lock for long is alive all the same, which is why the
        main process speaks for it.
        """
        return {process_name(self._worker.hostname, pid) for pid in self._pids()}

    def child(self, process: str) -> int | None:
        """Return the pool's child of that name, if it is one."""
        pids = {process_name(self._worker.hostname, pid): pid for pid in self._pids()}
        pid = pids.get(process)
        return None if pid == os.getpid() else pid

    def at_work(self) -> set[str]:
        """Return what messages name that this worker took and has not done with: "run entry"."""
        return {
            " ".join(map(str, request.args))
            for request in _requests()
            if request.type == HINT_TASK  # its name is that of the action
        }

    def _pids(self) -> Iterator[int]:
        yield os.getpid()
        for pid in (getattr(self._worker.pool, "info", None) or {}).get("processes", ()):
            try:
                state = psutil.Process(pid).status()
            except psutil.NoSuchProcess:
                continue
            if state not in _GONE and state != psutil.STATUS_STOPPED:
                yield pid


def _requests() -> list[Any]:
    while True:
        # They change while they are looked at: the event loop is in another thread.
        with contextlib.suppress(RuntimeError):
            return [*worker_state.reserved_requests, *worker_state.active_requests]


class Repeating(threading.Thread):
    """Does one thing again and again until it is ended, whatever happens."""

    def __init__(self, installation: Installation, household: Household) -> None:
        super().__init__(name=f"gostage-{type(self).__name__.lower()}", daemon=True)
        self._installation = installation
        self._household = household
        self._ended = threading.Event()

    def run(self) -> None:
        """Do it at every tick; an error is logged and survived."""
        pause = self._installation.settings.tick
        while not self._ended.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads workers
            try:
                self.once()
            except UnavailableError as error:
                logger.warning("%s", error)
            except Exception:
                logger.exception("%s goes on after an error", self.name)

    def end(self) -> None:
        """Stop; waits a few seconds at most for what is being done."""
        self._ended.set()
        self.join(timeout=5)

    def once(self) -> None:
        """Do it."""
        raise NotImplementedError


class Keeper(Repeating):
    """Renews the leases, and ends processes. Nothing that takes long may keep it from that."""

    def __init__(self, installation: Installation, household: Household) -> None:
        super().__init__(installation, household)
        self._left_alone: set[str] = set()

    def once(self) -> None:
        """Renew the leases of every living process of this worker; stop what nobody waits for."""
        doomed = self._installation.state.renew(self._household.living())
        self._left_alone.intersection_update(doomed.values())
        for process, held in doomed.items():
            self._have_stopped(process, held)

    def _have_stopped(self, process: str, held: str) -> None:
        """End the process whose body runs on beyond the grace, where it is one of its own."""
        member = held.partition(" ")[2]
        pid = self._household.child(process)
        if pid is None:
            if held not in self._left_alone:
                self._left_alone.add(held)
                logger.warning(
                    "the body of %s runs on; this pool has no process of its own for it", member
                )
            return
        logger.warning("process %s is killed: nobody waits for what it does, %s", process, member)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Watch(Repeating):
    """Lets the rescuer tick, and tells it of processes of this worker that have died."""

    def __init__(self, installation: Installation, household: Household) -> None:
        super().__init__(installation, household)
        self._rescuer = Rescuer(
            installation.state,
            installation.coordinator,
            self._depth,
            partial(send_reply, installation.state),
            Firing(installation.state, installation.coordinator.send).fire,
        )
        self._audit = Audit(installation.state, self._rescuer)
        self._known: set[str] = set()

    def once(self) -> None:
        """Take from the dead of this worker, then do what is due anywhere."""
        living = self._household.living()
        for process in self._known - living:
            self._rescuer.lost(process)
        self._known = living
        self._rescuer.tick()
        self._audit.look(living, self._household.at_work)

    def end(self) -> None:
        """Stop, and give back at once what this worker still holds."""
        super().end()
        try:
            self._rescuer.leave(self._known)
        except UnavailableError as error:
            logger.warning("leases are left to lapse: %s", error)

    def _depth(self, queue: str) -> int | None:
        with self._installation.app.connection_or_acquire() as connection:
            return queue_depth(connection, queue)
