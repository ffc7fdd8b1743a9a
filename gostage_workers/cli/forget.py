"""``gostage runs delete|purge``: forget runs before their retention has ended."""

from __future__ import annotations

from typing import Final

import click

from gostage_core.status import RunStatus
from gostage_workers.cli.control import report
from gostage_workers.cli.options import Connection, as_json, duration, takes
from gostage_workers.cli.output import data, note
from gostage_workers.cli.query import Voice, agree, moment_ago, name_of

_ENDS: Final = [status.value for status in RunStatus if status.is_terminal]


@click.command()
@click.argument("run")
@takes(Voice)
@click.option("--yes", "-y", is_flag=True, help="Do not ask about a run that goes on.")
@takes(Connection)
@as_json
def delete(run: str, voice: Voice, yes: bool, connection: Connection, json_: bool) -> None:
    """Forget a run and its child runs, with all that is theirs.

    RUN is the id of the run. One that goes on is cancelled first; what runs of it commits nothing
    any more, and nothing is undone.
    """
    handle = connection.runner().get(run)
    status = handle.status
    if not (status.is_terminal or yes or json_):
        click.confirm(f"{run} is {status}; end and forget it?", abort=True, err=True)
    handle.delete(voice.reason, actor=voice.who)
    if json_:
        data({"run_id": run, "deleted": True})
    else:
        click.echo(f"{run} is forgotten")


@click.command()
@click.option("--workflow", metavar="ID", help="Only runs of this workflow.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option(
    "--status", type=click.Choice(_ENDS), metavar="STATUS",
    help=f"Only those that ended so: {', '.join(_ENDS)}.",
)  # fmt: skip
@click.option(
    "--older-than", type=duration, required=True, metavar="TIME",
    help="Only those submitted so long ago at least: 30m, 2h, 7d; 0 for all.",
)  # fmt: skip
@click.option("--actor", default="", metavar="NAME", help="Who; by default your login name.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@takes(Connection)
@as_json
def purge(
    workflow: str | None,
    tag: str | None,
    status: str | None,
    older_than: float,
    actor: str,
    yes: bool,
    connection: Connection,
    json_: bool,
) -> None:
    """Forget runs that have ended, before their retention has.

    How many there are is told first.
    """
    batch = connection.runner().purge(
        status=status,
        workflow=workflow,
        tag=tag,
        before=moment_ago(older_than),
        actor=name_of(actor),
    )
    agree(batch, "forget", yes=yes, quiet=json_)
    if not len(batch) and not json_:
        note("nothing to forget")
        return
    report(batch, "is forgotten", json_=json_)
