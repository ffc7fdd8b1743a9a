"""A workflow as a part of another: it runs as a run of its own, with its own store and history.

``give`` says what it gets from the store around it, ``take`` what it leaves there.
"""

# ruff: noqa: T201

from __future__ import annotations

from decimal import Decimal

from gostage_core import ActionContext, Key, RunWorkflow, Stage, Workflow, action
from gostage_workers import LocalCluster

ITEMS = Key("items", dict[str, Decimal])
AMOUNT = Key("amount", Decimal)
RATE = Key("rate", Decimal)


@action(store_as="tax")
def compute_tax(ctx: ActionContext) -> Decimal:
    """Return the tax on the amount."""
    return (ctx.store[AMOUNT] * ctx.store[RATE]).quantize(Decimal("0.01"))


@action(store_as="gross")
def add_tax(ctx: ActionContext) -> Decimal:
    """Return the amount with its tax."""
    return ctx.store[AMOUNT] + ctx.store.get("tax", Decimal)


@action(store_as="basket.total")
def add_up(ctx: ActionContext) -> Decimal:
    """Return what all items cost."""
    return sum(ctx.store[ITEMS].values(), Decimal())


@action(store_as="invoice")
def write_invoice(ctx: ActionContext) -> str:
    """Put the invoice together."""
    store = ctx.store
    return (
        f"{len(store[ITEMS])} items: {store['basket.total']} + {store['tax']} = {store['to pay']}"
    )


taxes = Workflow("taxes")
taxes.add_stage(Stage("taxes", [compute_tax.s(), add_tax.s()]))

tax_run = RunWorkflow(
    taxes,
    give={AMOUNT: "basket.total"},
    store={RATE: Decimal("0.23")},
    take={"tax": "tax", "to pay": "gross"},
    store_as="tax.run",
)
workflow = Workflow("invoice")
workflow.add_stage(Stage("add-up", [add_up.s()]))
workflow.add_stage(Stage("invoice", [tax_run.options(name="taxes"), write_invoice.s()]))

if __name__ == "__main__":
    basket = {"pen": Decimal("1.20"), "book": Decimal("14.50"), "lamp": Decimal("39.90")}
    with LocalCluster() as cluster:
        result = cluster.runner.execute(workflow, store={ITEMS: basket})
        child = cluster.runner.get(result.store["tax.run"]).result()
    print(result.store["invoice"])
    print("the child's store:", *child.store.keys(), f"- its run: {child.status}")
