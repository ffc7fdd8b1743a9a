"""The store: typed keys, tags and properties, a time to live, and changes that merge.

Values come back as the type that went in, in whichever process they are read.
"""

# ruff: noqa: T201

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel

from gostage_core import ActionContext, Key, Stage, Workflow, action
from gostage_workers import LocalCluster


class Address(BaseModel):
    """Where somebody lives."""

    city: str


class Customer(BaseModel):
    """Somebody who buys."""

    name: str
    since: date
    home: Address


CUSTOMER = Key("customer", Customer)
PURCHASES = Key("purchases", list[Decimal])
TOKEN = Key("token", str)


@action
def register(ctx: ActionContext) -> None:
    """Store a customer, with words to find the key by, and a token that is good for an hour."""
    ana = Customer(name="Ana", since=date(2024, 5, 17), home=Address(city="Porto"))
    ctx.store.put(CUSTOMER, ana, tags=["personal"], properties={"source": "web"})
    ctx.store.put(TOKEN, "f3a9", ttl="1h", tags=["personal", "secret"])


@action
def move(ctx: ActionContext, city: str) -> None:
    """Change one field of the stored customer: here alone a dot is a path."""
    ctx.store.update(CUSTOMER, "home.city", city)


@action
def buy(ctx: ActionContext, price: Decimal) -> None:
    """Change what others change at the same time; nothing of it is lost."""
    ctx.store.append(PURCHASES, price)
    ctx.store.increment("visits")


@action(store_as="summary")
def sum_up(ctx: ActionContext) -> str:
    """Read everything again, as what it is."""
    customer = ctx.store[CUSTOMER]
    spent, visits = sum(ctx.store[PURCHASES], Decimal()), ctx.store["visits"]
    return f"{customer.name} of {customer.home.city} spent {spent} in {visits} visits"


workflow = Workflow("customer")
workflow.add_stage(Stage("register", [register.s(), move.s("Lisbon")]))
prices = [Decimal("9.99"), Decimal("0.10"), Decimal("25")]
workflow.add_stage(Stage("shop", [buy.s(price) for price in prices], parallel=True))
workflow.add_stage(Stage("close", [sum_up.s()]))

if __name__ == "__main__":
    with LocalCluster() as cluster:
        store = cluster.runner.execute(workflow).store
    print(store["summary"])
    print("purchases, in plan order:", *store[PURCHASES])
    print("personal:", *store.keys(tag="personal"), "- texts:", *store.keys(type=str))
    print("the token expires:", store.metadata(TOKEN).expires_at is not None)
