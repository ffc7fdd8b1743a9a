"""What of the product is left to chance or to real time, and what stands in for it here.

====================================  ==========================================
nonces, tokens, jitter, clocks        the machine that a state has
the slot of a thread                  ``threading.get_ident`` in ``attempt``
====================================  ==========================================

Ids of runs are given. Everything else that decides is the server's clock, which the loop moves, or
the order in which fibers come to the server, which the loop decides.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import patch

from gostage_core import attempt
from gostage_core.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.simulation.loop import Loop

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SeededMachine(Machine):
    """Has its time from a loop, and its chance from a seed."""

    def __init__(self, loop: Loop, chance: Random) -> None:
        self._loop = loop
        self._chance = chance

    def now(self) -> datetime:
        """Return the time of the loop."""
        return _EPOCH + timedelta(microseconds=self._loop.clock.microseconds)

    def monotonic(self) -> float:
        """Return the seconds of the loop."""
        return self._loop.now

    def sleep(self, seconds: float) -> None:
        """Let others go on."""
        self._loop.sleep(seconds)

    def random(self) -> float:
        """Return the next number of the seed."""
        return self._chance.random()

    def token(self, size: int = 16) -> str:
        """Return the next digits of the seed."""
        return self._chance.randbytes(size).hex()


@contextmanager
def slots_of(loop: Loop) -> Iterator[None]:
    """Let each fiber of *loop* be a thread to the product."""
    threading = SimpleNamespace(get_ident=lambda: loop.current.ident if loop.current else 0)
    with patch.object(attempt, "threading", threading):
        yield
