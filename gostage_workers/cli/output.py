"""What the command prints: data to standard output, everything else to standard error."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from gostage_core.status import ActionStatus, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.result import ActionResult, RunResult, RunSummary, StageResult

out: Final = Console()
err: Final = Console(stderr=True)

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
_COLOURS: Final = {
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "yellow",
    RunStatus.BAILED: "yellow",
}


def problem(message: str) -> None:
    """Say on standard error what is wrong."""
    err.print(Text("gostage: ", style="bold red").append(Text(message, style="default")), soft_wrap=True)


def note(message: str) -> None:
    """Say on standard error what is going on."""
    err.print(Text(message, style="dim"), soft_wrap=True)


def data(value: Any) -> None:
    """Print *value* as one line of JSON on standard output."""
    click.echo(json.dumps(_plain(value), ensure_ascii=False))


def status_text(status: RunStatus) -> Text:
    """Return a status in its colour."""
    return Text(status.value, style=_COLOURS.get(status, "cyan"))


def runs_table(summaries: Iterable[RunSummary]) -> Table:
    """Return runs as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("RUN", "WORKFLOW", "STATUS", "SUBMITTED", "DURATION"):
        table.add_column(column, overflow="fold")
    for run in summaries:
        table.add_row(
            Text(run.run_id),
            Text(run.name),
            status_text(run.status),
            run.submitted_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            span(run.duration),
        )
    return table


def run_tree(title: str, result: RunResult) -> Tree:
    """Return a run as a tree of stages and actions, with states and times."""
    head = Text(f"{title}  ").append(status_text(result.status)).append(f"  {span(result.duration)}", "dim")
    tree = Tree(head, guide_style="dim")
    for stage in result.stages.values():
        branch = tree.add(_stage_line(stage))
        for action in stage.actions:
            branch.add(_action_line(action))
    if result.error is not None:
        tree.add(Text(str(result.error), style="red"))
    if result.bail_reason:
        tree.add(Text(f"bailed: {result.bail_reason}", style="yellow"))
    return tree


def span(seconds: float | None) -> str:
    """Return a time span as people write it."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))


def result_data(result: RunResult, store: bool = True) -> dict[str, Any]:
    """Return a result as plain data."""
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "duration": result.duration,
        "error": None if result.error is None else asdict(result.error),
        "bail_reason": result.bail_reason,
        "revision": result.plan.revision,
        "stages": [_plain(asdict(stage)) for stage in result.stages.values()],
        "store": _plain(_readable_store(result)) if store else None,
    }


def _readable_store(result: RunResult) -> dict[str, Any]:
    """Values as far as this process knows their types; a name in place of those that it does not."""
    from gostage_core.errors import StoreError

    values: dict[str, Any] = {}
    for name in result.store.keys():  # noqa: SIM118 - a store is no dict
        try:
            values[name] = result.store[name]
        except StoreError as error:
            values[name] = f"<{error}>"
    return values


def _stage_line(stage: StageResult) -> Text:
    mark, style = _MARKS[stage.status]
    line = Text(f"{mark} ", style).append(stage.name, "bold")
    done = sum(action.status.is_terminal for action in stage.actions)
    line.append(f"  {done}/{len(stage.actions)}", "dim")
    if stage.parallel:
        line.append("  side by side", "dim")
    if stage.added:
        line.append("  added", "magenta")
    return line.append(f"  {span(stage.duration)}", "dim")


def _action_line(action: ActionResult) -> Text:
    mark, style = _MARKS[action.status]
    line = Text(f"{mark} ", style).append(action.name)
    if action.attempt > 1:
        line.append(f"  attempt {action.attempt}", "yellow")
    if action.progress is not None and action.status is ActionStatus.RUNNING:
        line.append(f"  {action.progress:.0%} {action.message}", "cyan")
    if action.added_by:
        line.append(f"  added by {action.added_by}", "magenta")
    line.append(f"  {span(action.duration)}", "dim")
    if action.error is not None and action.status is not ActionStatus.COMPLETED:
        line.append(f"  {action.error.type}: {action.error.message}", "red")
    return line


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else str(value)
