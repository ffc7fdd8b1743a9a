"""The time of an engine in memory, and what a body may take of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gostage_core.duration import seconds
from gostage_core.testing.memory.clock import Clock
from gostage_core.timeout import OvertimeSignal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.duration import Duration

_MICRO = 1_000_000


class HeldClock(Clock):
    """The time of an engine. It stands still until the engine or somebody else moves it."""

    __slots__ = ("_limit",)

    def __init__(self, start: float) -> None:
        """Begin at *start*, in seconds since 1970."""
        super().__init__(start)
        self._limit: int | None = None

    def advance(self, duration: Duration) -> None:
        """Let *duration* pass, and nothing else: what falls due is done by the engine.

        It is for a fake that a body calls: so a body takes time. Where that is more than its
        ``timeout`` allows, the body is interrupted in this very call, as under Celery's prefork.

        Raises:
            ValueError: not a duration.
        """
        end = self.microseconds + round(seconds(duration) * _MICRO)
        if self._limit is not None and end >= self._limit:
            self.microseconds = max(self.microseconds, self._limit)
            raise OvertimeSignal
        self.microseconds = end

    def move_to(self, microseconds: int) -> None:
        """Let time pass until then, whatever body stands still meanwhile; never backwards."""
        self.microseconds = max(self.microseconds, microseconds)

    @contextmanager
    def limited(self, timeout: float | None, _give_up: Callable[[], None]) -> Iterator[None]:
        """Interrupt a body that takes more than *timeout* seconds of this time."""
        around = self._limit
        self._limit = None if timeout is None else self.microseconds + round(timeout * _MICRO)
        try:
            yield
            if self._limit is not None and self.microseconds >= self._limit:
                raise OvertimeSignal
        finally:
            self._limit = around
