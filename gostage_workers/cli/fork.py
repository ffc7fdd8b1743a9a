"""``gostage runs fork``: a new run that goes on from an action of an old one."""

from __future__ import annotations

import click

from gostage_workers.cli.edit_words import Words
from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import data
from gostage_workers.cli.query import Voice
from gostage_workers.cli.submit import values_of
from gostage_workers.cli.target import import_modules


@click.command()
@click.argument("run")
@click.option(
    "--at", required=True, metavar="ENTRY",
    help="The action that it goes on from: its name, path or number.",
)  # fmt: skip
@click.option(
    "--store", "pairs", multiple=True, metavar="KEY=VALUE",
    help="A value of the store in place of that of then: JSON, or else text. May be repeated.",
)  # fmt: skip
@click.option("--run-id", metavar="ID", help="An id of your own for the new run.")
@takes(Words)
@takes(Voice)
@click.option(
    "--module", "-m", "modules", multiple=True, metavar="MODULE",
    help="Import this module first, for the actions that are added or get other parameters.",
)  # fmt: skip
@takes(Connection)
@as_json
def fork(
    run: str,
    at: str,
    pairs: tuple[str, ...],
    run_id: str | None,
    words: Words,
    voice: Voice,
    modules: tuple[str, ...],
    connection: Connection,
    json_: bool,
) -> None:
    """Make a new run that goes on from an action of this one.

    RUN is the id of the run, which stays as it is. What had ended when the action first began is
    taken as done, and the store is as it was then. --disable, --enable, --remove, --set and --add
    change the plan of the new run before it begins, as in `gostage runs edit`. Prints the id of the
    new run.
    """
    import_modules(modules)
    made = (
        connection.runner()
        .get(run)
        .fork(
            at,
            store=values_of(pairs),
            edit=words.change if words else None,
            run_id=run_id,
            reason=voice.reason,
            actor=voice.who,
        )
    )
    if json_:
        data({"run_id": made.run_id})
    else:
        click.echo(made.run_id)
