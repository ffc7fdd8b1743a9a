"""An order is validated, paid once although the bank's answer gets lost, and shipped."""

# ruff: noqa: T201

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel

from gostage_core import ActionContext, Key, Retry, Stage, Workflow, action
from gostage_workers import LocalCluster


class Order(BaseModel):
    """What a customer wants."""

    number: int
    items: list[str]
    amount: Decimal


ORDER = Key("order", Order)
ACCOUNT = Key("account", Path)


@action
def validate(ctx: ActionContext, most: Decimal) -> None:
    """Refuse an order that nobody can mean."""
    amount = ctx.store[ORDER].amount
    if not 0 < amount <= most:
        raise ValueError(f"nobody buys for {amount}")


@action(retry=Retry(3, delay=0.1, on=ConnectionError), timeout=30, store_as="payment")
def pay(ctx: ActionContext) -> str:
    """Pay the order."""
    transfer(ctx.store[ACCOUNT], ctx.idempotency_key, ctx.store[ORDER].amount)
    return f"paid {ctx.store[ORDER].amount} at try {ctx.attempt}"


def transfer(account: Path, key: str, amount: Decimal) -> None:
    """Book an amount as a bank does, once for each key; the answer to the first try gets lost."""
    booking = account / key
    if not booking.exists():
        booking.write_text(str(amount))
        raise ConnectionError("the bank does not answer")


@action
def ship(ctx: ActionContext, step: str) -> None:
    """Do one of the things that do not wait for each other."""
    ctx.store.append("shipped", f"{step} {' and '.join(ctx.store[ORDER].items)}")


workflow = Workflow("order", name="Order processing")
workflow.add_stage(Stage("validate", [validate.s(most=Decimal(500))]))
workflow.add_stage(Stage("pay", [pay.s()]))
steps = [ship.s(step).options(name=step) for step in ("reserve", "pack", "announce")]
workflow.add_stage(Stage("ship", steps, parallel=True))


def main() -> None:
    """Take an order, and refuse another one."""
    good = Order(number=1, items=["lamp", "pen"], amount=Decimal("41.10"))
    odd = Order(number=2, items=["lamp"], amount=Decimal(0))
    with tempfile.TemporaryDirectory() as account, LocalCluster() as cluster:
        for order in (good, odd):
            result = cluster.runner.execute(workflow, store={ORDER: order, ACCOUNT: Path(account)})
            outcome = result.error or ", ".join([result.store["payment"], *result.store["shipped"]])
            print(f"order {order.number} {result.status}: {outcome}")
        print("bookings at the bank:", *(file.read_text() for file in Path(account).iterdir()))


if __name__ == "__main__":
    main()
