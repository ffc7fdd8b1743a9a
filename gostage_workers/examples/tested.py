"""Tests of a workflow without any server: two days in no time, and every crash that there may be.

They are written as pytest would find them; there, the fixture gostage_crashes lists the scenarios.
"""

import logging

from gostage_core import Action, ActionContext, ConfigurationError, WaitForSignal, Workflow, action
from gostage_core.testing import MemoryEngine, crashes


class Bank:
    """Stands for the real one."""

    def __init__(self) -> None:
        self.payments: dict[str, int] = {}
        self.asked = 0

    def charge(self, amount: int, key: str = "") -> str:
        """Take *amount*; once for each *key*, where there is one."""
        self.asked += 1
        self.payments[key or f"payment {self.asked}"] = amount
        return f"{amount} EUR"


@action(timeout=30)
def charge(ctx: ActionContext, amount: int) -> None:
    """Pay, and see to it that nobody pays twice."""
    bank, key = ctx.resources.bank, ctx.idempotency_key
    ctx.store["receipt"] = ctx.once("charge", lambda: bank.charge(amount, key))


@action(timeout=30)
def charge_carelessly(ctx: ActionContext, amount: int) -> None:
    """Pay."""
    ctx.store["receipt"] = ctx.resources.bank.charge(amount)


def order(pay: Action) -> Workflow:
    """Return a workflow that waits for a veto, and pays if there is none."""
    workflow = Workflow("order")
    workflow.add_stage("wait").add(WaitForSignal("veto", timeout="2d", default=None))
    workflow.add_stage("pay").add(pay)
    return workflow


def engine() -> MemoryEngine:
    """Return a world in which nothing has happened yet."""
    return MemoryEngine(resources={"bank": Bank()})


def test_an_order_waits_two_days_for_a_veto() -> None:
    """The clock is the test's own."""
    world = engine()
    run = world.submit(order(charge.s(amount=5)))
    world.advance("47h")
    assert run.status == "waiting"
    world.advance("1h")
    assert run.store["receipt"] == "5 EUR"


def test_an_order_is_paid_once(pay: Action | None = None) -> None:  # noqa: PT028 - see below
    """Workers die, freeze and come back, messages are lost: at every point of the run."""
    for scenario in crashes(order(pay or charge.s(amount=5)), engine=engine):
        assert scenario.run().status == "completed", scenario
        assert len(scenario.engine.resources["bank"].payments) == 1, scenario


if __name__ == "__main__":
    logging.getLogger("gostage_core").setLevel(logging.ERROR)  # that workers die is the point
    try:
        test_an_order_waits_two_days_for_a_veto()
        test_an_order_is_paid_once()
        print("charge: paid once, whatever happens")
        test_an_order_is_paid_once(charge_carelessly.s(amount=5))
    except ConfigurationError as error:
        raise SystemExit(str(error)) from None
    except AssertionError as error:
        print(f"charge_carelessly: paid twice in {error}")
