"""Follows a run on the terminal: a progress bar while it lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from gostage_core.status import ActionStatus, RunStatus
from gostage_workers.cli.output import err, note

if TYPE_CHECKING:
    from gostage_core.result import RunResult
    from gostage_core.run import Run

_NOBODY_SECONDS: Final = 5.0
_REDRAW_SECONDS: Final = 0.1
_SHARE_OF_READING: Final = 0.1
"""How much of the time may go into reading the plan anew: one of 10,000 actions takes its time."""


def follow(run: Run, timeout: float | None, hint: str) -> RunResult:
    """Show a bar of the run's actions until it has ended, and return its result.

    Args:
        run: to follow.
        timeout: seconds to wait.
        hint: what to say where no worker takes the run for some seconds.

    Raises:
        RunTimeoutError: *timeout* seconds have passed; the run goes on.
    """
    watch = _Watch(run, hint)
    with _bar() as progress:
        bar = progress.add_task("waiting for a worker", total=None, counts="")
        for _ in run.changes(timeout):
            result = watch.look()
            if result is None:
                continue
            counted = [action.status for action in result.actions]
            done = sum(status.is_terminal for status in counted)
            begun = sum(action.progress or 0 for action in result.actions if _runs(action.status))
            progress.update(
                bar,
                description=_what_runs(result),
                completed=done + begun,
                total=len(counted) or None,
                counts=f"{done:,}/{len(counted):,}",
            )
            if result.status.is_terminal:
                return result
    raise AssertionError("a run's changes end with its end or with a time-out")


class _Watch:
    """Reads a run's plan as often as is worth it, and says when nobody takes the run."""

    def __init__(self, run: Run, hint: str) -> None:
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


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def _what_runs(result: RunResult) -> str:
    """Return the stage that runs, and the action whose progress is known, in a few words."""
    stages = [one.name for one in result.stages.values() if one.status is ActionStatus.RUNNING]
    if not stages or result.status is not RunStatus.RUNNING:
        return "waiting for a worker" if result.status is RunStatus.PENDING else result.status.value
    running = [action for action in result.actions if _runs(action.status)]
    if len(running) != 1:
        return _cut(stages[-1])
    said = f"{stages[-1]}/{running[0].name} {running[0].message}"
    return _cut(said.rstrip())


def _runs(status: ActionStatus) -> bool:
    return status is ActionStatus.RUNNING


def _cut(text: str) -> str:
    cut = Text(text.partition("\n")[0])
    cut.truncate(max(16, err.width // 2 - 8), overflow="ellipsis")
    return cut.plain
