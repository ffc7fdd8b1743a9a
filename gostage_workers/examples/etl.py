"""Extract, transform, load: three sources side by side, one mapper, one transaction at the end.

What the extracts append is merged, in the order of the plan, whichever of them is done first.
"""

# ruff: noqa: T201

from __future__ import annotations

import csv
import json
import sqlite3
import tempfile
from configparser import ConfigParser
from contextlib import closing
from pathlib import Path

from gostage_core import ActionContext, Key, Stage, Workflow, action
from gostage_workers import LocalCluster

SOURCES = {
    "shop.csv": "article,pieces\npen,3\nbook,1\n",
    "web.json": '[{"article": "LAMP", "pieces": 2}, {"article": " pen ", "pieces": 4}]',
    "fair.ini": "[book]\npieces = 5\n[none]\npieces = 0\n",
}
FOLDER = Key("folder", Path)
ROWS = Key("rows", list[dict[str, str | int]])
SALES = Key("sales", list[tuple[str, int]])


@action
def extract(ctx: ActionContext, source: str) -> None:
    """Read the rows of one source."""
    for row in rows_of(ctx.store[FOLDER] / source):
        ctx.store.append(ROWS, row)


def rows_of(file: Path) -> list[dict[str, str | int]]:
    """Return the rows of a file, whatever its form is."""
    text = file.read_text()
    if file.suffix == ".ini":
        parser = ConfigParser()
        parser.read_string(text)
        return [{"article": name, **parser[name]} for name in parser.sections()]
    return json.loads(text) if file.suffix == ".json" else [*csv.DictReader(text.splitlines())]


@action(store_as="sales")
def clean(ctx: ActionContext) -> list[tuple[str, int]]:
    """Map rows to sales: names as they should be, numbers as numbers, nothing without pieces."""
    sales = [(str(row["article"]).strip().lower(), int(row["pieces"])) for row in ctx.store[ROWS]]
    return [sale for sale in sales if sale[1]]


@action
def load(ctx: ActionContext) -> None:
    """Fill the table anew, in one transaction: a second try leaves the same behind."""
    with closing(sqlite3.connect(ctx.store[FOLDER] / "sales.db")) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS sales (article TEXT, pieces INT)")
        database.execute("DELETE FROM sales")
        database.executemany("INSERT INTO sales VALUES (?, ?)", ctx.store[SALES])


workflow = Workflow("etl")
workflow.add_stage(Stage("extract", [extract.s(source) for source in SOURCES], parallel=True))
workflow.add_stage(Stage("transform", [clean.s()]))
workflow.add_stage(Stage("load", [load.s()]))

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, LocalCluster() as cluster:
        folder = Path(name)
        for source, text in SOURCES.items():
            (folder / source).write_text(text)
        result = cluster.runner.execute(workflow, store={FOLDER: folder})
        with closing(sqlite3.connect(folder / "sales.db")) as database:
            query = "SELECT article, sum(pieces) FROM sales GROUP BY article"
            sold = [f"{pieces} {article}" for article, pieces in database.execute(query)]
    print(f"{result.status}: {len(result.store[ROWS])} rows, {', '.join(sold)}")
