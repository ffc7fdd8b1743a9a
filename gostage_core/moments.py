"""Moments as the server keeps them, in milliseconds, and the spans between them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(ms: bytes | str | int | None) -> datetime | None:
    """Return the moment that *ms* names; ``None`` for nothing, and for 0.

    Raises:
        ValueError: it is no number, as OverflowError and OSError: or one that no calendar has.
    """
    number = float(ms) if ms else 0
    return datetime.fromtimestamp(number / 1000, UTC) if number else None


class Timed:
    """Something that begins and ends."""

    __slots__ = ()

    began_at: datetime | None
    ended_at: datetime | None

    @property
    def duration(self) -> float | None:
        """Seconds from its begin to its end."""
        if self.began_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.began_at).total_seconds()
