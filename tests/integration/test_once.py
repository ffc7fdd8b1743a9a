"""What is done once is done once: by an entry of a plan, for a key, across tries and deaths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from gostage_core import (
    ActionContext,
    ForEach,
    InvalidKeyError,
    NotStorableError,
    Repeat,
    Retry,
    RunExistsError,
    RunStatus,
    Sleep,
    ValueTooLargeError,
    action,
)
from gostage_core.attempt import Moment
from tests.support.noting import note
from tests.support.watched import done, last, one_stage

if TYPE_CHECKING:
    from tests.support.watched import WatchedBench

CALLS: list[Any] = []


class Charge(BaseModel):
    id: str
    amount: int


@dataclass
class Receipt:
    number: int


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def called(value: Any) -> Any:
    CALLS.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [None, 0, "", "text", b"\x00", (1, 2), {"a": [1]}, Charge(id="ch_1", amount=3), Receipt(7)],
    ids=repr,
)
def test_a_later_try_is_given_what_an_earlier_one_got(watched: WatchedBench, value: Any) -> None:
    @action(retry=Retry(3, delay=1, jitter=0))
    def charge(ctx: ActionContext) -> None:
        got = ctx.once("charge", lambda: called(value))
        if ctx.attempt < 3:
            raise ConnectionError("after the charge")
        ctx.store["same"] = got == value and type(got) is type(value)

    run = watched.settled(charge.s())
    for _ in range(3):
        watched.later(5)
    assert run.store["same"] is True
    assert [value] == CALLS


def test_each_name_is_a_thing_of_its_own(watched: WatchedBench) -> None:
    @action
    def charge(ctx: ActionContext) -> list[int]:
        ctx.once("a", lambda: called("a"))
        return [ctx.once(name, lambda: len(CALLS)) for name in ("b", "c", "b")]

    run = watched.settled(charge.s().options(store_as="got"))
    assert run.store["got"] == [1, 1, 1]


def test_what_raises_is_not_kept_and_is_called_again(watched: WatchedBench) -> None:
    def stumbles() -> str:
        if len(called_so_far := [called("try"), *CALLS]) < 4:
            raise ConnectionError(str(len(called_so_far)))
        return "charged"

    @action(retry=Retry(5, delay=1, jitter=0))
    def charge(ctx: ActionContext) -> str:
        return ctx.once("charge", stumbles)

    run = watched.settled(charge.s().options(store_as="got"))
    for _ in range(3):
        watched.later(5)
    assert (run.store["got"], len(CALLS)) == ("charged", 3)


@pytest.mark.parametrize("moment", [Moment.CLAIMED, Moment.BODY_DONE, Moment.COMMITTED])
def test_a_worker_may_die_behind_it(watched: WatchedBench, moment: Moment) -> None:
    @action
    def charge(ctx: ActionContext) -> None:
        ctx.store["got"] = ctx.once("charge", lambda: called(1))

    run = watched.submit(one_stage(charge.s(), note.s()))
    watched.die_at = moment
    watched.settle()
    assert run.status is RunStatus.COMPLETED
    assert CALLS == [1]


def test_a_retried_run_does_not_do_it_again(watched: WatchedBench) -> None:
    @action
    def charge(ctx: ActionContext) -> None:
        ctx.once("charge", lambda: called(1))
        if "fixed" not in ctx.store:
            raise ValueError("behind it")

    run = watched.settled(charge.s())
    run.retry(store={"fixed": True})
    watched.settle()
    assert run.status is RunStatus.COMPLETED
    assert CALLS == [1]


def test_a_fork_does_it_for_itself(watched: WatchedBench) -> None:
    @action
    def charge(ctx: ActionContext) -> None:
        ctx.once("charge", lambda: called(ctx.idempotency_key))

    run = watched.settled(charge.s())
    run.fork("charge")
    watched.settle()
    assert len(set(CALLS)) == 2


def test_each_item_and_each_pass_does_it_for_itself(watched: WatchedBench) -> None:
    @action
    def charge(ctx: ActionContext) -> None:
        ctx.once("charge", lambda: called((ctx.item if ctx.item != "none" else None, ctx.index)))

    @action
    def turn(ctx: ActionContext) -> None:
        ctx.once("turn", lambda: called(ctx.index))

    watched.settled(
        ForEach("items", charge.s(), max_parallel=1),
        Repeat(turn.s(), max_times=3),
        store={"items": ["a", "b"]},
    )
    assert CALLS == [("a", 0), ("b", 1), 0, 1, 2]


def test_an_async_function_is_awaited(watched: WatchedBench) -> None:
    async def call() -> int:
        CALLS.append("async")
        return 7

    @action(retry=Retry(2, delay=1, jitter=0))
    async def charge(ctx: ActionContext) -> int:
        got = await ctx.once("charge", call)
        if ctx.attempt == 1:
            raise ConnectionError
        return got

    run = watched.settled(charge.s().options(store_as="got"))
    watched.later(5)
    assert (run.store["got"], CALLS) == (7, ["async"])


def test_a_function_whose_result_would_have_to_be_awaited_is_refused(watched: WatchedBench) -> None:
    async def call() -> int:
        return 7

    @action
    async def charge(ctx: ActionContext) -> None:
        coroutine = call()
        try:
            ctx.once("charge", lambda: coroutine)
        finally:
            coroutine.close()

    run = watched.settled(charge.s())
    assert "give it the async function itself" in str(run.result().error)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("", 1, InvalidKeyError),
        ("two\nlines", 1, InvalidKeyError),
        ("charge", object(), NotStorableError),
        ("charge", "x" * 20_000_000, ValueTooLargeError),
    ],
    ids=["no name", "two lines", "object", "large"],
)
def test_what_cannot_be_kept_is_refused(
    watched: WatchedBench, name: str, value: object, error: type[Exception]
) -> None:
    @action
    def charge(ctx: ActionContext) -> None:
        with pytest.raises(error):
            ctx.once(name, lambda: value)

    run = watched.settled(charge.s())
    assert run.status is RunStatus.COMPLETED, run.why()


def test_an_attempt_that_has_lost_its_lease_keeps_nothing(watched: WatchedBench) -> None:
    @action
    def charge(ctx: ActionContext) -> None:
        if ctx.attempt == 1:
            watched.rescuer.lost("w")
            watched.settle("another worker")
        ctx.store["got"] = ctx.once("charge", lambda: called(ctx.attempt))

    run = watched.settled(charge.s())
    assert run.status is RunStatus.COMPLETED
    assert CALLS[0] == 2
    assert run.store["got"] == 2


def test_the_key_of_an_entry_is_the_same_for_every_try_and_no_other(watched: WatchedBench) -> None:
    @action(retry=Retry(2, delay=1, jitter=0))
    def charge(ctx: ActionContext) -> None:
        CALLS.append(ctx.idempotency_key)
        if ctx.attempt == 1:
            ctx.wait_for("ok")
            raise ConnectionError

    run = watched.settled(charge.s(), charge.s().options(name="other"))
    for _ in range(2):
        run.signal("ok")
        watched.settle()
        watched.later(5)
    assert run.status is RunStatus.COMPLETED
    assert len(set(CALLS)) == 2
    assert len(set(CALLS[:3])) == 1
    assert all(key.startswith(run.run_id) for key in CALLS)


def test_a_key_joins_the_run_that_has_it(watched: WatchedBench) -> None:
    one = watched.submit(one_stage(note.s()), key="event-42")
    two = watched.submit(one_stage(note.s(), note.s()), key="event-42")
    watched.settle()
    three = watched.submit(one_stage(note.s()), key="event-42", on_conflict="join")
    assert one.run_id == two.run_id == three.run_id
    assert done(one) == ["note"]


def test_a_key_may_be_refused_where_a_run_has_it(watched: WatchedBench) -> None:
    one = watched.submit(one_stage(note.s()), key="event-42", on_conflict="reject")
    with pytest.raises(RunExistsError) as refused:
        watched.submit(one_stage(note.s()), key="event-42", on_conflict="reject")
    assert one.run_id in str(refused.value)
    one.delete()
    assert watched.submit(one_stage(note.s()), key="event-42", on_conflict="reject")


def test_a_key_may_take_the_place_of_the_run_that_has_it(watched: WatchedBench) -> None:
    undo = note.s().options(name="undo")
    one = watched.settled(note.s().options(compensate=undo), Sleep("1d"), key="event-42")
    two = watched.submit(one_stage(note.s()), key="event-42", on_conflict="replace")
    watched.settle()
    assert (one.status, two.status) == (RunStatus.CANCELLED, RunStatus.COMPLETED)
    assert done(one) == ["note", "undo"]
    assert last(one, "run.halting").actor == f"run {two.run_id}"
    assert watched.submit(one_stage(note.s()), key="event-42").run_id == two.run_id
    three = watched.submit(one_stage(note.s()), key="event-42", on_conflict="replace")
    assert three.run_id != two.run_id
    assert two.status is RunStatus.COMPLETED


def test_what_to_do_about_a_key_is_one_of_three_things(watched: WatchedBench) -> None:
    with pytest.raises(ValueError, match="on_conflict is one of join, reject, replace"):
        watched.submit(one_stage(note.s()), key="k", on_conflict="merge")
