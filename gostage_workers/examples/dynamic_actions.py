"""The plan grows while it runs: an action looks what there is, and adds one action for each find.

What is added comes right after the action that adds it, in this order, and before what was planned.
"""

# ruff: noqa: T201

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from gostage_core import ActionContext, Key, Stage, Workflow, action
from gostage_workers import LocalCluster

PACKED = Key("packed", list[str])


@action
def discover(ctx: ActionContext, pattern: str) -> None:
    """Find the files of the folder, and plan an action for each."""
    folder = Path(ctx.store.get("folder", str))
    files = sorted(folder.glob(pattern))
    ctx.add_action(*(compress.s(str(file)).options(name=f"compress {file.name}") for file in files))


@action
def compress(ctx: ActionContext, path: str) -> None:
    """Write a compressed copy of a file; a second try writes the same once more."""
    plain, packed = Path(path), Path(f"{path}.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    ctx.store.append(PACKED, packed.name)
    ctx.store.increment("saved", plain.stat().st_size - packed.stat().st_size)


@action(store_as="report")
def report(ctx: ActionContext) -> str:
    """Say what it was good for."""
    names = ", ".join(ctx.store.get(PACKED, default=[]))
    return f"{names}: more than {ctx.store.get('saved', int, default=0) // 10_000 * 10} kB saved"


workflow = Workflow("compress-logs")
workflow.add_stage(Stage("compress", [discover.s("*.log"), report.s()]))


def main() -> None:
    """Write a few logs, and compress them."""
    with tempfile.TemporaryDirectory() as folder, LocalCluster() as cluster:
        for name in ("access.log", "app.log", "error.log"):
            Path(folder, name).write_text(f"nothing happened in {name}\n" * 1000)
        result = cluster.runner.execute(workflow, store={"folder": folder})
        print(result.store["report"])
    for one in result.actions:
        print(f"  {one.name}" + (f", added by {one.added_by}" if one.added_by else ""))


if __name__ == "__main__":
    main()
