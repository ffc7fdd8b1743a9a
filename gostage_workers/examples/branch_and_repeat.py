"""Conditions: repeat until one holds, then go one of several ways.

A condition is a registered function: plans name it, by itself or by its id, with its parameters.
"""

# ruff: noqa: T201

from __future__ import annotations

from gostage_core import (
    ActionContext,
    Branch,
    Key,
    Repeat,
    Stage,
    Workflow,
    action,
    condition,
    otherwise,
    when,
)
from gostage_workers import LocalCluster

WAITING = Key("waiting", list[int])
LOADED = Key("loaded", list[int])


@condition
def is_loaded(ctx: ActionContext, capacity: int) -> bool:
    """Tell whether no crate is left, or the next one does not fit."""
    waiting = ctx.store[WAITING]
    return not waiting or sum(ctx.store[LOADED]) + waiting[0] > capacity


@condition("is-heavy")
def is_heavy(ctx: ActionContext, above: int) -> bool:
    """Tell whether what is loaded weighs more than so many kilos."""
    return sum(ctx.store[LOADED]) > above


@action
def load_crate(ctx: ActionContext) -> None:
    """Load the next crate."""
    crate, *rest = ctx.store[WAITING]
    ctx.store.append(LOADED, crate)
    ctx.store[WAITING] = rest


@action
def send(ctx: ActionContext, by: str) -> None:
    """Send what is loaded."""
    loaded, left = sum(ctx.store[LOADED]), sum(ctx.store[WAITING])
    ctx.store["sent"] = f"{loaded} kg go {by}, {left} kg stay here"


workflow = Workflow("shipment")
workflow.add_stage(
    Stage("load", [Repeat(load_crate.s(), until=when(is_loaded, capacity=1000), max_times=50)])
)
workflow.add_stage(
    Stage(
        "send",
        [
            Branch(
                when("is-heavy", above=800).then(send.s("by train")),
                when(is_heavy, above=100).then(send.s("by truck")),
                otherwise(send.s("by bicycle")),
            )
        ],
    )
)

if __name__ == "__main__":
    with LocalCluster() as cluster:
        for crates in ([400, 350, 200, 300], [120, 60], [20]):
            result = cluster.runner.execute(workflow, store={WAITING: crates})
            print(result.store["sent"])
