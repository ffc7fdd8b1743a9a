"""What is around a run in memory: resources, other Celery tasks, handlers, loops of events."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import ActionContext, CeleryTask, Message, Retry, RunStatus, WaitForSignal, action
from gostage_core.testing import MemoryEngine, RunStuckError, TrialError
from gostage_workers import resource
from tests.support.parity import in_one_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("fresh_registry")


@pytest.fixture
def engine() -> Iterator[MemoryEngine]:
    with MemoryEngine() as engine:
        yield engine


class Bank:
    def __init__(self) -> None:
        self.taken: list[int] = []

    def take(self, amount: int) -> None:
        self.taken.append(amount)


@action
def charge(ctx: ActionContext, amount: int) -> None:
    ctx.resources.bank.take(amount)


@action
def tell(ctx: ActionContext) -> None:
    for n in range(3):
        ctx.send("count", n)


def test_a_body_finds_the_objects_that_the_test_gives() -> None:
    bank = Bank()
    MemoryEngine(resources={"bank": bank}).execute(in_one_stage(charge.s(amount=3)))
    assert bank.taken == [3]


def test_a_class_may_be_a_resource_itself() -> None:
    engine = MemoryEngine(resources={"bank": Bank})

    @action
    def look(ctx: ActionContext) -> None:
        ctx.store["is the class"] = ctx.resources.bank is Bank
        ctx.store["all"] = dir(ctx.resources)

    store = engine.execute(in_one_stage(look.s())).store
    assert store.export() == {"is the class": True, "all": ["bank"]}


def test_a_factory_makes_one_object_for_the_whole_engine() -> None:
    engine = MemoryEngine(factories={"bank": Bank})
    for amount in (1, 2):
        engine.execute(in_one_stage(charge.s(amount=amount)))
    assert engine.resources["bank"].taken == [1, 2]


def test_what_a_resource_of_a_worker_yields_is_torn_down_with_the_engine() -> None:
    happened: list[str] = []

    @resource("bank")
    def open_bank() -> Iterator[Bank]:
        happened.append("open")
        yield Bank()
        happened.append("closed")

    with MemoryEngine(factories={"bank": open_bank}) as engine:
        assert happened == []
        engine.execute(in_one_stage(charge.s(amount=1), charge.s(amount=2)))
        assert happened == ["open"]
    engine.close()
    assert happened == ["open", "closed"]


def test_a_factory_that_raises_fails_the_attempt_and_is_asked_again() -> None:
    banks = iter([ConnectionError("closed today"), Bank()])

    def open_bank() -> Bank:
        found = next(banks)
        if isinstance(found, Exception):
            raise found
        return found

    engine = MemoryEngine(factories={"bank": open_bank})
    again = charge.s(amount=1).options(retry=Retry(2, on=ConnectionError))
    result = engine.execute(in_one_stage(again))
    assert result.status is RunStatus.COMPLETED
    assert str(result.actions[0].error) == (
        "s/charge: ResourceError: resource 'bank' could not be made: ConnectionError: closed today"
    )


def test_a_resource_that_is_missing_is_told_how_to_be_given(engine: MemoryEngine) -> None:
    assert str(engine.execute(in_one_stage(charge.s(amount=1))).error) == (
        "s/charge: ResourceNotFoundError: no resource 'bank' in this test; "
        "give it one: MemoryEngine(resources={'bank': …})"
    )


def test_a_task_is_recorded_and_ended_by_the_test(engine: MemoryEngine) -> None:
    mail = CeleryTask("shop.mail", args=[1], give={"on": "day"}, queue="slow", store_as="receipt")
    run = engine.submit(in_one_stage(mail), store={"day": date(2024, 5, 1)})
    engine.settle()
    (task,) = engine.published
    assert run.status is RunStatus.WAITING
    assert (task.name, task.args, task.kwargs) == ("shop.mail", (1,), {"on": date(2024, 5, 1)})
    assert (task.options["queue"], task.run_id) == ("slow", run.run_id)
    assert len(task.task_id) == 36
    engine.finish_task(task, {"sent": 2})
    engine.settle()
    assert run.result().store["receipt"] == {"sent": 2}


def test_a_task_that_fails_fails_its_action_and_is_published_again_for_the_next_try(
    engine: MemoryEngine,
) -> None:
    run = engine.submit(in_one_stage(CeleryTask("shop.mail").options(retry=Retry(2))))
    engine.settle()
    engine.fail_task("shop.mail", ConnectionError("no route"))
    engine.settle()
    assert run.status is RunStatus.SLEEPING
    engine.advance("1m")
    first, second = engine.published
    assert first.task_id == second.task_id
    engine.finish_task("shop.mail")
    assert run.wait().status is RunStatus.COMPLETED
    assert str(run.result().actions[0].error) == "s/mail: ConnectionError: no route"


def test_a_task_of_which_nobody_hears_ends_at_its_timeout(engine: MemoryEngine) -> None:
    result = engine.execute(in_one_stage(CeleryTask("shop.mail", timeout="10m")))
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"
    with pytest.raises(RunStuckError, match="waits for a Celery task to tell its end"):
        engine.execute(in_one_stage(CeleryTask("shop.mail")))


def test_a_fake_does_the_work_of_a_task() -> None:
    def add(first: int, second: int) -> int:
        return first + second

    def break_down() -> None:
        raise ConnectionError("no route")

    engine = MemoryEngine(tasks={"shop.add": add, "shop.break": break_down})
    workflow = in_one_stage(
        CeleryTask("shop.add", args=[1], kwargs={"second": 2}, store_as="sum"),
        CeleryTask("shop.break"),
    )
    result = engine.execute(workflow)
    assert result.store["sum"] == 3
    assert str(result.error) == "s/break: ConnectionError: no route"


def test_a_message_that_nobody_waits_for_is_recorded_all_the_same() -> None:
    done: list[str] = []
    engine = MemoryEngine(tasks={"shop.log": done.append})

    @action
    def publish(ctx: ActionContext) -> None:
        ctx.publish("shop.log", ["hello"], {})

    assert engine.execute(in_one_stage(publish.s())).status is RunStatus.COMPLETED
    engine.settle()
    assert (done, engine.published[0].run_id) == (["hello"], "")


def test_a_task_that_was_not_published_cannot_end(engine: MemoryEngine) -> None:
    with pytest.raises(TrialError, match=r"no task 'shop\.mail' .* its end; none waits"):
        engine.finish_task("shop.mail")
    engine.submit(in_one_stage(CeleryTask("shop.mail"), parallel=True))
    engine.settle()
    with pytest.raises(TrialError, match=r"those that wait are shop\.mail"):
        engine.fail_task("shop.male", ValueError())
    engine.finish_task("shop.mail")
    with pytest.raises(TrialError, match="none waits"):
        engine.finish_task("shop.mail")


def test_handlers_hear_each_message_once_and_in_order_on_the_thread_of_the_test(
    engine: MemoryEngine,
) -> None:
    heard: list[tuple[Any, bool]] = []

    @engine.runner.on("count")
    def hear(message: Message) -> None:
        heard.append((message.payload, threading.current_thread() is threading.main_thread()))

    run = engine.submit(in_one_stage(tell.s(), WaitForSignal("go")))
    engine.settle()
    assert heard == [(0, True), (1, True), (2, True)]
    run.signal("go")
    engine.execute(in_one_stage(tell.s()))
    assert [payload for payload, _ in heard] == [0, 1, 2] * 2


def test_a_handler_that_comes_late_hears_what_was_sent_before(engine: MemoryEngine) -> None:
    heard: list[Any] = []
    engine.execute(in_one_stage(tell.s()))
    engine.runner.on()(lambda message: heard.append(message.payload))
    engine.settle()
    assert heard == [0, 1, 2]


def test_a_handler_may_have_the_run_go_on(engine: MemoryEngine) -> None:
    @engine.runner.on("count")
    async def approve(message: Message) -> None:
        await asyncio.sleep(0)
        engine.runner.get(message.context.run_id).signal("go", message.payload, id="once")
        assert not engine.runner.drain()

    result = engine.execute(in_one_stage(tell.s(), WaitForSignal("go", store_as="got")))
    assert result.store["got"] == 0


def test_what_a_handler_raises_stops_nothing(
    engine: MemoryEngine, caplog: pytest.LogCaptureFixture
) -> None:
    @engine.runner.on()
    def fail(message: Message) -> None:
        raise ValueError("not mine")

    assert engine.execute(in_one_stage(tell.s())).status is RunStatus.COMPLETED
    assert "failed at message 1" in caplog.text


def test_messages_are_read_and_followed(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(tell.s()))
    assert [message.payload for message in run.messages(follow=True)] == [0, 1, 2]
    assert [message.payload for message in run.messages()] == [0, 1, 2]


@action
async def think(ctx: ActionContext) -> None:
    async def ask() -> int:
        await asyncio.sleep(0)
        return 42

    ctx.store["answer"] = await ctx.once("ask", ask)


def test_a_body_may_be_a_coroutine(engine: MemoryEngine) -> None:
    assert engine.execute(in_one_stage(think.s())).store["answer"] == 42


def test_so_may_the_test(engine: MemoryEngine) -> None:
    heard: list[Any] = []

    @engine.runner.on("count")
    async def hear(message: Message) -> None:
        await asyncio.sleep(0)
        heard.append(message.payload)

    async def test() -> None:
        result = engine.execute(in_one_stage(think.s(), tell.s()))
        assert result.store["answer"] == 42
        await asyncio.sleep(0)

    asyncio.run(test())
    assert heard == [0, 1, 2]


def test_a_body_knows_the_time_without_an_engine_too() -> None:
    from gostage_core.testing import context

    assert abs(context().now - datetime.now(UTC)) < timedelta(minutes=1)
