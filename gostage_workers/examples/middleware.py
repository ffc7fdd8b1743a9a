"""Middleware: a cache around actions, a guard that recovers a stage, timings, and a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core import (
    ActionContext,
    HookContext,
    Middleware,
    ScopeOutcome,
    Stage,
    StageFilter,
    Timing,
    Workflow,
    action,
)
from gostage_workers import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Callable


class Cached(Middleware):
    """Answers for an action from the store, where an earlier one has left its value."""

    prefix: str

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        """Leave the body out where its value is known."""
        key = f"{self.prefix}.{ctx.action.name}"
        if key not in ctx.store:
            ctx.store[key] = call_next()
        return ctx.store[key]


class Forgiving(Middleware):
    """Lets a stage fail without harm to the run."""

    def before_stage(self, ctx: HookContext) -> None:
        """Keep something for the hook behind the stage, whichever worker that runs on."""
        ctx.scratch["orders"] = ctx.store.get("orders", int)

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Complete the stage all the same, and say so."""
        if outcome.status == "failed":
            ctx.store["note"] = f"{ctx.scratch['orders']} orders, but {outcome.error}"
            outcome.recover()


@action
def rate(ctx: ActionContext) -> float:
    """Ask for the rate of the day."""
    ctx.store.increment("asked")
    return 1.1


@action
def advertise(ctx: ActionContext) -> None:
    """Fail."""
    raise ConnectionError("the agency does not answer")


workflow = Workflow("shop").use(Timing(), StageFilter(any_tags=["daily"]))
workflow.add_stage(Stage("rates", [rate.s(), rate.s()], tags=["daily"])).use(Cached(prefix="rate"))
workflow.add_stage(Stage("adverts", [advertise.s()], tags=["daily"])).use(Forgiving())
workflow.add_stage(Stage("accounts", [rate.s()], tags=["monthly"]))

if __name__ == "__main__":
    with LocalCluster() as cluster:
        result = cluster.runner.execute(workflow, store={"orders": 3})
    for stage in result.stages.values():
        spent = result.store.get(f"timing.{stage.id}", float)
        print(f"{stage.id}: {stage.status} in {spent:.2f} s")  # noqa: T201
    print(f"{result.status}: asked {result.store['asked']} time; {result.store['note']}")  # noqa: T201
