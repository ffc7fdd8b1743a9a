"""Writes stages and actions of a plan as lines for people: state, time, worker, progress, error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from gostage_core.status import ActionStatus
from gostage_workers.cli.output import elapsed, status_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from gostage_core.result import ActionResult, RunResult, StageResult
    from gostage_core.summary import RunSummary

_MARKS: Final = {
    ActionStatus.PENDING: ("·", "dim"),
    ActionStatus.RUNNING: ("▶", "cyan"),
    ActionStatus.SLEEPING: ("z", "blue"),
    ActionStatus.WAITING: ("?", "blue"),
    ActionStatus.COMPLETED: ("✓", "green"),
    ActionStatus.FAILED: ("✗", "red"),
    ActionStatus.SKIPPED: ("-", "dim"),
    ActionStatus.REMOVED: ("x", "dim"),
    ActionStatus.CANCELLED: ("⊘", "yellow"),
}
_SPEAK_FOR_THEMSELVES: Final = frozenset({ActionStatus.PENDING, ActionStatus.COMPLETED})
UNREMARKABLE: Final = _SPEAK_FOR_THEMSELVES | {
    ActionStatus.SKIPPED, ActionStatus.REMOVED, ActionStatus.CANCELLED,
}  # fmt: skip


def headline(summary: RunSummary, result: RunResult) -> Text:
    """Return what a run is called, how it stands, and how long it has taken."""
    line = Text(summary.name, "bold").append(f"  {result.run_id}  ", "default")
    line.append(status_text(result.status))
    _append_time(line, summary.began_at, summary.ended_at)
    return line


def stage_line(stage: StageResult, run_ended_at: datetime | None) -> Text:
    """Return a stage as a line: state, how much of it is done, time, what it failed with."""
    mark, style = _MARKS[stage.status]
    line = Text(f"{mark} ", style).append(stage.name, "bold")
    done = sum(action.status.is_terminal for action in stage.actions)
    line.append(f"  {done:,}/{len(stage.actions):,}", "default")
    _append_time(line, stage.began_at, stage.ended_at or run_ended_at)
    _append_state(line, stage.status)
    if stage.parallel:
        line.append("  parallel", "dim")
    if stage.added:
        line.append("  added", "magenta")
    if stage.error is not None and all(action.error is None for action in stage.actions):
        line.append(f"  {stage.error.type}: {first_line(stage.error.message)}", "red")
    return line


def action_line(action: ActionResult) -> Text:
    """Return an action as a line: state, time, worker, progress, attempt, what it failed with."""
    mark, style = _MARKS[action.status]
    line = Text(f"{mark} ", style).append(_label(action), "default")
    _append_time(line, action.began_at, action.ended_at)
    _append_state(line, action.status)
    if action.status is ActionStatus.RUNNING:
        line.append(f" on {worker_name(action.worker)}", "cyan")
        if action.progress is not None:
            line.append(f"  {action.progress:.0%} {first_line(action.message)}".rstrip(), "cyan")
    if action.status is ActionStatus.WAITING and action.child_run_id:
        line.append(f" for run {action.child_run_id}", "blue")
    if action.attempt > 1:
        line.append(f"  attempt {action.attempt}", "yellow")
    if action.added_by:
        line.append(f"  added by {action.added_by}", "magenta")
    if action.handled_by:
        line.append(f"  handled by {action.handled_by}", "yellow")
    if action.error is not None and action.status is not ActionStatus.COMPLETED:
        line.append(f"  {action.error.type}: {first_line(action.error.message)}", "red")
    return line


def is_worth_a_look(action: ActionResult) -> bool:
    """Tell whether an action is one that somebody looks for in a long list."""
    return action.status not in UNREMARKABLE or action.attempt > 1


def counts_text(counts: Mapping[ActionStatus, int]) -> str:
    """Return how many are in which state: ``9,812 completed, 1 failed``."""
    told = (f"{counts[one]:,} {one.value}" for one in ActionStatus if counts.get(one))
    return ", ".join(told)


def amount_done(actions: Sequence[ActionResult]) -> float:
    """Return how many of *actions* have ended, and which part of those that run is done."""
    done = sum(action.status.is_terminal for action in actions)
    begun = sum(one.progress or 0 for one in actions if one.status is ActionStatus.RUNNING)
    return done + begun


def worker_name(process: str) -> str:
    """Return the name of the worker that *process*, as the plan names it, belongs to."""
    return process.partition("/")[0].rsplit(".", 2)[0]


def worker_pid(process: str) -> int:
    """Return the number of *process*, as the plan names it."""
    return int(process.partition("/")[0].rpartition(".")[2])


def first_line(text: str) -> str:
    """Return the first line of *text*, and whether there are more."""
    first, newline, _ = text.strip().partition("\n")
    return f"{first} …" if newline else first


def _label(action: ActionResult) -> str:
    """Return the name, with what it is nested in: ``pack[3]/wrap``."""
    within = action.within.rpartition("/")[2]
    return f"{within}/{action.name}" if within else action.name


def _append_time(line: Text, began: datetime | None, ended: datetime | None) -> None:
    if time := elapsed(began, ended):
        line.append(f"  {time}", "dim")


def _append_state(line: Text, status: ActionStatus) -> None:
    if status not in _SPEAK_FOR_THEMSELVES:
        line.append(f"  {status.value}", _MARKS[status][1])
