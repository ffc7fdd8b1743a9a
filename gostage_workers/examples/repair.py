"""The fourth of five actions fails: the run is repaired and goes on there, or a fork of it does.

A retry goes on in the same run. A fork is a new run from an action on, with the store as it was.
"""

# ruff: noqa: T201

from __future__ import annotations

from gostage_core import ActionContext, Run, Workflow, action
from gostage_workers import LocalCluster


@action
def add(ctx: ActionContext, number: int) -> None:
    """Add a number to the sum."""
    ctx.store.increment("sum", number)


@action
def divide(ctx: ActionContext) -> None:
    """Divide the sum by what the store says."""
    ctx.store["sum"] = ctx.store.get("sum", int) // ctx.store.get("by", int)


@action
def report(ctx: ActionContext) -> None:
    """Say what came of it."""
    ctx.store["report"] = f"it is {ctx.store['sum']}"


workflow = Workflow("sums")
workflow.add_stage("add").add(*(add.s(n).options(name=f"add {n}") for n in (10, 20, 30)))
workflow.add_stage("divide").add(divide.s(), report.s())


def show(what: str, run: Run) -> None:
    """Print how a run stands, and what was done in it."""
    result = run.wait()
    told = result.store["report"] if "report" in result.store else run.why().text.partition(",")[0]
    done = [one.name for one in result.actions if one.status == "completed"]
    print(f"{what}: {result.status}, {told} ({', '.join(done)})")


def main() -> None:
    """Submit a run that fails, repair it, and try two other ways from the middle of it."""
    with LocalCluster() as cluster:
        run = cluster.runner.submit(workflow, store={"by": 0})
        show("submitted", run)
        run.retry(store={"by": 4}, reason="nobody divides by 0", actor="ana")
        show("retried", run)
        show("forked at 'add 30'", run.fork("add 30", store={"by": 3}))
        other = run.fork(
            "add 20", store={"by": 3}, edit=lambda plan: plan.actions["add 30"].disable()
        )
        show("forked at 'add 20', without 'add 30'", other)


if __name__ == "__main__":
    main()
