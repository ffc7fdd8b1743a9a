"""Follows a run on the terminal: a progress bar while it lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gostage_core.status import RunStatus
from gostage_workers.cli.output import err, note

if TYPE_CHECKING:
    from gostage_core.result import RunResult
    from gostage_core.run import Run

_NOBODY_SECONDS: Final = 5.0
_REDRAW_SECONDS: Final = 0.1


def follow(run: Run, timeout: float | None = None) -> RunResult:
    """Show a bar of the run's actions until it has ended, and return its result.

    Raises:
        RunTimeoutError: *timeout* seconds have passed; the run goes on.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    ) as progress:
        bar = progress.add_task("waiting for a worker", total=None)
        started, drawn, told = time.monotonic(), 0.0, False
        for _ in run.changes(timeout):
            now = time.monotonic()
            status = run.status
            if not told and status is RunStatus.PENDING and now - started > _NOBODY_SECONDS:
                note("no worker has taken the run yet; start one with: gostage worker MODULE")
                told = True
            if status.is_terminal or now - drawn >= _REDRAW_SECONDS:
                drawn = now
                result = run.result()
                done = sum(action.status.is_terminal for action in result.actions)
                progress.update(
                    bar, description=_where(result), completed=done, total=len(result.actions) or None
                )
                if result.status.is_terminal:
                    return result
    raise AssertionError("a run's changes end with its end or with a time-out")


def _where(result: RunResult) -> str:
    running = [stage.name for stage in result.stages.values() if stage.began_at and not stage.ended_at]
    return running[-1] if running else result.status.value
