"""``gostage runs cancel|pause|resume|retry|signal``: act on a run from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from pydantic_core import from_json
from rich.text import Text

from gostage_workers.cli.options import Connection, as_json, duration, takes
from gostage_workers.cli.output import data, out
from gostage_workers.cli.query import Query, Voice, agree
from gostage_workers.cli.statuses import FAILED, InputError
from gostage_workers.cli.submit import values_of
from gostage_workers.cli.target import import_modules

if TYPE_CHECKING:
    from gostage_core.bulk import RunBatch
    from gostage_core.run import Run


@click.command()
@click.argument("run")
@click.option(
    "--grace", type=duration,
    help="How long what runs may go on before it is ended.  [default: $GOSTAGE_CANCEL_GRACE]",
)  # fmt: skip
@takes(Voice)
@takes(Connection)
@as_json
def cancel(
    run: str, grace: float | None, voice: Voice, connection: Connection, json_: bool
) -> None:
    """Ask a run to end.

    RUN is the id of the run. Nothing more of it begins; an action that runs is told so, and may
    finish within the grace. What has completed and says how it is undone is undone.
    """
    handle = connection.runner().get(run)
    handle.cancel(voice.reason, grace=grace, actor=voice.who)
    status = handle.status
    _tell(handle, "is cancelled" if status.is_terminal else "is asked to end", json_=json_)


@click.command()
@click.argument("run")
@takes(Voice)
@takes(Connection)
@as_json
def pause(run: str, voice: Voice, connection: Connection, json_: bool) -> None:
    """Hold a run: nothing more of it begins until it is resumed.

    RUN is the id of the run. What runs now may end, and is committed.
    """
    handle = connection.runner().get(run)
    handle.pause(voice.reason, actor=voice.who)
    _tell(handle, "is paused", json_=json_)


@click.command()
@click.argument("run")
@takes(Voice)
@takes(Connection)
@as_json
def resume(run: str, voice: Voice, connection: Connection, json_: bool) -> None:
    """Let a paused run go on.

    RUN is the id of the run. One that is not paused stays as it is.
    """
    handle = connection.runner().get(run)
    handle.resume(voice.reason, actor=voice.who)
    _tell(handle, "goes on", json_=json_)


@click.command()
@click.argument("run", required=False)
@click.option(
    "--set", "pairs", multiple=True, metavar="KEY=VALUE",
    help="A value of the store that is written first: JSON, or else text. May be repeated.",
)  # fmt: skip
@click.option(
    "--skip", multiple=True, metavar="ENTRY",
    help="An action that is not to be done: its name, path or number. May be repeated.",
)  # fmt: skip
@click.option("--deadline", type=duration, help="A new deadline, from now: 90s, 5m, 2h.")
@takes(Query)
@takes(Voice)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@takes(Connection)
@as_json
def retry(
    run: str | None,
    pairs: tuple[str, ...],
    skip: tuple[str, ...],
    deadline: float | None,
    query: Query,
    voice: Voice,
    yes: bool,
    connection: Connection,
    json_: bool,
) -> None:
    """Open a failed or cancelled run again, at what ended it.

    RUN is the id of the run. What has completed stays so. With --workflow, --tag, --status or
    --since in place of RUN, every run that failed or was cancelled and answers is retried; how many
    there are is told first.
    """
    query.check(run)
    runner, values = connection.runner(), values_of(pairs)
    how: dict[str, Any] = {
        "store": values,
        "skip": skip,
        "reason": voice.reason,
        "actor": voice.who,
    }
    if run is not None:
        handle = runner.get(run)
        handle.retry(deadline=deadline, **how)
        _tell(handle, "goes on", json_=json_)
        return
    if deadline is not None:
        raise click.UsageError("--deadline is for one run")
    batch = runner.retry(**query.conditions(), **how)
    agree(batch, "retry", yes=yes, quiet=json_)
    report(batch, "goes on", json_=json_)


@click.command()
@click.argument("run")
@click.argument("name")
@click.option(
    "--payload", "--json", "payload", metavar="JSON",
    help="What the signal brings.  [default: null]",
)  # fmt: skip
@click.option("--id", "signal_id", metavar="ID", help="Of this signal: sent again, it is one.")
@click.option(
    "--module", "-m", "modules", multiple=True, metavar="MODULE",
    help="Import this module first, to check --payload against the type in it that is waited for.",
)  # fmt: skip
@takes(Voice)
@takes(Connection)
def signal(
    run: str,
    name: str,
    payload: str | None,
    signal_id: str | None,
    modules: tuple[str, ...],
    voice: Voice,
    connection: Connection,
) -> None:
    """Send a run a signal.

    RUN is the id of the run, NAME that of the signal. The action that has waited longest for it
    goes on with what --payload brings; where none waits, it is kept for the first that does. What
    is not of the type that it waits for is refused here, where that is known, or else by the
    action.
    """
    import_modules(modules)
    handle = connection.runner().get(run)
    handle.signal(name, _payload(payload), id=signal_id, actor=voice.who)
    click.echo(f"{run} is sent {name}")


def report(batch: RunBatch, done: str, *, json_: bool) -> None:
    """Do it to each run and tell what became of it; the command fails where one refused."""
    told: list[dict[str, Any]] = []
    for outcome in batch.outcomes():
        error = None if outcome.error is None else str(outcome.error)
        told.append({"run_id": outcome.run_id, "error": error})
        if not json_:
            line = f"{outcome.run_id}  {done if error is None else f'refused: {error}'}"
            out.print(Text(line), soft_wrap=True)
    if json_:
        data(told)
    if any(one["error"] for one in told):
        raise click.exceptions.Exit(FAILED)


def _tell(run: Run, what: str, *, json_: bool) -> None:
    if json_:
        data({"run_id": run.run_id, "status": run.status})
    else:
        click.echo(f"{run.run_id} {what}")


def _payload(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InputError(f"--payload: not JSON: {error}: {text[:60]}") from None
