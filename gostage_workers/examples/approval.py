"""A way for each amount, and an audit for what looks risky: the action that sees it inserts it.

Small expenses pass by rule, others are assessed; who assesses may add actions and stages.
"""

# ruff: noqa: T201

from __future__ import annotations

from gostage_core import (
    ActionContext,
    Branch,
    Key,
    RunResult,
    Stage,
    Workflow,
    action,
    condition,
    otherwise,
    when,
)
from gostage_workers import LocalCluster

AMOUNT = Key("amount", int)
HISTORY = Key("history", list[str])


@condition
def is_at_most(ctx: ActionContext, limit: int) -> bool:
    """Tell whether the expense is a small one."""
    return ctx.store[AMOUNT] <= limit


@action
def approve(ctx: ActionContext, by: str) -> None:
    """Approve the expense."""
    ctx.store.append(HISTORY, f"approved by {by}")


@action
def assess(ctx: ActionContext, risky_from: int) -> None:
    """Look at the expense; where it is risky, have it looked at twice, and audited afterwards."""
    ctx.store.append(HISTORY, "assessed")
    if ctx.store[AMOUNT] >= risky_from:
        ctx.add_action(approve.s("a second pair of eyes").options(name="approve twice"))
        ctx.add_stage(Stage("audit", [audit.s()], tags=["risk"]))


@action
def audit(ctx: ActionContext) -> None:
    """Keep what an auditor will ask for."""
    ctx.store.append(HISTORY, f"audited, {len(ctx.store[HISTORY])} entries")


@action
def pay_out(ctx: ActionContext) -> None:
    """Pay it out, which is the last thing that happens."""
    ctx.store.append(HISTORY, f"{ctx.store[AMOUNT]} paid out")


way = Branch(
    when(is_at_most, limit=100).then(approve.s("the rule")),
    otherwise(assess.s(risky_from=5000), approve.s("the team")),
)
workflow = Workflow("expense")
workflow.add_stage(Stage("decide", [way.options(name="way")]))
workflow.add_stage(Stage("pay", [pay_out.s()]))


def shown(result: RunResult) -> str:
    """Return the history of an expense, and which stages it went through."""
    return f"{', '.join(result.store[HISTORY])} ({' > '.join(result.stages)})"


if __name__ == "__main__":
    with LocalCluster() as cluster:
        for run in [cluster.runner.submit(workflow, store={AMOUNT: n}) for n in (80, 800, 8000)]:
            print(shown(run.wait()))
