"""``gostage throttle``: bounds on what goes on at a time, and on how fast it begins."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from gostage_workers.cli.options import Connection, as_json, duration, takes
from gostage_workers.cli.output import data, note, show

if TYPE_CHECKING:
    from gostage_core.throttles import ThrottleInfo


@click.group()
def throttle() -> None:
    """Look at throttles, and set other numbers for them than actions say."""


@throttle.command("list")
@takes(Connection)
@as_json
def list_throttles(connection: Connection, json_: bool) -> None:
    """List the throttles that anything is in, or that were set."""
    found = list(connection.runner().throttles)
    if json_:
        data([asdict(one) for one in found])
    elif found:
        show(_table(found))
    else:
        note("no throttle is in use, and none is set")


@throttle.command("set")
@click.argument("key")
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="So many at a time.")
@click.option("--rate", type=click.IntRange(1), metavar="N", help="So many begin within --per.")
@click.option("--per", type=duration, metavar="TIME", help="Of --rate.  [default: 1s]")
@takes(Connection)
@as_json
def set_throttle(
    key: str,
    concurrency: int | None,
    rate: int | None,
    per: float | None,
    connection: Connection,
    json_: bool,
) -> None:
    """Set other numbers for a throttle.

    KEY is what actions and workflows call it. What is not given is as these say. What stands in
    line goes on at once, as far as there is room.
    """
    if concurrency is None and rate is None:
        raise click.UsageError("give --concurrency, --rate, or both")
    if rate is None and per is not None:
        raise click.UsageError("--per is for --rate")
    throttles = connection.runner().throttles
    throttles.set(key, concurrency=concurrency, rate=rate, per=1.0 if per is None else per)
    _tell(throttles[key], "is set", json_=json_)


@throttle.command()
@click.argument("key")
@takes(Connection)
@as_json
def clear(key: str, connection: Connection, json_: bool) -> None:
    """Let what the actions bring hold again for a throttle."""
    throttles = connection.runner().throttles
    throttles.clear(key)
    _tell(throttles[key], "is as actions say", json_=json_)


def _tell(info: ThrottleInfo, what: str, *, json_: bool) -> None:
    if json_:
        data(asdict(info))
    else:
        click.echo(f"{info.key} {what}")


def _table(found: list[ThrottleInfo]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in ("KEY", "WITHIN", "IN LINE", "SET"):
        table.add_column(name, no_wrap=name != "KEY")
    for one in found:
        table.add_row(Text(one.key), str(len(one.inside)), f"{one.waiting:,}", _numbers(one))
    return table


def _numbers(one: ThrottleInfo) -> str:
    if not one.is_set:
        return ""
    parts = [f"{one.concurrency:,} at a time"] if one.concurrency else []
    if one.rate:
        parts.append(f"{one.rate:,} within {one.per or 1:g} s")
    return ", ".join(parts)
