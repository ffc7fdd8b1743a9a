"""A journey of three bookings: when the last one fails, the others are undone, the last one first.

What undoes an action is an ordinary action, with its own retries, in a stage that the engine adds.
"""

# ruff: noqa: T201

from __future__ import annotations

from gostage_core import ActionContext, Retry, RunResult, Workflow, action
from gostage_workers import LocalCluster

SOLD_OUT = "museum"


@action(retry=Retry(3, delay=0.1))
def cancel(ctx: ActionContext, what: str) -> None:
    """Cancel a booking; the other side does not always answer at once."""
    if ctx.attempt == 1:
        raise ConnectionError("no answer")
    ctx.store.append("calls", f"cancel {ctx.store.get(f'{what}.number', str)}")


@action
def book(ctx: ActionContext, what: str) -> None:
    """Book something; what was booked is known to later attempts, should the worker die here."""
    if what == SOLD_OUT:
        raise LookupError(f"the {what} is sold out")
    number = ctx.once("book", lambda: f"{what}-{ctx.idempotency_key.rpartition(':')[2]}")
    ctx.store[f"{what}.number"] = number
    ctx.store.append("calls", f"book {number}")


workflow = Workflow("journey")
workflow.add_stage("book").add(
    *(
        book.s(what).options(name=what, compensate=cancel.s(what).options(name=f"cancel {what}"))
        for what in ("train", "hotel", SOLD_OUT)
    )
)


def show(result: RunResult) -> None:
    """Print how it went, and what is left of it."""
    print(f"{result.status}: {result.error}")
    for done in result.actions:
        undoes = f", undoes {done.undoes}" if done.undoes else ""
        print(f"  {done.path} {done.status}, attempt {done.attempt}{undoes}")
    print(", ".join(result.store["calls"]))
    print("nothing is left" if result.compensated else f"left: {', '.join(result.uncompensated)}")


if __name__ == "__main__":
    with LocalCluster() as cluster:
        show(cluster.runner.execute(workflow))
