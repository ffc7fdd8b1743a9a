"""``gostage runs messages``: what the actions of a run have sent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.text import Text

from gostage_core.status import RunStatus
from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import data, note, out
from gostage_workers.cli.statuses import FAILED, INTERRUPTED

if TYPE_CHECKING:
    from gostage_core.messages import Message
    from gostage_core.run import Run


@click.command()
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Go on as more are sent, until the run ends.")
@click.option(
    "--after", type=click.IntRange(0), default=0, metavar="N", help="Go on behind message N."
)
@click.option("--type", "kind", metavar="TYPE", help="Only messages of this type.")
@takes(Connection)
@as_json
def messages(
    run: str, follow: bool, after: int, kind: str | None, connection: Connection, json_: bool
) -> None:
    """Print what the actions of a run have sent.

    RUN is the id of the run. Messages of its child runs are among them. With --json one JSON object
    a line. With --follow, Ctrl-C ends the command, not the run, and the exit status is 1 when the
    run has failed or was cancelled.
    """
    handle = connection.runner().get(run)
    try:
        for message in handle.messages(follow, after=after):
            if kind in (None, message.type):
                _print(message, handle, json_)
            after = message.context.sequence
    except KeyboardInterrupt:
        note("to read what comes next:")
        words = ("runs", "messages", run, "--follow", "--after", str(after))
        note(f"  {connection.again(*words, *(('--type', kind) if kind else ()))}")
        raise click.exceptions.Exit(INTERRUPTED) from None
    if follow and handle.status not in (RunStatus.COMPLETED, RunStatus.BAILED):
        raise click.exceptions.Exit(FAILED)


def _print(message: Message, run: Run, json_: bool) -> None:
    if json_:
        data(asdict(message))
    else:
        out.print(_line(message, run.run_id), soft_wrap=True)


def _line(message: Message, run_id: str) -> Text:
    """Return a message as a line: when, which, what, from where, and its payload as JSON."""
    sender = message.context
    line = Text(message.at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim")
    line.append(f" {sender.sequence:>5}  ", "dim")
    line.append(message.type, "magenta")
    line.append(f"  {sender.stage}/{sender.action}", "bold")
    if sender.attempt != 1:
        line.append(f"  attempt {sender.attempt}", "default")
    if sender.run_id != run_id:
        line.append(f"  of {sender.run_id}", "default")
    if message.payload is not None:
        line.append(f"  {json.dumps(message.payload, ensure_ascii=False)}", "default")
    return line
