"""The exit statuses of the command, and which error means which."""

from __future__ import annotations

from typing import Final

import click

from gostage_core.errors import (
    CorruptRunError,
    CorruptScheduleError,
    ForkError,
    GostageError,
    HistoryLostError,
    RunExistsError,
    RunStateError,
    RunTimeoutError,
    ScheduleExistsError,
    SignalLimitError,
    UnavailableError,
)

FAILED: Final = 1
USAGE: Final = 2
NOT_REACHABLE: Final = 3
INTERRUPTED: Final = 130
"""What shells use for an end by Ctrl-C: 128 and the number of the signal."""

_REFUSALS: Final = (
    *(RunTimeoutError, RunStateError, RunExistsError, CorruptRunError, HistoryLostError),
    *(ForkError, SignalLimitError, ScheduleExistsError, CorruptScheduleError),
)
"""What is asked for in the right words, and yet cannot be done."""


class InputError(click.ClickException):
    """What a command was given cannot be used; its words were right, so no usage is shown."""

    exit_code = USAGE


def status_of(error: GostageError) -> int:
    """Return the exit status that *error* means."""
    if isinstance(error, UnavailableError):
        return NOT_REACHABLE
    return FAILED if isinstance(error, _REFUSALS) else USAGE
