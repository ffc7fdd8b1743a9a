"""``gostage schedule``: workflows that are submitted at certain times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import click
from rich.table import Table
from rich.text import Text

from gostage_core.errors import ScheduleError
from gostage_core.scheduling.plan import CATCH_UPS, OVERLAPS
from gostage_workers.cli.options import Connection, argument, as_json, duration, option, takes
from gostage_workers.cli.output import data, note, out, problem, show
from gostage_workers.cli.query import Voice, name_of
from gostage_workers.cli.submit import values_of
from gostage_workers.cli.target import import_modules, workflow_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from gostage_core.scheduling.schedule import Schedule, ScheduleInfo


@dataclass(frozen=True, slots=True)
class Times:
    """When, and what happens when times overlap or were missed."""

    cron: str | None = option(
        metavar="EXPR", help="Minute, hour, day of month, month, day of week; or @daily and such."
    )
    every: float | None = option(type=duration, help="Every so often: 90s, 5m, 2h.")
    timezone: str = option(default="UTC", metavar="ZONE", help="Of --cron: Europe/Berlin.")
    overlap: str = option(
        type=click.Choice(OVERLAPS), default="skip", show_default=True,
        help="While the last run goes on: leave the time out, put it off, submit all the same, or "
        "cancel that run.",
    )  # fmt: skip
    catch_up: str = option(
        type=click.Choice(CATCH_UPS), default="last", show_default=True,
        help="Of the times at which no worker was there: the last, all, or none.",
    )  # fmt: skip
    window: float = option(
        type=duration, default="1d", help="What was missed longer ago is left out.  [default: 1d]"
    )


@dataclass(frozen=True, slots=True)
class What:
    """What each run is submitted with."""

    target: str = argument()
    pairs: tuple[str, ...] = option(
        "--set", multiple=True, metavar="KEY=VALUE",
        help="A first value of each run's store: JSON, or else text. May be repeated.",
    )  # fmt: skip
    tags: tuple[str, ...] = option(
        "--tag", multiple=True, metavar="TAG", help="A word to find the runs by. May be repeated."
    )
    deadline: float | None = option(type=duration, help="Of each run: 90s, 5m, 2h.")
    concurrency_key: str | None = option(metavar="KEY", help="Of each run.")
    modules: tuple[str, ...] = option(
        "--module", "-m", multiple=True, metavar="MODULE",
        help="Import this module for the actions that a file names.  [default: $GOSTAGE_MODULES]",
    )  # fmt: skip


@click.group()
def schedule() -> None:
    """Submit workflows at certain times. Workers keep to it; no other process is needed."""


@schedule.command()
@click.argument("name")
@takes(What)
@takes(Times)
@click.option("--paused", is_flag=True, help="Paused from the start.")
@click.option("--replace", is_flag=True, help="In place of a schedule that is called so.")
@click.option("--actor", default="", metavar="NAME", help="Who; by default your login name.")
@takes(Connection)
@as_json
def add(
    name: str,
    what: What,
    times: Times,
    paused: bool,
    replace: bool,
    actor: str,
    connection: Connection,
    json_: bool,
) -> None:
    """Have TARGET submitted at certain times from now on.

    NAME is what the schedule is called. TARGET is package.module:workflow, or a YAML or JSON file;
    it is kept as it is now.
    """
    if (times.cron is None) == (times.every is None):
        raise click.UsageError("give either --cron or --every")
    import_modules(what.modules or connection.settings().modules)
    made = connection.runner().schedules.add(
        name,
        workflow_of(what.target),
        cron=times.cron,
        every=times.every,
        timezone=times.timezone,
        overlap=cast("Any", times.overlap),
        catch_up=cast("Any", times.catch_up),
        window=times.window,
        store=values_of(what.pairs),
        tags=what.tags,
        deadline=what.deadline,
        concurrency_key=what.concurrency_key,
        paused=paused,
        replace=replace,
        actor=name_of(actor),
    )
    _tell(made, json_=json_)


@schedule.command("list")
@takes(Connection)
@as_json
def list_schedules(connection: Connection, json_: bool) -> None:
    """List the schedules."""
    found = list(_readable(connection.runner().schedules))
    if json_:
        data([asdict(one) for one in found])
    elif found:
        show(_table(found))
    else:
        note("no schedules")


@schedule.command("show")
@click.argument("name")
@click.option(
    "--next", "times", type=click.IntRange(1, 1000), default=5, show_default=True, metavar="N",
    help="So many of the next times.",
)  # fmt: skip
@takes(Connection)
@as_json
def show_schedule(name: str, times: int, connection: Connection, json_: bool) -> None:
    """Show a schedule, and when it is due next."""
    found = connection.runner().schedules[name]
    following = found.next_times(times)
    if json_:
        data({**asdict(found.info), "next_times": following})
        return
    for label, value in _lines(found.info):
        out.print(Text(f"{label:<10}", "dim").append(value, "default"), soft_wrap=True)
    for at in following:
        out.print(Text("due       ", "dim").append(_local(at), "default"))


@schedule.command()
@click.argument("name")
@takes(Voice)
@takes(Connection)
@as_json
def pause(name: str, voice: Voice, connection: Connection, json_: bool) -> None:
    """Submit no more runs until the schedule is resumed."""
    found = connection.runner().schedules[name]
    found.pause(voice.reason, actor=voice.who)
    _tell(found, json_=json_)


@schedule.command()
@click.argument("name")
@takes(Connection)
@as_json
def resume(name: str, connection: Connection, json_: bool) -> None:
    """Let a paused schedule go on.

    It goes on with its next time; what passed meanwhile is not caught up.
    """
    found = connection.runner().schedules[name]
    found.resume(actor=name_of(""))
    _tell(found, json_=json_)


@schedule.command()
@click.argument("name")
@takes(Connection)
@as_json
def remove(name: str, connection: Connection, json_: bool) -> None:
    """Forget a schedule; its runs stay."""
    connection.runner().schedules[name].remove(actor=name_of(""))
    if json_:
        data({"name": name, "removed": True})
    else:
        click.echo(f"{name} is removed")


@schedule.command()
@click.argument("name")
@takes(Voice)
@takes(Connection)
@as_json
def trigger(name: str, voice: Voice, connection: Connection, json_: bool) -> None:
    """Submit a run of a schedule now, and print its id."""
    run = connection.runner().schedules[name].trigger(voice.reason, actor=voice.who)
    if json_:
        data({"run_id": run.run_id})
    else:
        click.echo(run.run_id)


def _readable(schedules: Iterable[Schedule]) -> Iterator[ScheduleInfo]:
    """Yield how each stands; a damaged one hides no other, and is told of."""
    for schedule in schedules:
        try:
            yield schedule.info
        except ScheduleError as error:
            problem(str(error))


def _tell(found: Schedule, *, json_: bool) -> None:
    info = found.info
    if json_:
        data(asdict(info))
    elif info.paused_by:
        click.echo(f"{info.name} is paused")
    else:
        click.echo(f"{info.name} is due next at {_local(info.next_at)}")


def _table(found: list[ScheduleInfo]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("SCHEDULE", "WORKFLOW", "WHEN", "NEXT", "LAST RUN", "RUNS"):
        table.add_column(name, no_wrap=name in ("NEXT", "RUNS"), overflow="fold")
    for one in found:
        table.add_row(
            Text(one.name),
            Text(one.workflow),
            Text(one.timing),
            Text(_next(one), "yellow" if one.paused_by else ""),
            Text(one.last_run_id),
            f"{one.fired:,}",
        )
    return table


def _lines(info: ScheduleInfo) -> list[tuple[str, str]]:
    left_out = f"{info.skipped:,} for the last one was going on, {info.missed:,} missed"
    reason = f": {info.paused_reason}" if info.paused_reason else ""
    return [
        ("schedule", info.name),
        ("workflow", info.workflow),
        ("when", info.timing),
        ("overlap", info.overlap),
        ("catch up", info.catch_up),
        *([("paused", f"by {info.paused_by}{reason}")] if info.paused_by else []),
        *([("last run", f"{info.last_run_id}  {_local(info.last_at)}")] if info.last_at else []),
        ("runs", f"{info.fired:,}; left out: {left_out}"),
    ]


def _next(info: ScheduleInfo) -> str:
    return f"paused by {info.paused_by}" if info.paused_by else _local(info.next_at)


def _local(at: datetime | None) -> str:
    return "never" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
