"""Actions that use a database: each worker process opens it once, and closes it at its end.

The connection never travels: the workers know how to open one, and actions ask for it by name.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from gostage_core import ActionContext, Resources, Stage, Workflow, action
from gostage_workers import LocalCluster, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "SHOP_DATABASE"
PRICES = {"pen": 120, "book": 1450, "lamp": 3990}


@resource("db")
def database() -> Iterator[sqlite3.Connection]:
    """Open the database of the shop, once in each process that uses it."""
    with closing(sqlite3.connect(os.environ[PATH], check_same_thread=False)) as connection:
        yield connection


@resource("sales", scope="attempt")
def sales(resources: Resources) -> Iterator[sqlite3.Cursor]:
    """Give each attempt a cursor of its own; what an attempt that fails has written is undone."""
    with closing(resources.db.cursor()) as cursor:
        try:
            yield cursor
        except BaseException:
            resources.db.rollback()
            raise


@action
def sell(ctx: ActionContext, article: str, pieces: int) -> None:
    """Note a sale. Done once, however often it is tried: the key is the same for every try."""
    row = (ctx.idempotency_key, article, pieces)
    ctx.resources.sales.execute("INSERT OR IGNORE INTO sales VALUES (?, ?, ?)", row)
    ctx.resources.db.commit()


@action(store_as="takings")
def add_up(ctx: ActionContext) -> int:
    """Return what all sales brought in, in cents."""
    rows = ctx.resources.sales.execute("SELECT article, sum(pieces) FROM sales GROUP BY article")
    return sum(PRICES[article] * pieces for article, pieces in rows)


def workflow() -> Workflow:
    """Return the workflow: three sales side by side, then the sum."""
    sold = [sell.s(article=name, pieces=number) for number, name in enumerate(PRICES, start=1)]
    made = Workflow("shop")
    made.add_stage(Stage("sell", sold, parallel=True))
    made.add_stage("close").add(add_up.s())
    return made


def main() -> None:
    """Open the shop for three customers."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ[PATH] = str(Path(directory) / "shop.db")
        with closing(sqlite3.connect(os.environ[PATH])) as connection:
            connection.execute("CREATE TABLE sales (key PRIMARY KEY, article TEXT, pieces INT)")
        with LocalCluster() as cluster:
            result = cluster.runner.execute(workflow())
            print(f"{result.status}: {result.store['takings'] / 100:.2f} taken")  # noqa: T201


if __name__ == "__main__":
    main()
