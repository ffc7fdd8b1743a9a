"""A Celery canvas that became a workflow: its tasks and their workers stay as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from celery import Celery, chain, group

from gostage_core import Workflow
from gostage_workers import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the project has had all along.

app = Celery("shop", broker=os.environ.get("SHOP_BROKER", "redis://localhost:6379/0"))

PRICES = {"apples": 3, "pears": 4, "plums": 5}


@app.task(name="shop.order")
def order(customer: str) -> list[str]:
    """Look up what a customer has ordered."""
    return [customer, "apples", "plums"]


@app.task(name="shop.price")
def price(ordered: list[str], fruit: str) -> int:
    """Price one kind of fruit, if it was ordered."""
    return PRICES[fruit] if fruit in ordered else 0


@app.task(name="shop.total")
def total(prices: list[int]) -> int:
    """Add up."""
    return sum(prices)


@app.task(name="shop.invoice")
def invoice(amount: int, customer: str) -> str:
    """Write the invoice."""
    return f"{customer} owes {amount} EUR"


canvas = chain(
    order.s("Ana"), group(price.s(fruit) for fruit in PRICES), total.s(), invoice.s("Ana")
)

# What is new: the same as a workflow, of which each step can be seen, waited for and changed.

workflow = Workflow.from_canvas(canvas, id="invoice", timeout="1m")


@contextmanager
def the_projects_worker(broker: str) -> Iterator[None]:
    """Run the worker that the project has had all along; it knows nothing of workflows."""
    command = [sys.executable, "-m", "celery", "-A", "gostage_workers.examples.migrated_canvas"]
    worker = subprocess.Popen(  # noqa: S603 - this very interpreter
        [*command, "--quiet", "worker", "-c", "2", "-l", "ERROR"],
        env={**os.environ, "SHOP_BROKER": broker},
    )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


if __name__ == "__main__":
    with LocalCluster(workers=1) as cluster, the_projects_worker(cluster.url):
        result = cluster.runner.execute(workflow, timeout=60)
    for action in result.actions:
        print(f"{action.stage:16} {action.name:10} {action.status}")
    print(result.store["result"])
