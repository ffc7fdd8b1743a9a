"""Finds work that the books say a living process does, and nobody does.

A server that lost its last moments (a power failure, a failover) has the claim of an attempt whose
commit it had taken and no longer knows. Its process lives, so its lease is good for ever; it is at
other things, or at none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from gostage_core.rescuer import Rescuer
    from gostage_core.state.operations import State

_LOOKS: Final = 4
"""How often the books are compared once the server is another than before; two looks suffice."""


class Audit:
    """Compares the books of one worker's processes with what the worker knows itself to be at.

    Only after the server was started anew or changed, and never on the evidence of one look: a
    claim and what is known of it are not read in the same instant.
    """

    def __init__(self, state: State, rescuer: Rescuer) -> None:
        """Have *rescuer* take back what is found."""
        self._state = state
        self._rescuer = rescuer
        self._server = ""
        self._looks = 0
        self._next = 0.0
        self._idle: set[tuple[str, str, str]] = set()

    def look(self, processes: Iterable[str], at_work: Callable[[], Collection[str]]) -> None:
        """Take back what was found at the last look and still is, once in a lease.

        *at_work* tells, as ``"run entry"``, what the worker has begun, or will, and not ended.
        """
        now = self._state.machine.monotonic()
        if now < self._next:
            return
        self._next = now + self._state.settings.lease
        self._notice_another_server()
        if self._looks:
            self._looks -= 1
            self._compare(processes, at_work)

    def _notice_another_server(self) -> None:
        server = self._state.server_id()
        if server != self._server:
            self._server, self._looks, self._idle = server, _LOOKS, set()

    def _compare(self, processes: Iterable[str], at_work: Callable[[], Collection[str]]) -> None:
        books = {
            (process, slot, member)
            for process in processes
            for slot, member in self._state.claims_of(process).items()
        }
        known = at_work()
        idle = {one for one in books if one[2] not in known}
        for one in idle & self._idle:
            self._rescuer.give_back(*one)
        self._idle = idle
