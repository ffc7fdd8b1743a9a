"""A run waits for signals: whichever comes first, of whatever type, however often it is sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from gostage_core import (
    ActionContext,
    Branch,
    ForEach,
    Middleware,
    Repeat,
    Retry,
    RunNotFoundError,
    RunStateError,
    RunStatus,
    RunWorkflow,
    SignalLimitError,
    SignalTimeoutError,
    Stage,
    StoreTypeError,
    WaitForSignal,
    Workflow,
    action,
    condition,
    when,
)
from gostage_core.attempt import Moment
from tests.support.noting import fails
from tests.support.watched import done, kinds, last, one_stage, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core import Run
    from tests.support.watched import WatchedBench


class Approval(BaseModel):
    by: str
    amount: Decimal = Decimal(0)


class Colour(Enum):
    RED = "red"


@dataclass
class Place:
    street: str
    since: date


@action
def note(ctx: ActionContext, word: str = "") -> str:
    ctx.store.append("done", word or ctx.action.name)
    return word


@action
def ask(ctx: ActionContext, name: str = "ok", timeout: float | None = None) -> Any:
    got = ctx.wait_for(name, timeout=timeout)
    ctx.store.append("done", got)
    return got


def inbox(bench: WatchedBench, run: Run) -> dict[str, str]:
    return {k: v for k, v in bench.snapshot(run.run_id).inbox.items() if k[0] in "wqs"}


def test_an_action_goes_on_with_what_the_signal_brings(watched: WatchedBench) -> None:
    @action
    def approve(ctx: ActionContext) -> None:
        approval = ctx.wait_for("approval", Approval)
        ctx.store.append("done", f"{approval.by} {approval.amount}")

    run = watched.settled(approve.s(), note.s("next"))
    assert run.status is RunStatus.WAITING
    assert run.why().reasons[0].text.startswith("waits for signal 'approval' (")
    run.signal("approval", Approval(by="ana", amount=Decimal("9.99")), actor="ana")
    watched.settle()
    assert done(run) == ["ana 9.99", "next"]
    assert run.status is RunStatus.COMPLETED
    told = last(run, "run.signalled")
    assert (told.actor, told.change["signal"]) == ("ana", "approval")


def test_a_signal_that_comes_before_anybody_waits_counts(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(note.s("first"), WaitForSignal("ok", str, store_as="got")))
    run.signal("ok", "early")
    watched.settle()
    assert run.store["got"] == "early"
    assert run.status is RunStatus.COMPLETED
    assert not inbox(watched, run)


def test_signals_of_one_name_are_taken_oldest_first_and_each_once(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(ask.s(), ask.s("other"), ask.s(), ask.s()))
    for word in ("a", "b"):
        run.signal("ok", word)
    run.signal("other", "x")
    watched.settle()
    assert done(run) == ["a", "x", "b"]
    assert run.status is RunStatus.WAITING
    run.signal("ok", "c")
    watched.settle()
    assert done(run) == ["a", "x", "b", "c"]


def test_who_has_waited_longest_goes_on_first(watched: WatchedBench) -> None:
    waiting = [WaitForSignal("ok").options(name=f"w{i}", store_as=f"got.{i}") for i in range(3)]
    run = watched.submit(one_stage(*waiting, parallel=True))
    watched.post.messages.reverse()
    watched.settle()
    first = int(run.result().actions[0].entry)
    came = [int(one.entry) - first for one in run.journal() if one.kind == "action.waiting"]
    for word in ("a", "b", "c"):
        run.signal("ok", word)
        watched.settle()
    assert [run.store[f"got.{i}"] for i in came] == ["a", "b", "c"]


def test_a_signal_that_is_sent_twice_with_one_id_counts_once(watched: WatchedBench) -> None:
    run = watched.settled(ask.s(), ask.s(), ask.s())
    for _ in range(3):
        run.signal("ok", "one", id="id-1")
        watched.settle()
    assert done(run) == ["one"]
    run.signal("ok", "two", id="id-2")
    run.signal("ok", "three", id="id-3")
    run.signal("ok", "three", id="id-3")
    watched.settle()
    assert done(run) == ["one", "two", "three"]
    assert kinds(run, "run.signalled") == ["run.signalled"] * 3


@pytest.mark.parametrize(
    "payload",
    [
        None, True, 7, 10**30, 1.5, "text", b"\x00\xff", [1, "a", None], {"a": {"b": 1}}, (1, 2),
        {1, 2}, Decimal("1.10"), UUID(int=5), Colour.RED, datetime(2024, 5, 6, tzinfo=UTC),
        date(2024, 5, 6), timedelta(minutes=3), Approval(by="ana"), Place("Elm", date(2020, 1, 2)),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("early", [True, False])
def test_whatever_the_store_can_hold_arrives_as_it_was_sent(
    watched: WatchedBench, payload: object, early: bool
) -> None:
    kind: Any = type(payload) if payload is not None else Any

    @action
    def take(ctx: ActionContext) -> None:
        got = ctx.wait_for("parcel", kind)
        ctx.store["same"] = got == payload and type(got) is type(payload)

    run = watched.submit(one_stage(take.s(), WaitForSignal("parcel", kind, store_as="got")))
    if not early:
        watched.settle()
    for _ in range(2):
        run.signal("parcel", payload)
        watched.settle()
    assert run.status is RunStatus.COMPLETED, run.why()
    assert run.store["same"] is True
    assert run.store["got"] == payload


@pytest.mark.parametrize(
    ("wanted", "payload"),
    [(int, "seven"), (Approval, {"amount": "1"}), (bool, 1), (list[int], ["x"]), (Colour, "blue")],
    ids=repr,
)
def test_what_does_not_fit_is_refused_and_another_one_waited_for(
    watched: WatchedBench, wanted: Any, payload: object
) -> None:
    @action
    def take(ctx: ActionContext) -> None:
        ctx.store["got"] = ctx.wait_for("parcel", wanted)

    fitting = {int: 7, Approval: Approval(by="x"), bool: True, Colour: Colour.RED}
    good = fitting.get(wanted, [1])
    run = watched.submit(one_stage(take.s()))
    run.signal("parcel", payload)  # nobody waits yet, so nobody knows what is wanted
    run.signal("parcel", payload)
    watched.settle()
    assert run.status is RunStatus.WAITING
    assert kinds(run, "signal.refused") == ["signal.refused"] * 2
    assert last(run, "signal.refused").reason
    run.signal("parcel", good)
    watched.settle()
    assert run.store["got"] == good


@pytest.mark.parametrize("entry", ["action", "body"])
def test_who_sends_what_is_not_wanted_is_told_so(watched: WatchedBench, entry: str) -> None:
    @action
    def take(ctx: ActionContext) -> None:
        ctx.store["got"] = ctx.wait_for("parcel", Approval)

    waits = WaitForSignal("parcel", Approval, store_as="got") if entry == "action" else take.s()
    run = watched.settled(waits)
    with pytest.raises(StoreTypeError) as refused:
        run.signal("parcel", {"amount": "much"})
    assert "signal parcel" in str(refused.value)
    assert run.status is RunStatus.WAITING
    run.signal("parcel", {"by": "ana"})
    watched.settle()
    assert run.store["got"] == Approval(by="ana")


def test_refused_signals_win_no_time_for_the_next(watched: WatchedBench) -> None:
    run = watched.settled(WaitForSignal("n", int, timeout=60, default=-1, store_as="got"))
    for _ in range(3):
        watched.state.signal(run.run_id, f"i{watched.server.clock.seconds}", "n", b'"x"', "{}")
        watched.later(25)
    watched.later(1)
    assert run.store["got"] == -1


def test_a_body_begins_from_the_top_with_the_answers_that_it_had(watched: WatchedBench) -> None:
    tops: list[int] = []
    calls: list[str] = []

    @action
    def body(ctx: ActionContext) -> None:
        tops.append(ctx.attempt)
        ctx.store["lost"] = len(tops)
        ctx.add_action(note.s("added"))
        one = ctx.wait_for("one", str)
        ctx.once("call", lambda: calls.append(one))
        ctx.store["kept"] = len(tops)
        ctx.checkpoint()
        ctx.store["lost"] = "again"
        two = ctx.wait_for("two", str)
        ctx.store.append("done", f"{one}{two}")

    run = watched.settled(body.s())
    assert "lost" not in run.store
    run.signal("one", "a")
    watched.settle()
    assert run.store["kept"] == 2
    assert run.store["lost"] == 2  # at the checkpoint
    run.signal("two", "b")
    watched.settle()
    assert tops == [1, 1, 1]
    assert calls == ["a"]
    assert (done(run), run.store["lost"]) == (["ab", "added"], "again")
    assert [a.attempt for a in run.result().actions] == [1, 1]


def test_waits_in_a_loop_are_told_apart_by_their_number(watched: WatchedBench) -> None:
    @action
    def collect(ctx: ActionContext) -> list[str]:
        return [ctx.wait_for("part", str) for _ in range(4)]

    run = watched.submit(one_stage(collect.s().options(store_as="parts")))
    for part in "ab":
        run.signal("part", part)
    watched.settle()
    for part in "cd":
        run.signal("part", part)
        watched.settle()
    assert run.store["parts"] == ["a", "b", "c", "d"]


def test_a_retry_is_given_what_an_earlier_try_got(watched: WatchedBench) -> None:
    @action(retry=Retry(3, delay=1, jitter=0))
    def stumble(ctx: ActionContext) -> None:
        word = ctx.wait_for("ok", str)
        if ctx.attempt < 3:
            raise ValueError(word)
        ctx.store.append("done", word)

    run = watched.settled(stumble.s())
    run.signal("ok", "once")
    watched.settle()
    for _ in range(3):
        watched.later(5)
    assert done(run) == ["once"]
    assert run.result().actions[0].attempt == 3


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("waits", ["action", "body"])
def test_a_worker_may_die_around_a_wait_and_the_signal_is_taken_once(
    watched: WatchedBench, moment: Moment, waits: str
) -> None:
    one = WaitForSignal("ok", store_as="got") if waits == "action" else ask.s()
    run = watched.submit(one_stage(one.options(store_as="got"), ask.s("never")))
    watched.die_at = moment
    watched.settle()
    run.signal("ok", "a")
    watched.die_at = moment
    watched.settle()
    assert run.store["got"] == "a"
    assert states(run)["ask"] == "waiting"
    assert not watched.died


def test_nothing_is_held_by_who_waits(watched: WatchedBench) -> None:
    run = watched.settled(ask.s(), WaitForSignal("b", timeout="2d"))
    keys, client = watched.state.keys, watched.state.client
    assert not any(watched.state.claims_of(process) for process in watched.state.working())
    assert not watched.post.messages
    assert client.zcard(keys.of("wake")) == 0
    assert run.result().actions[0].attempt == 1
    run.signal("ok")
    watched.settle()
    assert client.zcard(keys.of("wake")) == 1
    assert run.status is RunStatus.WAITING


def test_without_an_answer_in_time_the_default_is_the_value(watched: WatchedBench) -> None:
    run = watched.settled(
        WaitForSignal("ok", Approval, timeout=60, default=Approval(by="nobody"), store_as="got")
    )
    watched.later(59)
    assert run.status is RunStatus.WAITING
    watched.later(1)
    assert run.store["got"] == Approval(by="nobody")
    assert last(run, "signal.missed").change == {"signal": "ok"}


def test_without_an_answer_in_time_the_actions_for_that_are_done(watched: WatchedBench) -> None:
    branch = [note.s("remind").options(name="remind"), note.s("escalate")]
    run = watched.settled(
        WaitForSignal("ok", str, timeout="1m", on_timeout=branch, store_as="got"), note.s("next")
    )
    watched.later(60)
    assert done(run) == ["remind", "escalate", "next"]
    assert run.store["got"] == "escalate"
    assert "ok[timeout]/remind" in states(run)


def test_an_answer_in_time_leaves_the_other_branch_alone(watched: WatchedBench) -> None:
    run = watched.settled(WaitForSignal("ok", timeout=60, on_timeout=note.s("x"), store_as="got"))
    run.signal("ok", "yes")
    watched.later(120)
    assert (run.store["got"], done(run)) == ("yes", [])
    assert run.status is RunStatus.COMPLETED


def test_without_an_answer_in_time_and_nothing_else_said_the_action_fails(
    watched: WatchedBench,
) -> None:
    run = watched.settled(WaitForSignal("ok", timeout=60), note.s("next"))
    watched.later(60)
    result = run.result()
    assert result.status is RunStatus.FAILED
    assert str(result.error) == "s/ok: SignalTimeoutError: signal 'ok' did not come within 60 s"


def test_a_body_may_go_on_without_an_answer_and_does_so_in_later_tries(
    watched: WatchedBench,
) -> None:
    @action(retry=Retry(2, delay=1, jitter=0))
    def patient(ctx: ActionContext) -> None:
        try:
            ctx.wait_for("ok", timeout=60)
        except SignalTimeoutError as missed:
            ctx.store.append("done", f"no {missed.signal} within {missed.seconds:g} s")
        if ctx.attempt == 1:
            raise ValueError("later")

    run = watched.settled(patient.s())
    watched.later(60)
    watched.later(2)
    assert done(run) == ["no ok within 60 s"]
    assert kinds(run, "action.waiting") == ["action.waiting"]


def test_a_signal_that_comes_before_anybody_has_seen_the_timeout_counts(
    watched: WatchedBench,
) -> None:
    run = watched.settled(WaitForSignal("ok", timeout=60, default="none", store_as="got"))
    watched.server.clock.advance(61)
    run.signal("ok", "just in time")
    watched.settle()
    assert run.store["got"] == "just in time"


def test_a_signal_that_comes_after_the_timeout_is_kept_for_the_next(watched: WatchedBench) -> None:
    run = watched.settled(
        WaitForSignal("ok", timeout=60, default="none", store_as="got"), ask.s("gate"), ask.s()
    )
    watched.server.clock.advance(61)
    watched.rescuer.tick()
    run.signal("ok", "late")
    watched.settle()
    run.signal("gate", "open")
    watched.settle()
    assert run.store["got"] == "none"
    assert done(run) == ["open", "late"]


def untouched(ctx: ActionContext) -> Any:
    return ctx.wait_for("ok", timeout=60)


def wrapped(ctx: ActionContext) -> Any:
    try:
        return ctx.wait_for("ok", timeout=60)
    except SignalTimeoutError as missed:
        raise RuntimeError("nobody has approved") from missed


@pytest.mark.parametrize("body", [untouched, wrapped])
def test_a_run_that_failed_for_want_of_a_signal_waits_anew_when_it_is_retried(
    watched: WatchedBench, body: Callable[[ActionContext], Any]
) -> None:
    run = watched.settled(action(body).s().options(store_as="got"))
    watched.later(60)
    assert run.status is RunStatus.FAILED
    run.retry()
    watched.settle()
    watched.later(59)
    assert run.status is RunStatus.WAITING
    run.signal("ok", "after all")
    watched.settle()
    assert run.store["got"] == "after all"


@pytest.mark.parametrize("waits", ["action", "body"])
def test_each_try_waits_for_its_whole_time(watched: WatchedBench, waits: str) -> None:
    entry = WaitForSignal("ok", timeout=60) if waits == "action" else ask.s(timeout=60)
    run = watched.settled(entry.options(retry=Retry(3, delay=1, jitter=0), store_as="got"))
    for _ in range(2):
        watched.later(60)
        watched.later(2)
        assert run.status is RunStatus.WAITING
    run.signal("ok", "at last")
    watched.settle()
    assert run.store["got"] == "at last"
    assert kinds(run, "signal.missed") == ["signal.missed"] * 2


def test_a_try_that_failed_in_what_it_does_without_an_answer_waits_anew(
    watched: WatchedBench,
) -> None:
    run = watched.settled(
        WaitForSignal("ok", timeout=60, on_timeout=fails.s()).options(
            retry=Retry(2, delay=1, jitter=0), store_as="got"
        )
    )
    watched.later(60)
    watched.later(2)
    assert run.status is RunStatus.WAITING
    run.signal("ok", "now")
    watched.settle()
    assert run.store["got"] == "now"


def test_an_early_signal_is_not_lost_on_a_wait_that_is_tried_again(watched: WatchedBench) -> None:
    run = watched.settled(WaitForSignal("ok", timeout=60, store_as="got"))
    watched.later(60)
    run.retry()
    run.signal("ok", "between")
    watched.settle()
    assert run.store["got"] == "between"


def test_a_run_that_was_cancelled_while_it_waited_has_its_whole_time_again(
    watched: WatchedBench,
) -> None:
    run = watched.settled(ask.s(timeout=60))
    watched.later(50)
    run.cancel()
    watched.later(3600)
    run.retry()
    watched.settle()
    watched.later(59)
    assert run.status is RunStatus.WAITING
    watched.later(1)
    assert run.status is RunStatus.FAILED


def test_a_retried_run_still_has_what_its_signals_brought(watched: WatchedBench) -> None:
    @action
    def body(ctx: ActionContext) -> None:
        word = ctx.wait_for("ok", str)
        if "fixed" not in ctx.store:
            raise ValueError(word)
        ctx.store.append("done", word)

    run = watched.settled(body.s())
    run.signal("ok", "yes")
    watched.settle()
    run.retry(store={"fixed": True})
    watched.settle()
    assert done(run) == ["yes"]


def test_time_that_is_waited_does_not_count_towards_the_timeout_of_the_action(
    watched: WatchedBench,
) -> None:
    run = watched.settled(ask.s().options(timeout=5))
    watched.later(3600)
    assert run.status is RunStatus.WAITING
    run.signal("ok", "late")
    watched.settle()
    assert run.status is RunStatus.COMPLETED


def test_items_of_a_for_each_share_the_signals_of_their_run(watched: WatchedBench) -> None:
    run = watched.settled(ForEach("items", ask.s(), store_as="all"), store={"items": [1, 2, 3]})
    for word in "abc":
        run.signal("ok", word)
        watched.settle()
    assert sorted(run.store["all"]) == ["a", "b", "c"]


def test_a_branch_and_a_repeat_may_wait_within(watched: WatchedBench) -> None:
    @condition
    def is_over(ctx: ActionContext) -> bool:
        return ctx.store.get("word") == "stop"

    @condition
    def always(ctx: ActionContext) -> bool:
        return True

    loop = Repeat(WaitForSignal("word", str, store_as="word"), until=is_over)
    run = watched.settled(Branch(when(always).then(loop)), note.s("end"))
    for word in ("go", "on"):
        run.signal("word", word)
        watched.settle()
        assert run.status is RunStatus.WAITING
    run.signal("word", "stop")
    watched.settle()
    assert done(run) == ["end"]
    assert sum(path.endswith("/word") for path in states(run)) == 3


def test_a_child_run_has_signals_of_its_own(watched: WatchedBench) -> None:
    child = one_stage(WaitForSignal("ok", str, store_as="got"), id="child")
    run = watched.settled(RunWorkflow(child, take=["got"]), ask.s())
    run.signal("ok", "for the run above")
    watched.settle()
    below = watched.child(run)
    assert "waits for its child run" in str(run.why())
    below.signal("ok", "for the child")
    watched.settle()
    assert run.store["got"] == "for the child"
    assert done(run) == ["for the run above"]


def test_who_waits_no_more_takes_no_signal_from_another(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    race = [ask.s().options(name="slow"), note.s("fast").options(name="fast")]
    workflow.add_stage(Stage("race", race, parallel=True, join=1))
    cut_off = ForEach("items", ask.s())
    workflow.add_stage(Stage("broken", [cut_off, fails.s()], parallel=True))
    run = watched.submit(workflow, store={"items": [0]})
    watched.settle()
    assert run.status is RunStatus.FAILED
    assert not inbox(watched, run)
    run.retry(skip=["fails"])
    watched.settle()
    run.signal("ok", "mine")
    watched.settle()
    assert done(run) == ["fast", "mine"]


def test_a_loop_of_waits_that_nobody_answers_leaves_nothing_behind(watched: WatchedBench) -> None:
    run = watched.settled(
        Repeat(WaitForSignal("stop", timeout=60, default=None), max_times=30), note.s("end")
    )
    sizes = []
    for _ in range(30):
        sizes.append(len(watched.snapshot(run.run_id).plan))
        watched.later(60)
    assert run.status is RunStatus.COMPLETED
    assert not inbox(watched, run)
    assert max(sizes[15:]) <= max(sizes[:15])


def test_a_run_keeps_so_many_signals_and_no_more(watched: WatchedBench) -> None:
    watched.state.settings = watched.state.settings.model_copy(update={"max_signals": 2})
    run = watched.submit(one_stage(ask.s(), ask.s(), ask.s()))
    run.signal("ok", "a")
    run.signal("ok", "b")
    with pytest.raises(SignalLimitError):
        run.signal("ok", "c", id="c")
    watched.settle()
    run.signal("ok", "c", id="c")
    watched.settle()
    assert done(run) == ["a", "b", "c"]


def test_signals_that_were_taken_make_room_for_others(watched: WatchedBench) -> None:
    watched.state.settings = watched.state.settings.model_copy(update={"max_signals": 2})
    run = watched.submit(one_stage(ask.s(), ask.s(), ask.s("other")))
    run.signal("ok", "a")
    run.signal("ok", "b")
    watched.settle()
    run.signal("late", "c")
    run.signal("late", "d")
    with pytest.raises(SignalLimitError):
        run.signal("late", "e")


def test_a_signal_that_nobody_would_get_is_refused(watched: WatchedBench) -> None:
    run = watched.settled(note.s())
    with pytest.raises(RunStateError, match="is completed already; nobody would get the signal"):
        run.signal("ok")

    @action
    def cancels(ctx: ActionContext) -> None:
        other.cancel()
        with pytest.raises(RunStateError, match="is cancelled already"):
            other.signal("ok")

    other = watched.submit(one_stage(cancels.s()))
    watched.settle()
    other.delete()
    with pytest.raises(RunNotFoundError):
        other.signal("ok")


def test_a_paused_run_takes_its_signal_and_goes_on_when_it_is_resumed(
    watched: WatchedBench,
) -> None:
    run = watched.settled(ask.s(), WaitForSignal("b", timeout=60, default="none", store_as="b"))
    run.pause()
    run.signal("ok", "a")
    watched.settle()
    assert done(run) == []
    run.resume()
    watched.settle()
    assert done(run) == ["a"]
    run.pause()
    watched.later(600)
    assert run.status is RunStatus.PAUSED
    run.resume()
    watched.settle()
    assert run.store["b"] == "none"


def test_a_condition_cannot_wait_and_says_what_can(watched: WatchedBench) -> None:
    @condition
    def is_approved(ctx: ActionContext) -> bool:
        return bool(ctx.wait_for("ok", bool))

    run = watched.settled(Branch(when(is_approved).then(note.s("yes"))))
    error = run.result().error
    assert error is not None
    assert error.type == "PlanError"
    assert "put a WaitForSignal before it" in error.message


def test_middleware_around_an_action_may_wait_before_it_begins(watched: WatchedBench) -> None:
    class Gate(Middleware):
        def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> Any:
            ctx.store["by"] = ctx.wait_for("open", str)
            return call_next()

    run = watched.submit(one_stage(ask.s()).use(Gate()))
    run.signal("ok", "body")
    watched.settle()
    assert done(run) == []
    run.signal("open", "ana")
    watched.settle()
    assert (done(run), run.store["by"]) == (["body"], "ana")


def test_tasks_of_an_async_body_may_wait_side_by_side(watched: WatchedBench) -> None:
    @action
    async def both(ctx: ActionContext) -> list[str]:
        async def one(name: str) -> str:
            return ctx.wait_for(name, str)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name)) for name in ("a", "b")]
        return [task.result() for task in tasks]

    run = watched.settled(both.s().options(store_as="both"))
    run.signal("b", "second")
    watched.settle()
    assert run.status is RunStatus.WAITING
    run.signal("a", "first")
    watched.settle()
    assert run.store["both"] == ["first", "second"]


def test_an_error_beside_a_wait_counts_for_more(watched: WatchedBench) -> None:
    @action
    async def both(ctx: ActionContext) -> None:
        async def wait() -> None:
            ctx.wait_for("a")

        async def fail() -> None:
            raise ValueError("beside it")

        async with asyncio.TaskGroup() as group:
            group.create_task(wait())
            group.create_task(fail())

    run = watched.settled(both.s())
    assert run.status is RunStatus.FAILED
