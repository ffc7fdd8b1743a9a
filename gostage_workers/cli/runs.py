"""``gostage runs``: list, show, watch, cancel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.text import Text

from gostage_core.duration import seconds
from gostage_core.status import RunStatus
from gostage_workers.cli.options import as_json, connection, runner_of
from gostage_workers.cli.output import data, note, out, result_data, run_tree, runs_table

if TYPE_CHECKING:
    from gostage_core.journal import JournalEntry
    from gostage_core.result import ActionResult


@click.group()
def runs() -> None:
    """Look at runs, and ask them to end."""


@runs.command("list")
@click.option("--status", type=click.Choice([status.value for status in RunStatus]))
@click.option("--workflow", help="Id of the workflow.")
@click.option("--tag")
@click.option("--since", help="Submitted at most so long ago, as 30m, 2h, 7d.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--cursor", help="The last run of the page before.")
@connection
@as_json
def list_runs(
    status: str | None,
    workflow: str | None,
    tag: str | None,
    since: str | None,
    limit: int,
    cursor: str | None,
    url: str | None,
    broker: str | None,
    namespace: str | None,
    json_: bool,
) -> None:
    """List runs, the youngest first."""
    found = runner_of(url, broker, namespace).list(
        status=status,
        workflow=workflow,
        tag=tag,
        since=_ago(since),
        limit=limit,
        cursor=cursor,
    )
    if json_:
        data(found)
    elif found:
        out.print(runs_table(found))
    else:
        note("no runs")


@runs.command()
@click.argument("run")
@connection
@as_json
def show(
    run: str, url: str | None, broker: str | None, namespace: str | None, json_: bool
) -> None:
    """Show RUN as a tree of stages and actions, with states and times."""
    handle = runner_of(url, broker, namespace).get(run)
    result = handle.result()
    if json_:
        data(result_data(result))
        return
    summary = handle.summary
    out.print(run_tree(f"{summary.name} {run}", result))


@runs.command()
@click.argument("run")
@click.option("--after", type=click.IntRange(0), default=0, help="Go on behind this entry.")
@connection
@as_json
def watch(
    run: str,
    after: int,
    url: str | None,
    broker: str | None,
    namespace: str | None,
    json_: bool,
) -> None:
    """Print the history of RUN as it grows, until it has ended."""
    handle = runner_of(url, broker, namespace).get(run)
    names: dict[str, ActionResult] = {}
    for entry in handle.watch(after):
        if json_:
            data(entry)
            continue
        if entry.entry and entry.entry not in names:
            names = {action.entry: action for action in handle.plan.actions}
        out.print(_line(entry, names))
    if handle.status is RunStatus.FAILED:
        raise click.exceptions.Exit(1)


@runs.command()
@click.argument("run")
@click.option("--reason", default="", help="Kept in the run's history.")
@connection
@as_json
def cancel(
    run: str,
    reason: str,
    url: str | None,
    broker: str | None,
    namespace: str | None,
    json_: bool,
) -> None:
    """Ask RUN to end: nothing more of it begins, what runs is told."""
    handle = runner_of(url, broker, namespace).get(run)
    handle.cancel(reason)
    status = handle.status
    if json_:
        data({"run_id": run, "status": status.value})
    else:
        click.echo(f"{run} {'is cancelled' if status.is_terminal else 'is asked to end'}")


def _ago(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(text))
    except ValueError as error:
        raise click.UsageError(f"--since: {error}") from None


def _line(entry: JournalEntry, names: dict[str, ActionResult]) -> Text:
    action = names.get(entry.entry)
    line = Text(entry.at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim")
    line.append(f" {entry.sequence:>5}  ", "dim").append(entry.kind)
    if action is not None:
        line.append(f"  {action.stage}/{action.name}", "bold")
    for name, value in entry.change.items():
        line.append(f"  {name}={value}", "dim")
    if entry.reason:
        line.append(f"  {entry.reason}", "yellow")
    return line
