"""The machine that an engine in memory runs on: its clock is held, its chance is repeated."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

from gostage_core.machine import Machine

if TYPE_CHECKING:
    from datetime import datetime

    from gostage_core.testing.engine.clock import HeldClock


class HeldMachine(Machine):
    """Gives the same ids, nonces and jitter for the same seed, and no time but the clock's."""

    patience = math.inf  # no notice is lost here
    ask_every = 0.0  # no time passes between two looks of a body at what it was told

    def __init__(self, clock: HeldClock, seed: int) -> None:
        """Go by *clock*, and repeat what *seed* gives."""
        self._clock = clock
        self._chance = Random(seed)  # noqa: S311 - it is to be repeated

    def now(self) -> datetime:
        """Return the time of the clock, in UTC."""
        return self._clock.now

    def monotonic(self) -> float:
        """Return the seconds of the clock."""
        return self._clock.seconds

    def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self._clock.advance(seconds)

    def random(self) -> float:
        """Return the next number from 0 to 1."""
        return self._chance.random()

    def token(self, size: int = 16) -> str:
        """Return the next hex digits of *size* bytes."""
        return self._chance.randbytes(size).hex()
