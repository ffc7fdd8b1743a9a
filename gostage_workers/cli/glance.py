"""Looks at a run that somebody follows, as often as is worth it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from gostage_core.status import RunStatus
from gostage_workers.cli.output import note

if TYPE_CHECKING:
    from gostage_core.result import RunResult
    from gostage_core.run import Run

_NOBODY_SECONDS: Final = 5.0
_REDRAW_SECONDS: Final = 0.1
_SHARE_OF_READING: Final = 0.2
"""How much of the time may go into reading the plan anew: one of 10,000 actions takes its time."""


class Glance:
    """Reads a run's plan as often as is worth it, and says when nobody takes the run."""

    def __init__(self, run: Run, hint: str) -> None:
        """Look at *run*; *hint* is what to say where no worker takes it for some seconds."""
        self._run = run
        self._hint = hint
        self._began = time.monotonic()
        self._next_look = 0.0

    def look(self) -> RunResult | None:
        """Return how the run stands, unless that was looked at just now."""
        status = self._run.status
        now = time.monotonic()
        if status is RunStatus.PENDING and self._hint and now - self._began > _NOBODY_SECONDS:
            note(self._hint)
            self._hint = ""
        if now < self._next_look and not status.is_terminal:
            return None
        result = self._run.result()
        took = time.monotonic() - now
        self._next_look = now + max(_REDRAW_SECONDS, took / _SHARE_OF_READING)
        return result
