"""When a schedule is due: by a cron expression, or every so often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
        if self.cron is not None:
            try:
                next(CronSim(self._expression, datetime(2024, 1, 1, tzinfo=self._zone)))
            except (CronSimError, StopIteration):
                raise ValueError(
                    f"{self.cron!r} is not a cron expression with a time to come; write five "
                    f"fields: minute hour day-of-month month day-of-week"
                ) from None
        return self

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
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
        """Yield the times that it is due after *ms*."""
        if self.every is not None:
            step = round(self.every * 1000)
            at = self.anchor + (max(0, ms - self.anchor) // step + 1) * step
            while True:
                yield at
                at += step
        begin = datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._zone)
        for at_time in CronSim(self._expression, begin):
            due = round(at_time.timestamp() * 1000)
            if due > ms:
                yield due

    @property
    def text(self) -> str:
        """What people are told."""
        if self.every is not None:
            return f"every {timedelta(seconds=self.every)}"
        return f"{self.cron} {self.timezone}"

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def _expression(self) -> str:
        text = self.cron or ""
        return _NICKNAMES.get(text, text)
