"""``gostage runs``: list, show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from rich.table import Table
from rich.text import Text

from gostage_core.status import RunStatus
from gostage_workers.cli.documents import run_document, summary_document
from gostage_workers.cli.options import Connection, as_json, duration, takes
from gostage_workers.cli.output import data, elapsed, note, show, status_text
from gostage_workers.cli.query import moment_ago
from gostage_workers.cli.target import import_modules
from gostage_workers.cli.tree import run_tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.summary import RunSummary


_STATUSES: Final = [status.value for status in RunStatus]


@click.group()
def runs() -> None:
    """Look at runs, and act on them."""


@runs.command("list")
@click.option(
    "--status", type=click.Choice(_STATUSES), metavar="STATUS",
    help=f"Only runs that stand so: {', '.join(_STATUSES)}.",
)  # fmt: skip
@click.option("--workflow", metavar="ID", help="Only runs of the workflow of this id.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option(
    "--since", type=duration, help="Only runs submitted so long ago at most: 30m, 2h, 7d."
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N",
    help="So many at most.",
)  # fmt: skip
@click.option(
    "--cursor", metavar="ID", help="The last run of the page before; the next page comes."
)
@takes(Connection)
@as_json
def list_runs(
    status: str | None,
    workflow: str | None,
    tag: str | None,
    since: float | None,
    limit: int,
    cursor: str | None,
    connection: Connection,
    json_: bool,
) -> None:
    """List runs, the youngest first."""
    found = connection.runner().list(
        status=status,
        workflow=workflow,
        tag=tag,
        since=moment_ago(since),
        limit=limit,
        cursor=cursor,
    )
    if json_:
        data([summary_document(summary) for summary in found])
        return
    if found:
        show(_table(found))
    else:
        note("no runs")
    if len(found) == limit:
        note(f"for the next page: --cursor {found[-1].run_id}")


@runs.command("show")
@click.argument("run")
@click.option("--all", "everything", is_flag=True, help="Every action and value, however many.")
@click.option("--traceback", is_flag=True, help="The traceback of the error, too.")
@click.option(
    "--module", "-m", "modules", multiple=True, metavar="MODULE",
    help="Import this module first, for the types of the store's values.",
)  # fmt: skip
@takes(Connection)
@as_json
def show_run(
    run: str,
    everything: bool,
    traceback: bool,
    modules: tuple[str, ...],
    connection: Connection,
    json_: bool,
) -> None:
    """Show a run as a tree of stages and actions.

    RUN is the id of the run. Each stage and action is shown with its state and its time. A stage of
    more than 40 actions shows how many are in which state, and the ones worth a look.
    """
    import_modules(modules)
    handle = connection.runner().get(run)
    summary, result = handle.summary, handle.result()
    if json_:
        data(run_document(summary, result))
    else:
        show(run_tree(summary, result, everything=everything, traceback=traceback))


def _table(summaries: Iterable[RunSummary]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    table.add_column("RUN", no_wrap=True, overflow="fold")
    table.add_column("WORKFLOW", min_width=8)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("SUBMITTED", no_wrap=True)
    table.add_column("TIME", no_wrap=True, justify="right")
    for run in summaries:
        table.add_row(
            Text(run.run_id),
            Text(run.name, no_wrap=True, overflow="ellipsis"),
            status_text(run.status),
            run.submitted_at.astimezone().strftime("%m-%d %H:%M:%S"),
            elapsed(run.began_at, run.ended_at),
        )
    return table
