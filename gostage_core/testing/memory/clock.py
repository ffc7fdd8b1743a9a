"""The time of an in-memory server, which stands still until somebody moves it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

START: Final = 1_704_067_200
"""When a server begins unless it is told otherwise: 2024-01-01 00:00:00 UTC, in seconds."""

_MICRO: Final = 1_000_000


class Clock:
    """What TIME answers. It goes on only with :meth:`advance`."""

    __slots__ = ("microseconds",)

    def __init__(self, start: float = START) -> None:
        """Begin at *start*, in seconds since 1970."""
        self.microseconds = round(start * _MICRO)
        """Since 1970. May be set."""

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass. A negative number sets the clock back, as may happen to a server."""
        self.microseconds += round(seconds * _MICRO)

    @property
    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.fromtimestamp(self.microseconds / _MICRO, UTC)

    @property
    def milliseconds(self) -> int:
        """Whole milliseconds since 1970."""
        return self.microseconds // 1000

    @property
    def seconds(self) -> float:
        """Seconds since 1970."""
        return self.microseconds / _MICRO
