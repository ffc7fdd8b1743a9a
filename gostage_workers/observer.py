"""Hears the process of one attempt, and tells what became of the attempt."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from gostage_core.errors import ProcessDiedError
from gostage_core.plan import START_SECONDS
from gostage_core.verdict import overtime
from gostage_workers.assignment import Report

if TYPE_CHECKING:
    from gostage_core.attempt import Ended
    from gostage_core.entry import Entry
    from gostage_core.state.answers import Claim
    from gostage_workers.isolated_process import Death

logger: Final = logging.getLogger("gostage.action")

_GRACE_SECONDS: Final = 1.0
"""How long a body may take to end itself at its timeout, before its process is killed."""

_EXIT_SECONDS: Final = 5.0
"""How long a process may take to end when its attempt has."""

_LAST_WORDS: Final = 30
"""How many of its last lines on stderr a failure keeps."""

_MOSTLY: Final = 0.9
"""Which part of the memory that it may have a process had that ran out of it."""


class LastWords(Exception):
    """What a process that died wrote to stderr at last: where it was, most often."""


class Observer:
    """Hears one process, writes its output to this worker's log, and tells how it went."""

    def __init__(self, claim: Claim, entry: Entry) -> None:
        self._entry = entry
        self._limit = entry.timeout
        self._ended: Ended | None = None
        self._refused: str | None = None
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._place = {
            "run": claim.run_id,
            "stage": entry.stage,
            "action": entry.name,
            "attempt": claim.attempt,
        }
        self._label = f"run {claim.run_id}, {entry.path}, attempt {claim.attempt}"
        self._deadline: float | None = None
        if entry.timeout is not None:
            self._allow(entry.timeout + START_SECONDS)

    def hear(self, channel: str, line: bytes) -> None:
        """Take in a line that came on *channel*."""
        if channel == "report":
            self._note(line)
            return
        text = line.decode(errors="replace")
        level = logging.INFO
        if channel == "stderr":
            level = logging.WARNING
            self._last_words.append(text)
        logger.log(level, "%s: %s", self._label, text, extra=self._place)

    def seconds_left(self) -> float | None:
        """Return how long it may still take; ``None`` for as long as it likes."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def has_reported(self) -> bool:
        """Whether the attempt has ended, though its process may not have."""
        return self._ended is not None

    def is_late(self) -> bool:
        """Tell whether it may take no longer."""
        return self.seconds_left() == 0.0

    def conclude(self, death: Death, *, late: bool) -> Ended:
        """Return how the attempt ended.

        Raises:
            ProcessDiedError: it did not, and neither does anything else end it.
            ActionTimeoutError: it did not within its timeout.
        """
        if self._ended is not None:
            if late:
                logger.warning("%s: its process did not end and was killed", self._label)
            return self._ended
        if self._refused is not None:
            raise ProcessDiedError(self._refused)
        if late:
            raise overtime(self._limit)
        last_words = LastWords("\n".join(self._last_words)) if self._last_words else None
        raise ProcessDiedError(cause_of(death, self._entry)) from last_words

    def _note(self, line: bytes) -> None:
        try:
            report = Report.model_validate_json(line)
        except ValidationError:  # cut off by its death
            return
        if report.record is not None:
            self._log(report.record)
        if report.limit is not None:
            self._limit = report.limit
            self._allow(report.limit + _GRACE_SECONDS)
        if report.ended is not None:
            self._ended = report.ended
            self._allow(_EXIT_SECONDS)
        self._refused = report.refused or self._refused

    def _allow(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def _log(self, record: dict[str, object]) -> None:
        made = logging.makeLogRecord(self._place | record)
        target = logging.getLogger(made.name)
        if target.isEnabledFor(made.levelno):
            target.handle(made)


def cause_of(death: Death, entry: Entry) -> str:
    """Say why a process died."""
    code, memory = death.exit_code, entry.memory_mb
    how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit status {code}"
    if code == -signal.SIGXCPU and entry.cpu_seconds is not None:
        how = f"used up its cpu_seconds={entry.cpu_seconds}"
    elif memory is not None and death.peak_kb >= memory * 1024 * _MOSTLY:
        how = f"ran out of memory (memory_mb={memory}) and {how}"
    elif memory is not None and -code in _WITHOUT_MEMORY:
        how += f", perhaps out of memory (memory_mb={memory})"
    elif code == -signal.SIGKILL:
        how += ", as the kernel does where a machine runs out of memory"
    return f"its process {how}"


_WITHOUT_MEMORY: Final = frozenset({signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV})
"""What kills a program that is denied memory, and does not expect it."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
