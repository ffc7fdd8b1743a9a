"""``gostage keys``: keys by which values are encrypted and messages are signed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gostage_core.rotation import Rotation
from gostage_core.sealed_texts import SealedTexts
from gostage_core.sealing.keys import new_id, new_key, read_ring
from gostage_core.state.operations import State
from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import count, data, err, note, show
from gostage_workers.cli.statuses import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.settings import Settings

_WHERE: Final = ("live", "ended", "schedules")


@click.group()
def keys() -> None:
    """Make and change keys for encryption and signing.

    A key is changed without a pause: put the new one in front of GOSTAGE_ENCRYPTION_KEYS on every
    worker and producer, and keep the old one behind it. What is written from then on has the new
    key. What is there keeps the old one until it is written anew, by its run or by `gostage keys
    rotate`, or its run is forgotten after GOSTAGE_RETENTION. Take the old one away when `gostage
    keys list` counts nothing for it. A worker that does not have a key leaves what needs it to
    others.
    """


@keys.command()
@click.argument("id", required=False)
def new(id: str | None) -> None:
    """Make a key, and print it as the settings take it: ID:BASE64.

    ID is by default the date with something behind it. Good for GOSTAGE_ENCRYPTION_KEYS and for
    GOSTAGE_SIGNING_KEYS; use one key for one of them. It is kept nowhere.
    """
    click.echo(new_key(new_id(datetime.now(UTC).date()) if id is None else id))


@keys.command("list")
@takes(Connection)
@as_json
def list_keys(connection: Connection, json_: bool) -> None:
    """List the keys that are set, and how much is encrypted with each.

    Reads all that runs keep on the server, and changes nothing.
    """
    settings = connection.settings()
    found = SealedTexts(State(settings))
    _follow("reading", found.count())
    rows = [*_encryption(settings, found), *_signing(settings)]
    if json_:
        data(rows)
    elif rows:
        show(_table(rows))
    else:
        note("no keys are set, and nothing is encrypted")


@keys.command()
@click.option("--dry-run", is_flag=True, help="Count what would be encrypted anew; write nothing.")
@takes(Connection)
@as_json
def rotate(dry_run: bool, connection: Connection, json_: bool) -> None:
    """Encrypt anew, with the first key, what live runs keep under others.

    Schedules too. Runs go on meanwhile. Safe to repeat, and to break off. Runs that have ended are
    left alone: they leave by their retention.

    Exit status: 0 when all was done, 1 when something was left as it is.
    """
    rotation = Rotation(State(connection.settings()), is_trial=dry_run)
    _follow("encrypting", rotation.go())
    if json_:
        data({"written": rotation.written, "dry_run": dry_run, "left": rotation.left})
    else:
        for key, why in rotation.left.items():
            note(f"left as it is: {key}: {why}")
        done = "would be encrypted anew" if dry_run else "encrypted anew"
        click.echo(f"{count(rotation.written, 'text')} {done}")
    if rotation.left:
        raise click.exceptions.Exit(FAILED)


def _follow(what: str, steps: Iterator[tuple[int, int]]) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=None)
        for done, total in steps:
            progress.update(task, completed=done, total=total)


def _encryption(settings: Settings, found: SealedTexts) -> list[dict[str, Any]]:
    ring = read_ring(
        "GOSTAGE_ENCRYPTION_KEYS", settings.encryption_keys, settings.encryption_keys_file
    )
    own = () if ring is None else ring.ids
    return [
        {
            "id": key_id,
            "does": "encrypts" if key_id in own[:1] else "decrypts" if key_id in own else "missing",
            **{where: getattr(found, where)[key_id] for where in _WHERE},
        }
        for key_id in (*own, *(one for one in found.ids if one not in own))
    ]


def _signing(settings: Settings) -> list[dict[str, Any]]:
    ring = read_ring("GOSTAGE_SIGNING_KEYS", settings.signing_keys, settings.signing_keys_file)
    own = () if ring is None else ring.ids
    return [{"id": key, "does": "signs" if key in own[:1] else "verifies"} for key in own]


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("KEY")
    table.add_column("DOES")
    for title in ("IN LIVE RUNS", "IN ENDED RUNS", "IN SCHEDULES"):
        table.add_column(title, justify="right")
    for row in rows:
        counts = (f"{row[where]:,}" if where in row else "" for where in _WHERE)
        style = "red" if row["does"] == "missing" else ""
        table.add_row(row["id"], row["does"], *counts, style=style)
    return table
