"""What the command prints: what was asked for to standard output, all else to standard error."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.text import Text

from gostage_core.status import RunStatus
from gostage_workers.cli.documents import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

_ENDLESS: Final = 10_000
"""The width of what is no terminal: a program that reads lines wants them whole."""

_COLOURS: Final = {
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "yellow",
    RunStatus.BAILED: "yellow",
}


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _ENDLESS)


out: Final = _console()
err: Final = _console(stderr=True)


def show(what: RenderableType) -> None:
    """Print what was asked for, to standard output."""
    out.print(what)


def problem(message: str) -> None:
    """Say on standard error what is wrong."""
    err.print(Text("Error: ", "bold red").append(message, "default"), soft_wrap=True)


def note(message: str) -> None:
    """Say on standard error what is going on."""
    err.print(Text(message, "dim"), soft_wrap=True)


def data(value: Any) -> None:
    """Print *value* as one line of JSON on standard output."""
    click.echo(json.dumps(plain(value)))


def status_text(status: RunStatus) -> Text:
    """Return a status in its colour."""
    return Text(status.value, _COLOURS.get(status, "cyan"))


def count(number: int, noun: str) -> str:
    """Return *number* and its *noun*, in the plural where it takes one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def elapsed(began: datetime | None, ended: datetime | None) -> str:
    """Return how long something took, or has taken so far; empty where it has not begun."""
    if began is None:
        return ""
    # The clock of the server, which wrote these, may be ahead of this machine's.
    return span(max(0.0, ((ended or datetime.now(UTC)) - began).total_seconds()))


def span(seconds: float) -> str:
    """Return a time span as people write it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))
