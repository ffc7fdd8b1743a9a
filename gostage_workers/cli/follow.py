"""Follows a run on the terminal: a progress bar while it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from gostage_core.status import ActionStatus, RunStatus
from gostage_workers.cli.glance import Glance
from gostage_workers.cli.output import err
from gostage_workers.cli.plan_lines import amount_done

if TYPE_CHECKING:
    from gostage_core.result import RunResult
    from gostage_core.run import Run


def follow(run: Run, timeout: float | None, hint: str) -> RunResult:
    """Show a bar of the run's actions until it has ended, and return its result.

    Args:
        run: to follow.
        timeout: seconds to wait.
        hint: what to say where no worker takes the run for some seconds.

    Raises:
        RunTimeoutError: *timeout* seconds have passed; the run goes on.
    """
    glance = Glance(run, hint)
    with _bar() as progress:
        bar = progress.add_task("waiting for a worker", total=None, counts="")
        for _ in run.changes(timeout):
            result = glance.look()
            if result is None:
                continue
            counted = [action.status for action in result.actions]
            done = sum(status.is_terminal for status in counted)
            progress.update(
                bar,
                description=_what_runs(result),
                completed=amount_done(result.actions),
                total=len(counted) or None,
                counts=f"{done:,}/{len(counted):,}",
            )
            if result.status.is_terminal:
                return result
    raise AssertionError("a run's changes end with its end or with a time-out")


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
