"""``gostage runs watch``: a run while it lasts, as a tree on a terminal, else as its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

from gostage_core.errors import StoreUnavailableError
from gostage_core.status import RunStatus
from gostage_workers.cli.documents import entry_document
from gostage_workers.cli.history import Places, history_line
from gostage_workers.cli.live import follow_tree
from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import data, note, out, show
from gostage_workers.cli.statuses import FAILED, INTERRUPTED
from gostage_workers.cli.tree import run_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.journal import JournalEntry
    from gostage_core.run import Run


@click.command()
@click.argument("run")
@click.option("--lines", is_flag=True, help="The history line by line, on a terminal too.")
@click.option(
    "--after", type=click.IntRange(0), metavar="N", help="The history from behind entry N on."
)
@takes(Connection)
@as_json
def watch(run: str, lines: bool, after: int | None, connection: Connection, json_: bool) -> None:
    """Watch a run until it has ended.

    RUN is the id of the run. On a terminal its plan is drawn as a tree that lives: what runs, on
    which worker, how far it is, what failed; a plan that is longer than the screen is folded.
    Elsewhere its history is printed as it grows, with --json one JSON object a line.

    A restart of the server is waited for. Ctrl-C ends the command, not the run. Exit status: 0 when
    the run has completed or bailed, 1 when it has failed or was cancelled.
    """
    handle = connection.runner().get(run)
    if lines or json_ or after is not None or not out.is_terminal or out.is_dumb_terminal:
        status = _print_history(handle, after or 0, connection, json_=json_)
    else:
        status = _draw(handle, connection)
    if status not in (RunStatus.COMPLETED, RunStatus.BAILED):
        raise click.exceptions.Exit(FAILED)


def _draw(run: Run, connection: Connection) -> RunStatus:
    hint = f"no worker has taken the run yet; {connection.again('why', run.run_id)} tells more"
    try:
        summary, result = follow_tree(run, hint)
    except KeyboardInterrupt:
        _interrupted(connection.again("runs", "watch", run.run_id))
    show(run_tree(summary, result, everything=False))
    return result.status


def _print_history(run: Run, after: int, connection: Connection, *, json_: bool) -> RunStatus:
    places = Places(run)
    try:
        for entry, place in _history(run, places, after):
            if json_:
                data(entry_document(entry, place))
            else:
                out.print(history_line(entry, place, places.names), soft_wrap=True)
            after = entry.sequence
    except KeyboardInterrupt:
        _interrupted(connection.again("runs", "watch", run.run_id, "--after", str(after)))
    return run.status


def _history(run: Run, places: Places, after: int) -> Iterator[tuple[JournalEntry, str]]:
    """Yield what is new in the history with its place in the plan, until the run has ended."""
    run.status  # noqa: B018 - a server that does not answer at first is not waited for
    is_away = False
    for _ in run.changes():
        try:
            has_ended, entries = run.status.is_terminal, run.journal(after)
            named = list(zip(entries, places.of(entries), strict=True))
        except StoreUnavailableError as error:
            if not is_away:
                note(f"{error}; waiting for it")
            is_away = True
            continue
        is_away = False
        if entries and entries[0].sequence > after + 1:
            note(f"what was before entry {entries[0].sequence:,} is not kept any more")
        for entry, place in named:
            after = entry.sequence
            yield entry, place
        if has_ended:
            return


def _interrupted(again: str) -> NoReturn:
    note("to watch what comes next:")
    note(f"  {again}")
    raise click.exceptions.Exit(INTERRUPTED) from None
