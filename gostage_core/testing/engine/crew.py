"""The workers of an engine in memory: each makes one attempt at a time, and may die or freeze."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from gostage_core.attempt import Executor, Place
from gostage_core.state.operations import State
from gostage_core.testing.engine.threads import off_the_loop
from gostage_core.testing.memory import MemoryClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.attempt import Ended, Moment
    from gostage_core.testing.engine.post import Hint
    from gostage_core.testing.memory import Fault, MemoryServer
    from gostage_core.testing.memory.faults import Words


class Death(BaseException):
    """Ends what a worker does, as the death of its process.

    Not an ``Exception``, so that a body's own handler lets it pass.
    """


class Watch:
    """Is told of all that workers do, and may interfere. This one does not."""

    def deliveries(self, hint: Hint) -> int:
        """Return how often a message is delivered."""
        return 1

    def before(self, worker: Worker, request: Sequence[Words]) -> Fault | None:
        """Say what becomes of a request to the server."""

    def after(self, worker: Worker, request: Sequence[Words]) -> None:
        """Hear that a request has its answer, which the worker has not seen yet."""

    def reached(self, worker: Worker, moment: Moment) -> None:
        """Hear where an attempt has come to."""


class Worker:
    """One process that makes attempts.

    Attributes:
        name: What its leases are held under.
        hint: What it works on; ``None`` while it is free.
        is_dead: Whether its process is gone.
        is_frozen: Whether its process stands still, and renews no lease.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.executor: Executor
        self.hint: Hint | None = None
        self.is_dead = False
        self.is_frozen = False

    @property
    def is_living(self) -> bool:
        """Whether its leases are renewed."""
        return not (self.is_dead or self.is_frozen)

    def die(self) -> None:
        """End the process here and now."""
        self.is_dead = True
        raise Death

    def attempt(self, hint: Hint) -> Ended | None:
        """Do what *hint* hints at; ``None`` when the worker died of it."""
        self.hint = hint
        mark = "" if hint.at_head else hint.queue
        work = partial(self.executor.attempt, hint.run_id, hint.entry, mark=mark, have=hint.have)
        try:
            return off_the_loop(work)
        except Death:
            return None
        finally:
            self.hint = None


class Crew:
    """The workers of one engine; as many as are needed at a time."""

    def __init__(self, server: MemoryServer, state: State, place: Callable[[str], Place]) -> None:
        """Employ one. *place* says where a worker makes attempts, by its name."""
        self._server = server
        self._state = state
        self._place = place
        self._watch: Watch | None = None
        self._workers = [self._hired(1)]

    @property
    def living(self) -> list[str]:
        """The names of those whose leases are renewed."""
        return [worker.name for worker in self._workers if worker.is_living]

    def free(self) -> Worker:
        """Return one that has nothing to do."""
        for worker in self._workers:
            if worker.is_living and worker.hint is None:
                return worker
        worker = self._hired(len(self._workers) + 1)
        self._workers.append(worker)
        return worker

    def deliveries(self, hint: Hint) -> int:
        """Return how often a message is delivered."""
        return 1 if self._watch is None else self._watch.deliveries(hint)

    def watched_by(self, watch: Watch) -> None:
        """Have *watch* told of all that is done from now on."""
        self._watch = watch
        self._workers = [self._hired(1)]

    def _hired(self, number: int) -> Worker:
        worker = Worker(f"worker-{number}")
        watch, state = self._watch, self._state
        place = self._place(worker.name)
        if watch is None:
            worker.executor = Executor(state, place)
            return worker
        client = MemoryClient(self._server, faults=partial(watch.before, worker))
        client.answered = partial(watch.after, worker)
        worker.executor = Executor(
            State(state.settings, client, state.machine, state.vault),
            place,
            reached=partial(watch.reached, worker),
        )
        return worker


def is_interrupted() -> bool:
    """Tell whether a person interrupts the test, which is no failure of the body at work."""
    return isinstance(sys.exception(), KeyboardInterrupt)
