"""The context that authors call their actions with in unit tests."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from gostage_core import (
    Action,
    ActionContext,
    DuplicateStageError,
    InvalidKeyError,
    InvalidWorkflowError,
    Key,
    KeyNotFoundError,
    NotStorableError,
    Stage,
    StoreTypeError,
    ValueTooLargeError,
    action,
)
from gostage_core.testing import BailSignal, context

pytestmark = pytest.mark.usefixtures("fresh_registry")


class Order(BaseModel):
    id: int
    total: float = 0.0


ORDER = Key("order", Order)


class Greet(Action):
    greeting: str = "Hello"

    def execute(self, ctx: ActionContext) -> None:
        ctx.store["greeting"] = f"{self.greeting}, {ctx.store.get('user', str, default='World')}!"


def test_an_action_is_called_with_values_and_leaves_its_own() -> None:
    ctx = context(store={"user": "Alice"})
    Greet(greeting="Hi").execute(ctx)
    assert ctx.store["greeting"] == "Hi, Alice!"
    assert ctx.store.keys() == ["greeting", "user"]


def test_a_context_is_empty_unless_values_are_given() -> None:
    ctx = context()
    assert ctx.store.keys() == []
    Greet().execute(ctx)
    assert ctx.store.export() == {"greeting": "Hello, World!"}


def test_functions_are_called_with_it_like_any_function() -> None:
    @action(store_as="sum")
    def add(ctx: ActionContext, amount: int, to: int = 1) -> int:
        ctx.store.increment("calls")
        return amount + to

    ctx = context()
    assert add(ctx, 2) == 3
    assert add(ctx, amount=2, to=5) == 7
    assert ctx.store.export() == {"calls": 2}


def test_async_bodies_are_awaited_with_it() -> None:
    @action
    async def send(ctx: ActionContext, to: str) -> None:
        await asyncio.sleep(0)
        ctx.store.append("sent", to)

    ctx = context()
    asyncio.run(send(ctx, to="ana"))
    assert ctx.store["sent"] == ["ana"]


def test_typed_keys_are_given_and_read_as_their_type() -> None:
    ctx = context(store={ORDER: Order(id=1), "plain": (1, 2)})
    order = ctx.store[ORDER]
    assert order == Order(id=1)
    ctx.store.update(ORDER, "total", 9.5)
    assert ctx.store[ORDER].total == 9.5
    assert order.total == 0.0
    assert ctx.store["plain"] == (1, 2)


@pytest.mark.parametrize(
    ("store", "error"),
    [
        ({"k": object()}, NotStorableError),
        ({"k": (n for n in range(3))}, NotStorableError),
        ({ORDER: 5}, StoreTypeError),
        ({"\n": 1}, InvalidKeyError),
        ({5: 1}, InvalidKeyError),
    ],
    ids=["an object", "a generator", "another type", "no name", "no text"],
)
def test_what_no_run_could_have_is_refused(store: dict[Any, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        context(store=store)


def test_what_would_fail_in_a_run_fails_in_the_test() -> None:
    ctx = context(store={"text": "a", "pair": (1, 2)})
    with pytest.raises(StoreTypeError):
        ctx.store.increment("text")
    with pytest.raises(StoreTypeError):
        ctx.store.append("pair", 3)
    with pytest.raises(NotStorableError):
        ctx.store.put("k", lambda: 1)
    with pytest.raises(KeyNotFoundError):
        ctx.store["missing"]
    with pytest.raises(ValueTooLargeError):
        ctx.store.put("k", "x" * (16 * 1024 * 1024))
    assert ctx.store.export() == {"text": "a", "pair": (1, 2)}


def test_given_values_are_copies() -> None:
    mine = {"list": [1]}
    ctx = context(store=mine)
    mine["list"].append(2)
    ctx.store["list"].append(3)
    assert ctx.store["list"] == [1]


def test_tags_and_queries_work_without_a_server() -> None:
    ctx = context(store={"a": 1})
    ctx.store.put("b", 2, tags=["t"], properties={"from": "crm"}, ttl=60)
    assert ctx.store.keys(tag="t") == ctx.store.keys(property=("from", "crm")) == ["b"]
    assert ctx.store.metadata("b").tags == {"t"}
    assert ctx.store.delete("a")
    assert ctx.store.keys() == ["b"]


def test_a_checkpoint_keeps_the_changes_readable() -> None:
    ctx = context(store={"n": 1})
    ctx.store.increment("n")
    ctx.checkpoint()
    ctx.store.increment("n")
    assert ctx.store["n"] == 3


def test_what_is_added_to_the_plan_is_seen() -> None:
    ctx = context(stage="here")
    ctx.add_action(Greet(), Greet(greeting="Hi").options(name="again"))
    ctx.add_stage(Stage("audit", [Greet()]))
    assert [one.name for one in ctx.additions.actions] == ["Greet", "again"]
    assert [one.id for one in ctx.additions.stages] == ["audit"]
    for taken in ("audit", "here"):
        with pytest.raises(DuplicateStageError):
            ctx.add_stage(Stage(taken))
    with pytest.raises(InvalidWorkflowError):
        ctx.add_action(Greet)  # type: ignore[arg-type]


def test_a_body_that_bails_raises_what_the_engine_would_catch() -> None:
    ctx = context()
    with pytest.raises(BailSignal) as bailed:
        ctx.bail("nothing to do")
    assert bailed.value.reason == "nothing to do"
    assert not isinstance(bailed.value, Exception)


def test_giving_up_is_how_a_test_cancels() -> None:
    ctx = context()
    ctx.heartbeat()
    assert not ctx.cancelled
    ctx.give_up()
    assert ctx.cancelled


def test_it_says_where_it_is_as_the_test_says() -> None:
    deadline = datetime.now(UTC) + timedelta(hours=1)
    ctx = context(
        run_id="r", workflow="order", stage="pay", action="charge", tags=["billing"], attempt=3,
        deadline=deadline,
    )  # fmt: skip
    assert (ctx.run_id, ctx.attempt, ctx.deadline) == ("r", 3, deadline)
    assert (ctx.workflow.id, ctx.stage.id, ctx.action.name) == ("order", "pay", "charge")
    assert ctx.action.tags == ("billing",)
    assert ctx.idempotency_key == context(run_id="r", attempt=4).idempotency_key
    assert context().deadline is None


def test_records_of_its_log_say_where_they_come_from(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        context(run_id="r", stage="pay", action="charge", attempt=2).log.info("hello %s", "ana")
    [record] = caplog.records
    assert record.getMessage() == "hello ana"
    assert {k: record.__dict__[k] for k in ("run", "stage", "action", "attempt")} == {
        "run": "r", "stage": "pay", "action": "charge", "attempt": 2,
    }  # fmt: skip


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_progress_is_a_fraction(fraction: float) -> None:
    ctx = context()
    ctx.progress(0.0)
    ctx.progress(1, "done")
    with pytest.raises(ValueError, match="fraction"):
        ctx.progress(fraction)


def test_no_connection_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSTAGE_REDIS_URL", "redis://nowhere.invalid:1/0")
    ctx = context(store={"user": "Ana"})
    Greet().execute(ctx)
    assert ctx.store["greeting"] == "Hello, Ana!"
