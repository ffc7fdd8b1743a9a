"""What one Celery app has of gostage, opened in the process that uses it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from gostage_core.attempt import Executor, Place
from gostage_core.broker.app import direct_line
from gostage_core.broker.signatures import Signer
from gostage_core.coordinator import Coordinator
from gostage_core.errors import UnavailableError
from gostage_core.runner import Runner
from gostage_core.sealing.vault import Vault
from gostage_core.state.operations import State
from gostage_core.timeout import giving_up, interrupting
from gostage_workers.identity import in_pool_child, process_name, stopping
from gostage_workers.isolation import Isolation
from gostage_workers.publishing import Publisher
from gostage_workers.resource_scopes import process_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

    from gostage_core.attempt import Moment
    from gostage_core.settings import Settings
    from gostage_core.state.answers import Claim

_ATTRIBUTE: Final = "gostage"


class Installation:
    """What one Celery app has of gostage. Connections are opened in the process that uses them."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        Vault.of(settings)  # keys that are none show here, and not in a child of the pool
        self.signer = Signer.of(settings)
        line = direct_line(app, settings, lambda *message: self.state.push(*message))
        self.coordinator = Coordinator(app, settings.namespace, line, self.signer)
        self.reached: Callable[[Moment], None] = lambda _moment: None
        """Told of each point between which an attempt may die; tests hook in here."""
        self._lock = threading.Lock()
        self._pid = 0
        self._state: State | None = None
        self._runner: Runner | None = None
        self._executor: Executor | None = None

    @property
    def state(self) -> State:
        """The state, over connections of this very process."""
        self._in_this_process()
        assert self._state is not None
        return self._state

    @property
    def runner(self) -> Runner:
        """What submits runs from this very process.

        What it submits has come through the queue, whose length refuses it no more.
        """
        if self._runner is None or self._pid != os.getpid():
            self._runner = Runner.over(self.state, self.coordinator.send)
        return self._runner

    def executor(self, node: str) -> Executor:
        """Return the executor of this process, on the worker called *node*."""
        self._in_this_process()
        if self._executor is None:
            process = process_name(node)
            place = Place(
                process,
                interrupting if in_pool_child() else giving_up,
                stopping,
                process_scope.attempt,
                Publisher(
                    self.app,
                    self.settings.namespace,
                    self.signer,
                    hides_arguments=self.state.vault.is_open,
                ),
                isolate=Isolation(self.settings, process, self._is_lost),
            )
            self._executor = Executor(self.state, place, reached=lambda m: self.reached(m))
        return self._executor

    def _is_lost(self, claim: Claim) -> bool:
        """Tell whether an attempt's lease has gone; not while nobody answers."""
        try:
            return self.state.control(claim) == "lost"
        except UnavailableError:
            return False

    def _in_this_process(self) -> None:
        """Open anew after a fork: a connection shared by two processes mixes up their answers."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid():
                self._state = State(self.settings)
                self._executor = self._runner = None
                self._pid = os.getpid()


def attach(app: Celery, settings: Settings) -> Installation:
    """Make an installation and leave it with *app*."""
    installation = Installation(app, settings)
    setattr(app, _ATTRIBUTE, installation)
    return installation


def installation_of(app: Celery) -> Installation | None:
    """Return what :func:`attach` left with *app*, if it did."""
    return getattr(app, _ATTRIBUTE, None)
