"""Does attempts in processes of their own, which may die without harm to anything else."""

from __future__ import annotations

import logging
import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.registry import registry
from gostage_core.errors import ProcessDiedError
from gostage_core.leaving import AttemptLostError
from gostage_core.tracing.current import carrier
from gostage_workers.assignment import Assignment, Source
from gostage_workers.inventory import take_inventory
from gostage_workers.isolated_process import IsolatedProcess
from gostage_workers.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.attempt import Ended
    from gostage_core.entry import Entry
    from gostage_core.settings import Settings
    from gostage_core.state.answers import Claim

_LOGGER: Final = logging.getLogger("gostage.action")

_ASK_SECONDS: Final = 1.0
"""How often it is asked whether the attempt is still wanted."""


class Isolation:
    """Does attempts in processes of their own. Safe to share between threads."""

    def __init__(self, settings: Settings, process: str, is_lost: Callable[[Claim], bool]) -> None:
        """Do so for the *process* that holds the leases, until one of them *is_lost*."""
        self._settings = settings
        self._process = process
        self._is_lost = is_lost

    def __call__(self, claim: Claim, entry: Entry, have: str) -> Ended:
        """Do the attempt that *claim* is the lease of, and return how it ended.

        Raises:
            ProcessDiedError: its process died, or could not be started.
            ActionTimeoutError: its process had to be killed at its timeout.
            AttemptLostError: nobody waits for it any more, and its process was killed.
        """
        observer = Observer(claim, entry)
        order = partial(self._order, claim, entry, have)
        try:
            with IsolatedProcess(order, observer.hear) as process:
                self._attend(process, observer, claim)
        except OSError as error:
            raise ProcessDiedError(f"its process cannot be started: {error}") from error
        return observer.conclude(process.death, late=not process.has_ended)

    def _attend(self, process: IsolatedProcess, observer: Observer, claim: Claim) -> None:
        ask_at = time.monotonic() + _ASK_SECONDS
        while not process.has_ended and not observer.is_late():
            left = observer.seconds_left()
            process.attend(_ASK_SECONDS if left is None else min(left, _ASK_SECONDS))
            if time.monotonic() >= ask_at and not process.has_ended and not observer.has_reported:
                if self._is_lost(claim):
                    raise AttemptLostError
                ask_at = time.monotonic() + _ASK_SECONDS

    def _order(self, claim: Claim, entry: Entry, have: str, report_fd: int) -> bytes:
        assignment = Assignment(
            parent=os.getpid(),
            report_fd=report_fd,
            sources=tuple(_sources()),
            known=entry.action in registry,
            log_level=min(_LOGGER.getEffectiveLevel(), logging.getLogger().getEffectiveLevel()),
            settings=self._settings,
            process=self._process,
            claim=claim,
            have=have,
            trace=carrier(),
        )
        return assignment.lines(sys.path)


def _sources() -> Iterator[Source]:
    """Return what this process has loaded that registered anything, in the order of loading."""
    inventory = take_inventory()
    if inventory.main_path is not None and inventory.main_name is not None:
        yield Source(inventory.main_name, inventory.main_path)
    wanted = set(inventory.modules)
    for name, module in list(sys.modules.items()):
        if name in wanted:
            yield Source(name, getattr(module, "__file__", None))
