"""``gostage why``: what a run waits for, or what became of it."""

from __future__ import annotations

import click
from rich.text import Text

from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import data, out


@click.command()
@click.argument("run")
@click.option("--all", "everything", is_flag=True, help="A line for each action that lives.")
@takes(Connection)
@as_json
def why(run: str, everything: bool, connection: Connection, json_: bool) -> None:
    """Say in one line what a run waits for, or where it ended.

    RUN is the id of the run.
    """
    told = connection.runner().get(run).why()
    if json_:
        reasons = [{"entry": r.entry, "path": r.path, "text": r.text} for r in told.reasons]
        data({"run_id": run, "status": told.status, "text": told.text, "reasons": reasons})
        return
    out.print(Text(str(told)), soft_wrap=True)
    for reason in told.reasons if everything else ():
        out.print(Text(f"  {reason.path} (#{reason.entry}) {reason.text}"), soft_wrap=True)
