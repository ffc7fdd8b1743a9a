"""An operator changes a live run: what has not begun is switched off, changed and added to.

An edit is applied as a whole or not at all. The run's ledger knows each revision: who, why, what.
"""

# ruff: noqa: T201

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from gostage_core import ActionContext, Key, Stage, Workflow, action
from gostage_workers import LocalCluster

NOTE = Key("delivery note", Path)


@action
def await_goods(ctx: ActionContext) -> None:
    """Wait until the goods are there."""
    while not ctx.store[NOTE].exists() and not ctx.cancelled:
        time.sleep(0.05)


@action
def unpack(ctx: ActionContext, boxes: int) -> None:
    """Unpack so many boxes."""
    ctx.store.append("done", f"{boxes} boxes unpacked")


@action
def inspect(ctx: ActionContext) -> None:
    """Look for damage."""
    ctx.store.append("done", "inspected")


@action
def tell(ctx: ActionContext, by: str) -> None:
    """Tell the customer."""
    ctx.store.append("done", f"told by {by}")


workflow = Workflow("delivery")
workflow.add_stage(Stage("receive", [await_goods.s(), unpack.s(boxes=3)]))
workflow.add_stage(
    Stage("tell", [tell.s(by).options(name=by) for by in ("mail", "fax")], parallel=True)
)


def main() -> None:
    """Submit a run, change it while its first action waits, and look at what became of it."""
    with tempfile.TemporaryDirectory() as folder, LocalCluster() as cluster:
        note = Path(folder, "note")
        run = cluster.runner.submit(workflow, store={NOTE: note})
        with run.edit(reason="nobody has a fax any more", actor="ana") as plan:
            plan.actions["fax"].disable()
        with run.edit(reason="the truck had an accident", actor="ben") as plan:
            plan.actions["unpack"].set(boxes=2)
            plan.stages["receive"].add(inspect.s(), after="unpack")
        note.touch()
        result = run.wait()
        first, *edits = run.plan.revisions
    print(f"revision {first.number} is what the {first.actor} submitted")
    for one in edits:
        print(f"revision {one.number}, {one.actor}: {one.reason}\n{one.changes}")
    print(f"{result.status}: {', '.join(result.store['done'])}")


if __name__ == "__main__":
    main()
