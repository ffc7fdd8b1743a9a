"""When a schedule is due: by a cron expression, or every so often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from gostage_core.authoring.definition_fields import Delay
from gostage_core.authoring.sparse import SparseModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""What cron itself has names for."""

_FIELDS: Final = 5

_SPANS: Final = tuple(round(days * 86_400_000) for days in (1 / 24, 1, 7, 31, 366, 9 * 366))
"""How far back a last time is looked for, in ms, one after the other: leap days are the rarest."""


class Timing(SparseModel):
    """When a schedule is due.

    A cron expression is read as Debian's cron reads it, in its time zone: where clocks are put
    forward, what falls into the missing hour is due right after it; where they are put back, what
    is due at a fixed hour is due once.
    """

    cron: str | None = Field(default=None, max_length=200)
    """Five fields: minute, hour, day of month, month, day of week; or ``@daily`` and the like."""

    every: Delay | None = Field(default=None, ge=1)
    """Seconds between two times."""

    anchor: int = 0
    """The time that intervals are counted from, by the server's clock in ms."""

    timezone: str = "UTC"
    """The time zone of the cron expression, by its IANA name."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError("give it either cron= or every=")
        if self.cron is not None and not self._comes():
            raise ValueError(
                f"{self.cron!r} is not a cron expression with a time to come; write five "
                f"fields: minute hour day-of-month month day-of-week"
            )
        return self

    @field_validator("cron")
    @classmethod
    def _in_one_line(cls, text: str | None) -> str | None:
        return None if text is None else " ".join(text.split())

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            _zone_called(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"{name!r} is no time zone that is known here; write it like 'Europe/Berlin'"
            ) from None
        return name

    def after(self, ms: int) -> int:
        """Return the first time that it is due after *ms*, both by the server's clock.

        Raises:
            StopIteration: never again.
        """
        return next(self.times(ms))

    def times(self, ms: int) -> Iterator[int]:
        """Yield the times that it is due after *ms*, each once."""
        if self.every is not None:
            at = self.anchor + (max(0, ms - self.anchor) // self._step + 1) * self._step
            while True:
                yield at
                at += self._step
        begin = datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._zone)
        for at_time in CronSim(self._expression, begin):
            due = round(at_time.timestamp() * 1000)
            if due > ms:  # several times of an hour that clocks leave out are one
                yield due
                ms = due

    def last(self, ms: int) -> int | None:
        """Return the last time that it was due, at *ms* or before; ``None`` for never."""
        if self.every is not None:
            steps = (ms - self.anchor) // self._step
            return self.anchor + steps * self._step if steps > 0 else None
        for span in _SPANS:
            found = None
            for at in self.times(ms - span):
                if at > ms:
                    break
                found = at
            if found is not None:
                return found
        return None

    def count(self, first: int, end: int, most: int) -> int:
        """Return how many times there are from *first*, which is one, to before *end*.

        They are counted up to about *most*.
        """
        if self.every is not None:
            return max(0, -(-(end - first) // self._step))
        times, count = self.times(first), 0
        while first < end and count < most:
            count += 1
            first = next(times, end)
        return count

    @property
    def text(self) -> str:
        """What people are told."""
        if self.every is not None:
            return f"every {timedelta(seconds=self.every)}"
        return f"{self.cron} {self.timezone}"

    def _comes(self) -> bool:
        """Tell whether the cron expression is one, and names a time to come."""
        if len(self._expression.split()) != _FIELDS:
            return False
        try:
            next(CronSim(self._expression, datetime(2024, 1, 1, tzinfo=self._zone)))
        except (CronSimError, StopIteration):
            return False
        return True

    @property
    def _step(self) -> int:
        return round((self.every or 0) * 1000)

    @cached_property
    def _zone(self) -> tzinfo:
        return _zone_called(self.timezone)

    @property
    def _expression(self) -> str:
        text = self.cron or ""
        return _NICKNAMES.get(text.lower(), text)


def _zone_called(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
