"""What the engine takes of the machine that it runs on: time and chance."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime
from typing import Final


class Machine:
    """The clocks and the chance of this machine. Safe to share between threads.

    A test kit puts one of its own in the place of this, so that nothing happens by real time.
    """

    patience: float = 1.0
    """How long who waits for a notice relies on that, before looking by itself, in seconds."""
    ask_every: float = 0.5
    """How long an attempt that looks at ``cancelled`` relies on what it was told, in seconds."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds of a clock that nobody sets."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass."""
        time.sleep(seconds)

    def random(self) -> float:
        """Return a number from 0 to 1; it spreads what would come at one moment."""
        return random.random()  # noqa: S311 - no secret

    def token(self, size: int = 16) -> str:
        """Return hex digits of *size* bytes, which tell one thing from every other."""
        return os.urandom(size).hex()


MACHINE: Final = Machine()
"""This one."""
