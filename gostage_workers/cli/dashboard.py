"""Draws the overview of a cluster, for a terminal or a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gostage_core.status import RunStatus
from gostage_workers.cli.output import count, elapsed, span, status_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from gostage_core.numbers import ActionNumbers, Numbers, QueueNumbers
    from gostage_core.summary import RunSummary
    from gostage_workers.cli.overview import Overview, Worker

_ENDED: Final = ("completed", "failed", "cancelled", "bailed")
_LATE_SECONDS: Final = 60.0
"""A message that has waited so long is worth a look."""
_METER: Final = 12


def picture(overview: Overview, rows: int, trouble: str = "") -> Group:
    """Return the picture: of each list *rows* at most; *trouble* is why it is not up to date."""
    parts: list[RenderableType] = [_head(overview.numbers)]
    if trouble:
        parts.append(Text(f"not up to date: {trouble}", "bold red"))
    for title, table in (
        ("QUEUES", _queues(overview.numbers.queues[:rows])),
        ("WORKERS", _workers(overview.workers[:rows])),
        ("ACTIONS", _actions(overview.numbers.actions, rows)),
        ("RUNNING", _runs(overview.running[:rows])),
        ("WAITING", _runs(overview.waiting[:rows])),
        ("FAILED LAST", _failures(overview.failing[:rows])),
    ):
        parts += [Text(), Text(title, "bold cyan"), table or Text("  none", "dim")]
    return Group(*parts)


def _head(numbers: Numbers) -> Text:
    line = Text.assemble(
        (numbers.namespace, "bold"), (numbers.at.astimezone().strftime("   %H:%M:%S   "), "dim")
    )
    parts = [
        Text.assemble(f"{many:,} ", status_text(status))
        for status, many in numbers.runs.items()
        if many or status is RunStatus.RUNNING
    ]
    line.append_text(Text(", ").join(parts)).append("\n")
    entries, timers = numbers.entries, numbers.timers
    said = [
        f"{count(entries.running, 'action')} running",
        f"{entries.sleeping:,} sleeping",
        f"{entries.waiting:,} waiting",
        f"{entries.throttled:,} in line",
        count(timers.set, "timer"),
    ]
    line.append(", ".join(said), "dim")
    for many, what in (
        (timers.overdue, "timers overdue"),
        (numbers.lease_losses, "lost with their worker"),
        (numbers.resends, "messages sent again"),
    ):
        if many:
            line.append(f", {many:,} {what}", "yellow")
    return line


def _queues(queues: Iterable[QueueNumbers]) -> Table:
    table = _table("QUEUE", "DEPTH>", "OLDEST WAIT>", "PLANNED>", "ABOUT>")
    for one in queues:
        wait = one.oldest_wait
        style = "yellow" if wait is not None and wait >= _LATE_SECONDS else ""
        table.add_row(
            Text(one.name, "bold"),
            "?" if one.depth is None else f"{one.depth:,}",
            Text("" if not wait else span(wait), style),
            f"{one.planned_actions:,}",
            span(one.planned_seconds) if one.planned_actions else "",
        )
    return table


def _workers(workers: Iterable[Worker]) -> Table | None:
    table = _table("WORKER", "POOL", "SLOTS", "", "WORKS ON")
    for one in workers:
        table.add_row(Text(one.name, "bold"), one.pool.kind or "", *_slots(one), _work(one))
    return table if table.row_count else None


def _slots(worker: Worker) -> tuple[str, Text]:
    slots = worker.pool.slots
    if slots is None:
        return f"{worker.used}", Text()
    full = min(_METER, round(_METER * worker.used / max(1, slots)))
    meter = Text("━" * full, "green").append("━" * (_METER - full), "bright_black")
    return f"{worker.used}/{slots}", meter


def _work(worker: Worker) -> Text:
    if not worker.work:
        return Text("idle", "dim")
    first, more = worker.work[0], len(worker.work) - 1
    beside = f"  and {more} more" if more else ""
    return _one_line(f"{first.workflow}/{first.path}", "cyan").append(
        f"  {elapsed(first.since, None)}{beside}  {first.run_id}", "dim"
    )


def _actions(actions: Iterable[ActionNumbers], rows: int) -> Table | None:
    table = _table("ACTION", "PLANNED>", "DONE>", "FAILED>", "RETRIED>", "LOST>", "MEDIAN>")
    busiest = sorted(actions, key=lambda one: (one.planned, one.durations.count), reverse=True)
    for one in busiest[:rows]:
        median = one.durations.median
        table.add_row(
            Text(one.workflow, "dim").append(f"/{one.action}", "default"),
            f"{one.planned:,}" if one.planned else "",
            f"{one.outcomes['completed']:,}",
            *(_bad(one.outcomes[outcome]) for outcome in ("failed", "retried", "lost")),
            "" if median is None else span(median),
        )
    return table if table.row_count else None


def _bad(many: int) -> Text:
    return Text(f"{many:,}", "red") if many else Text()


def _runs(runs: Iterable[RunSummary]) -> Table | None:
    table = _table("RUN", "WORKFLOW", "STATUS", "SINCE>")
    for one in runs:
        since = elapsed(one.began_at or one.submitted_at, None)
        table.add_row(Text(one.run_id), one.workflow, status_text(one.status), since)
    return table if table.row_count else None


def _failures(runs: Iterable[RunSummary]) -> Table | None:
    table = _table("RUN", "WORKFLOW", "AGO>", "ERROR")
    for one in runs:
        error = _one_line(str(one.error or "").partition("\n")[0], "red")
        table.add_row(Text(one.run_id), one.workflow, elapsed(one.ended_at, None), error)
    return table if table.row_count else None


def _one_line(text: str, style: str) -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _table(*columns: str) -> Table:
    """Return a table; a column whose name ends with ``>`` stands to the right.

    Where there is too little room the last one gives way.
    """
    table = Table(box=box.SIMPLE, show_edge=False, header_style="dim", padding=(0, 1))
    for name in columns:
        justify: Literal["right", "left"] = "right" if name.endswith(">") else "left"
        table.add_column(name.rstrip(">"), justify=justify, no_wrap=name != columns[-1])
    return table
