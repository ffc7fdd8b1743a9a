"""Throttles: what they bound is never exceeded, turns are taken, and nothing of them is left."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configured
from hypothesis import strategies as st

from gostage_core import (
    Action,
    ActionContext,
    Retry,
    RetryAfter,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.errors import BrokerUnavailableError, InvalidActionError, InvalidKeyError
from gostage_core.machine import MACHINE
from gostage_core.settings import Settings
from gostage_core.state.answers import Claim, CommitParts
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.bench import Bench
from tests.support.invariants import check_all
from tests.support.turnstile import (
    THROTTLES,
    Turnstile,
    server_of,
    throttle_keys_left,
    through,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import Run
    from tests.support.bench import Message

ODD_KEYS = (
    "api", "a b", "größe 漢字", "{x y}:%s", "*?[a-z]\\", "line", 'say "x"', "a|b|1|2", "  ", "0",
    "-inf", "k" * 200,
)  # fmt: skip


@pytest.fixture
def bench(memory_bench: Bench) -> Bench:
    """Time stands still unless a test lets it pass."""
    return memory_bench


@pytest.fixture
def real_bench(settings: Settings, fresh_registry: None) -> Iterator[Bench]:
    bench = Bench(settings)
    yield bench
    bench.close()


@action
def note(ctx: ActionContext, word: str = "") -> None:
    """Append a word to what was done."""
    ctx.store.append("done", word)


@action(retry=Retry(5, delay=60, jitter=0))
def stumble(ctx: ActionContext) -> None:
    """Fail at first."""
    if ctx.attempt == 1:
        raise ValueError("not yet")


@action(retry=Retry(5))
def later(ctx: ActionContext) -> None:
    """Ask to be tried again."""
    if ctx.attempt == 1:
        raise RetryAfter(60)


def of(*actions: Action, parallel: bool = False, throttle: Throttle | None = None) -> Workflow:
    workflow = Workflow("w", throttle=throttle)
    workflow.add_stage(Stage("s", actions, parallel=parallel))
    return workflow


def single(throttle: Throttle) -> Workflow:
    return of(through(throttle))


def claim(bench: Bench, message: Message, process: str = "lives") -> Claim | str:
    slot = f"{message.run_id}.{message.entry}"
    return bench.state.claim(
        message.run_id, message.entry, nonce=MACHINE.token(), process=process, slot=slot, mark=""
    )


def claim_all(bench: Bench) -> list[Claim]:
    """Hand out every message; return the attempts that were let in, in that order."""
    found = []
    while bench.post.messages:
        one = claim(bench, bench.post.messages.popleft())
        if isinstance(one, Claim):
            found.append(one)
    return found


def commit(bench: Bench, done: Claim) -> None:
    answer = bench.state.commit(done, have="", parts=CommitParts())
    assert answer.word == "committed"
    bench.post.send(done.run_id, answer.next)


def pass_time(bench: Bench, seconds: float) -> None:
    server_of(bench).clock.advance(seconds)
    bench.state.renew(["lives"])
    bench.rescuer.tick()


def line_of(bench: Bench, key: str) -> int:
    return bench.runner.throttles[key].waiting


# What is bounded


@pytest.mark.parametrize("seed", range(40))
def test_no_bound_is_exceeded_and_every_run_ends_whatever_happens(bench: Bench, seed: int) -> None:
    hall = Turnstile(bench, Random(seed))
    hall.live(120)
    for run in hall.runs:
        run.delete()
    pass_time(bench, 20)
    assert throttle_keys_left(bench) == []


def test_as_many_as_are_allowed_go_on_at_a_time(namespace: str) -> None:
    fullest: dict[str, int] = {}
    for seed in range(5):
        server = MemoryServer()
        bench = Bench(Settings(namespace=namespace), MemoryClient(server))
        hall = Turnstile(bench, Random(seed))
        hall.live(150)
        for key, count in hall.fullest.items():
            fullest[key] = max(fullest.get(key, 0), count)
    assert fullest["two"] >= 2
    assert fullest["both"] >= 1


@configured(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rate=st.integers(1, 4),
    per=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2_000)), min_size=5, max_size=40),
)
def test_the_rate_is_exact_in_any_window(
    namespace: str, fresh_registry: None, rate: int, per: int, steps: list[tuple[int, int]]
) -> None:
    bench = Bench(Settings(namespace=namespace), MemoryClient(MemoryServer()))
    throttle = Throttle("api", rate=rate, per=per)
    began: list[int] = []
    for arrivals, pause in steps:
        for _ in range(arrivals):
            bench.submit(single(throttle))
        bench.rescuer.tick()
        for one in claim_all(bench):
            began.append(server_of(bench).clock.milliseconds)
            commit(bench, one)
        server_of(bench).clock.advance(pause / 1000)
    for i, at in enumerate(began):
        within = [other for other in began[: i + 1] if other > at - per * 1000]
        assert len(within) <= rate


def test_a_rate_is_used_up_to_the_millisecond(bench: Bench) -> None:
    for _ in range(7):
        bench.submit(single(Throttle("api", rate=3, per=10)))
    assert len(claim_all(bench)) == 3
    pass_time(bench, 9.999)
    assert claim_all(bench) == []
    pass_time(bench, 0.001)
    assert len(claim_all(bench)) == 3
    pass_time(bench, 10)
    assert len(claim_all(bench)) == 1


def test_who_comes_new_does_not_begin_in_place_of_one_that_was_called(bench: Bench) -> None:
    throttle = Throttle("api", rate=1, per=10)
    bench.submit(single(throttle))
    waiting = bench.submit(single(throttle))
    claim_all(bench)
    pass_time(bench, 10)
    called = bench.post.messages.popleft()
    assert called.run_id == waiting.run_id
    bench.submit(single(throttle))
    assert claim_all(bench) == []
    assert isinstance(claim(bench, called), Claim)
    pass_time(bench, 10)
    assert len(claim_all(bench)) == 1


def test_who_comes_new_does_not_begin_in_place_of_one_that_is_about_to_be_called(
    bench: Bench,
) -> None:
    throttle = Throttle("api", rate=1, per=10)
    bench.submit(single(throttle))
    waiting = bench.submit(single(throttle))
    claim_all(bench)
    server_of(bench).clock.advance(10)
    bench.submit(single(throttle))
    assert claim_all(bench) == []
    bench.rescuer.tick()
    assert [one.run_id for one in claim_all(bench)] == [waiting.run_id]


def test_one_key_bounds_actions_of_all_runs_and_another_one_does_not(bench: Bench) -> None:
    for key in ("a", "a", "b", "a"):
        bench.submit(single(Throttle(key, concurrency=1)))
    assert len(claim_all(bench)) == 2
    assert (line_of(bench, "a"), line_of(bench, "b")) == (2, 0)


def test_a_key_may_name_a_parameter(bench: Bench) -> None:
    per_word = [
        note.s(word=word).options(throttle=Throttle("api:{word}", concurrency=1))
        for word in ("ana", "ana", "bob")
    ]
    bench.submit(of(*per_word, parallel=True))
    assert len(claim_all(bench)) == 2
    assert line_of(bench, "api:ana") == 1


def test_what_stands_in_line_holds_no_worker(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    first = bench.submit(single(throttle))
    second = bench.submit(single(throttle))
    claim_all(bench)
    assert (first.status, second.status) == (RunStatus.RUNNING, RunStatus.PENDING)
    assert list(bench.state.claims_of("lives").values()) == [f"{first.run_id} 2"]
    assert not bench.post.messages
    pass_time(bench, 30)
    assert not bench.post.messages


def test_who_is_called_goes_before_what_waits_for_a_worker(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    runs = [bench.submit(single(throttle)) for _ in range(3)]
    [held] = claim_all(bench)
    others = [bench.submit(of(note.s())) for _ in range(5)]
    commit(bench, held)
    assert [one.run_id for one in bench.post.messages] == [
        runs[1].run_id, *(run.run_id for run in others),
    ]  # fmt: skip


# What holds a place, and what does not


def gated(inner: Action, throttle: Throttle) -> Action:
    return inner.options(throttle=throttle)


@pytest.mark.parametrize(
    "waits",
    [Sleep(hours=1), WaitForSignal("bell"), stumble.s(), later.s()],
    ids=["sleeps", "waits for a signal", "is to be tried again", "asks for another try"],
)
def test_who_waits_holds_no_place(bench: Bench, waits: Action) -> None:
    throttle = Throttle("api", concurrency=1)
    first = bench.submit(of(gated(waits, throttle)))
    bench.submit(single(throttle))
    bench.step()
    assert first.status in (RunStatus.SLEEPING, RunStatus.WAITING)
    assert len(claim_all(bench)) == 1
    check_all(bench.state, first.run_id)


def test_the_place_of_a_dead_worker_goes_to_its_action_again(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    first = bench.submit(single(throttle))
    second = bench.submit(single(throttle))
    lost = claim(bench, bench.post.messages.popleft(), "dies")
    assert claim(bench, bench.post.messages.popleft()) == "throttled"
    bench.rescuer.lost("dies")
    assert [message.run_id for message in bench.post.messages] == [first.run_id]
    assert bench.runner.throttles["api"].inside == ((first.run_id, "2"),)
    [again] = claim_all(bench)
    assert isinstance(lost, Claim)
    assert bench.state.commit(lost, have="", parts=CommitParts()).word == "fenced"
    commit(bench, again)
    assert [message.run_id for message in bench.post.messages] == [second.run_id]


def test_a_call_whose_message_is_lost_is_repeated_and_its_place_kept(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    bench.submit(single(throttle))
    called = bench.submit(single(throttle))
    third = bench.submit(single(throttle))
    [first] = claim_all(bench)
    commit(bench, first)
    bench.post.messages.clear()  # lost
    bench.submit(single(throttle))
    assert claim_all(bench) == []
    pass_time(bench, 60)
    assert [message.run_id for message in bench.post.messages] == [called.run_id]
    [second] = claim_all(bench)
    commit(bench, second)
    assert [message.run_id for message in bench.post.messages] == [third.run_id]


@pytest.mark.parametrize("how", ["cancel", "delete", "pause"])
def test_whoever_leaves_lets_the_next_one_in_at_once(bench: Bench, how: str) -> None:
    throttle = Throttle("api", concurrency=1)
    holds, in_line, last = (bench.submit(single(throttle)) for _ in range(3))
    [_held] = claim_all(bench)
    getattr(in_line, how)()
    assert line_of(bench, "api") == 1
    if how == "pause":
        holds.cancel(grace=0)
        pass_time(bench, 1)
    else:
        holds.delete()
    assert [message.run_id for message in bench.post.messages] == [last.run_id]


def test_a_paused_run_stands_in_line_anew_when_it_is_resumed(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    _holds, paused, other = (bench.submit(single(throttle)) for _ in range(3))
    [held] = claim_all(bench)
    paused.pause()
    paused.resume()
    assert claim_all(bench) == []
    commit(bench, held)
    assert [message.run_id for message in bench.post.messages] == [other.run_id]
    [second] = claim_all(bench)
    commit(bench, second)
    [third] = claim_all(bench)
    assert third.run_id == paused.run_id


def test_an_entry_in_line_may_be_given_another_throttle_or_none(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    bench.submit(single(throttle))
    freed, moved = bench.submit(single(throttle)), bench.submit(single(throttle))
    claim_all(bench)
    with freed.edit("the API has room") as plan:
        plan.actions["api"].options(throttle=None)
    with moved.edit("the API has room") as plan:
        plan.actions["api"].options(throttle=Throttle("other", concurrency=1))
    assert {one.run_id for one in claim_all(bench)} == {freed.run_id, moved.run_id}
    assert bench.runner.throttles["other"].inside == ((moved.run_id, "2"),)
    assert line_of(bench, "api") == 0


# Turns


def begun(bench: Bench, count: int) -> list[str]:
    """Let so many begin and end, one after another; return their runs."""
    order = []
    for _ in range(count):
        [one] = (one for one in claim_all(bench) if json.loads(one.spec)["name"] == "api")
        order.append(one.run_id)
        commit(bench, one)
    return order


def test_runs_take_turns_however_many_actions_they_have_in_line(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    crowd = bench.submit(of(*[through(throttle)] * 50, parallel=True))
    [held] = claim_all(bench)
    few = [bench.submit(of(*[through(throttle)] * 2, parallel=True)) for _ in range(2)]
    assert claim_all(bench) == []
    commit(bench, held)
    order = begun(bench, 7)
    assert order.count(crowd.run_id) == 3
    assert all(order.count(run.run_id) == 2 for run in few)


def test_a_thousand_of_one_key_do_not_starve_another(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    for _ in range(1_000):
        bench.submit(single(throttle), concurrency_key="big")
    [held] = claim_all(bench)
    small = [bench.submit(single(throttle), concurrency_key="small").run_id for _ in range(3)]
    assert claim_all(bench) == []
    commit(bench, held)
    assert set(small) < set(begun(bench, 6))


def test_runs_of_one_concurrency_key_come_in_the_order_in_which_they_came(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    runs = [bench.submit(single(throttle), concurrency_key="ana").run_id for _ in range(20)]
    assert begun(bench, 20) == runs


def test_runs_by_themselves_come_in_the_order_in_which_they_came(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    ids = [f"{letter}{number}" for number in range(30) for letter in "zma"]
    for run_id in ids:
        bench.submit(single(throttle), run_id=run_id)
    assert begun(bench, len(ids)) == ids


def test_who_is_behind_the_last_place_of_a_thousand_is_called_in_its_turn(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=10)
    runs = [bench.submit(single(throttle)) for _ in range(1_000)]
    while bench.post.messages:
        for one in claim_all(bench):
            commit(bench, one)
    assert all(run.status is RunStatus.COMPLETED for run in runs)
    assert throttle_keys_left(bench) == []


# Runs


def test_so_many_runs_of_a_workflow_go_on_at_a_time_and_the_others_are_held(bench: Bench) -> None:
    workflow = of(note.s(), throttle=Throttle(concurrency=2))
    runs = [bench.submit(workflow) for _ in range(4)]
    assert [run.status for run in runs] == [RunStatus.PENDING] * 4
    assert [message.run_id for message in bench.post.messages] == [run.run_id for run in runs[:2]]
    inside = bench.runner.throttles["w"].inside
    assert set(inside) == {(run.run_id, "0") for run in runs[:2]}
    bench.step()
    assert bench.post.messages[0].run_id == runs[2].run_id
    for run in runs:
        bench.drain(run)
    assert throttle_keys_left(bench) == []


def test_each_concurrency_key_has_places_of_its_own(bench: Bench) -> None:
    workflow = of(note.s(), throttle=Throttle("w", concurrency=1))
    tenants = ("ana", "ana", "bob")
    _, held, _ = (bench.submit(workflow, concurrency_key=tenant) for tenant in tenants)
    assert len(bench.post.messages) == 2
    assert {one.key for one in bench.runner.throttles} == {"w:ana", "w:bob"}
    assert "throttle 'w:ana' (1 at a time)" in str(held.why())


def test_a_run_keeps_its_place_while_it_sleeps(bench: Bench) -> None:
    workflow = of(Sleep(hours=1), throttle=Throttle(concurrency=1))
    first, second = bench.submit(workflow), bench.submit(workflow)
    bench.step()
    assert first.status is RunStatus.SLEEPING
    assert not bench.post.messages
    bench.drain(first)
    assert [message.run_id for message in bench.post.messages] == [second.run_id]


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_a_held_run_that_goes_leaves_the_line(bench: Bench, how: str) -> None:
    workflow = of(note.s(), throttle=Throttle(concurrency=1))
    first, second, third = (bench.submit(workflow) for _ in range(3))
    getattr(second, how)()
    assert line_of(bench, "w") == 1
    bench.drain(first)
    assert [message.run_id for message in bench.post.messages] == [third.run_id]


def test_a_held_run_that_is_paused_and_resumed_begins_with_one_message(bench: Bench) -> None:
    workflow = of(note.s(), throttle=Throttle(concurrency=1))
    first, second = bench.submit(workflow), bench.submit(workflow)
    second.pause()
    assert (second.status, line_of(bench, "w")) == (RunStatus.PAUSED, 0)
    bench.drain(first)
    assert not bench.post.messages
    second.resume()
    assert len(bench.post.messages) == 1
    assert bench.drain(second).status is RunStatus.COMPLETED


def test_a_run_that_is_retried_asks_for_a_place_again(bench: Bench) -> None:
    workflow = of(note.s(), throttle=Throttle(concurrency=1))
    first = bench.submit(workflow)
    first.cancel()
    second = bench.submit(workflow)
    first.retry()
    assert line_of(bench, "w") == 1
    bench.post.messages.popleft()  # of the time before
    bench.drain(second)
    assert bench.drain(first).status is RunStatus.COMPLETED


def test_a_fork_stands_in_line_as_its_original_would(bench: Bench) -> None:
    original = bench.submit(of(note.s("a"), throttle=Throttle(concurrency=1)))
    bench.drain(original)
    other = bench.submit(of(note.s("b"), throttle=Throttle(concurrency=1)))
    fork = original.fork("note")
    assert line_of(bench, "w") == 1
    bench.drain(other)
    assert bench.drain(fork).status is RunStatus.COMPLETED


def test_empty_runs_that_were_held_end_as_soon_as_they_are_let_in(bench: Bench) -> None:
    throttle = Throttle("w", concurrency=1)
    first = bench.submit(of(note.s(), throttle=throttle))
    empty = [bench.submit(of(throttle=throttle)) for _ in range(150)]
    bench.drain(first)
    bench.rescuer.tick()
    assert all(run.status is RunStatus.COMPLETED for run in empty)
    assert throttle_keys_left(bench) == []


def test_a_child_run_takes_its_turn_under_the_key_of_the_run_above(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    bench.submit(single(throttle))
    [held] = claim_all(bench)
    above = [bench.submit(of(RunWorkflow(single(throttle))), concurrency_key="ana") for _ in "ab"]
    for _ in above:
        bench.step()
    assert claim_all(bench) == []
    bob = bench.submit(single(throttle), concurrency_key="bob")
    assert claim_all(bench) == []
    commit(bench, held)
    order = begun(bench, 2)
    assert bob.run_id in order, "the two of ana have one turn"


# Operators


def test_an_operator_sets_other_numbers_and_clears_them(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    for _ in range(4):
        bench.submit(single(throttle))
    [first] = claim_all(bench)
    bench.runner.throttles.set("api", concurrency=3)
    more = claim_all(bench)
    assert len(more) == 2
    info = bench.runner.throttles["api"]
    assert (info.is_set, info.concurrency, info.rate, info.waiting) == (True, 3, None, 1)
    bench.runner.throttles.clear("api")
    for one in (first, *more):
        assert claim_all(bench) == []
        commit(bench, one)
    assert len(claim_all(bench)) == 1
    assert bench.runner.throttles["api"].is_set is False


def test_what_an_operator_does_not_set_stays_as_actions_say(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1, rate=2, per=10)
    for _ in range(3):
        bench.submit(single(throttle))
    bench.runner.throttles.set("api", rate=100, per=1)
    [first] = claim_all(bench)
    bench.runner.throttles.set("api", concurrency=5)
    assert len(claim_all(bench)) == 1, "two within 10 s"
    info = bench.runner.throttles["api"]
    assert (info.concurrency, info.rate, info.per) == (5, None, None)
    commit(bench, first)


def test_who_was_called_while_more_were_allowed_waits_when_fewer_are(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    for _ in range(4):
        bench.submit(single(throttle))
    [first] = claim_all(bench)
    bench.runner.throttles.set("api", concurrency=4)
    bench.runner.throttles.clear("api")
    assert len(bench.post.messages) == 3
    assert claim_all(bench) == []
    commit(bench, first)
    begun(bench, 3)


def test_hundreds_go_on_where_an_operator_makes_room(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    for _ in range(500):
        bench.submit(single(throttle))
    claim_all(bench)
    bench.runner.throttles.set("api", concurrency=500)
    for _ in range(10):
        bench.rescuer.tick()
    assert len(claim_all(bench)) == 499


def test_set_numbers_outlast_that_nobody_is_within(bench: Bench) -> None:
    bench.runner.throttles.set("api", concurrency=1)
    bench.submit(single(Throttle("api", concurrency=9)))
    bench.submit(single(Throttle("api", concurrency=9)))
    begun(bench, 2)
    assert [one.key for one in bench.runner.throttles] == ["api"]
    bench.runner.throttles.clear("api")
    assert list(bench.runner.throttles) == []
    assert throttle_keys_left(bench) == []


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({}, "bounds nothing"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"rate": 0}, "greater than or equal to 1"),
        ({"rate": 1, "per": 0}, "per"),
        ({"rate": 1, "per": "2 fortnights"}, "per"),
    ],
)
def test_numbers_that_bound_nothing_are_refused(
    bench: Bench, numbers: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidActionError, match=told):
        bench.runner.throttles.set("api", **numbers)
    assert list(bench.runner.throttles) == []


@pytest.mark.parametrize("key", ["", "a\nb", "__x", "k" * 402])
def test_what_no_throttle_is_called_cannot_be_set(bench: Bench, key: str) -> None:
    with pytest.raises(InvalidKeyError, match="not the key of a throttle"):
        bench.runner.throttles.set(key, concurrency=1)
    with pytest.raises(InvalidKeyError):
        bench.runner.throttles.clear(key)
    assert bench.runner.throttles[key].waiting == 0


def test_what_an_operator_let_in_goes_on_although_the_broker_is_away(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    _first, second = bench.submit(single(throttle)), bench.submit(single(throttle))
    claim_all(bench)

    def refuses(*_args: object) -> None:
        raise BrokerUnavailableError("away")

    bench.runner.throttles._send = refuses  # type: ignore[assignment]
    bench.runner.throttles.set("api", concurrency=2)
    pass_time(bench, 5)
    assert [message.run_id for message in bench.post.messages] == [second.run_id]


# Keys


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_may_have_any_character_that_can_be_seen(bench: Bench, key: str) -> None:
    throttle = Throttle(key, concurrency=1, rate=100)
    first, second = bench.submit(single(throttle)), bench.submit(single(throttle))
    [held] = claim_all(bench)
    [info] = bench.runner.throttles
    assert (info.key, info.inside, info.waiting) == (key, ((first.run_id, "2"),), 1)
    assert repr(key) in str(second.why())
    commit(bench, held)
    bench.drain(second)
    pass_time(bench, 2)
    assert throttle_keys_left(bench) == []


def test_a_long_key_of_a_workflow_and_of_its_runs_is_listed_and_set(bench: Bench) -> None:
    workflow = of(note.s(), throttle=Throttle("k" * 200, concurrency=1))
    for _ in range(3):
        bench.submit(workflow, concurrency_key="t" * 200)
    [info] = bench.runner.throttles
    assert (len(info.key), info.waiting) == (401, 2)
    bench.runner.throttles.set(info.key, concurrency=3)
    assert len(bench.post.messages) == 3


# What is damaged or left


def forget_by_hand(bench: Bench, run: Run) -> None:
    """Take a run away as nothing of ours would."""
    for name in ("run", "plan", "live", "journal"):
        bench.state.client.delete(bench.state.keys.of(name, run.run_id))


def test_a_place_whose_holder_has_vanished_is_given_to_the_next_within_minutes(
    bench: Bench,
) -> None:
    throttle = Throttle("api", concurrency=1)
    vanishes, second = bench.submit(single(throttle)), bench.submit(single(throttle))
    claim_all(bench)
    forget_by_hand(bench, vanishes)
    for _ in range(2):
        pass_time(bench, 61)
    assert bench.post.messages[-1].run_id == second.run_id


def test_an_operator_that_looks_frees_a_place_whose_holder_has_vanished(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    vanishes, second = bench.submit(single(throttle)), bench.submit(single(throttle))
    claim_all(bench)
    forget_by_hand(bench, vanishes)
    bench.runner.throttles.clear("api")
    assert bench.post.messages[-1].run_id == second.run_id


def test_who_vanished_from_the_line_or_is_damaged_in_it_is_passed_over(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    _, vanishes, damaged, last = (bench.submit(single(throttle)) for _ in range(4))
    [held] = claim_all(bench)
    forget_by_hand(bench, vanishes)
    bench.state.client.hset(bench.state.keys.of("plan", damaged.run_id), "r2", "?")
    bench.state.client.zadd(bench.state.keys.of("line", "api"), {"what is this": 0})
    commit(bench, held)
    assert bench.post.messages[-1].run_id == last.run_id
    assert line_of(bench, "api") == 0


def test_an_entry_whose_throttle_is_damaged_stops_no_other_run(bench: Bench) -> None:
    throttle = Throttle("api", concurrency=1)
    damaged, sound = bench.submit(single(throttle)), bench.submit(single(throttle))
    bench.state.client.hset(bench.state.keys.of("plan", damaged.run_id), "t2", "?")
    assert bench.step().word == "damaged"  # type: ignore[union-attr]
    assert bench.drain(sound).status is RunStatus.COMPLETED
    damaged.cancel()
    assert damaged.status is RunStatus.CANCELLED


def test_nothing_is_left_of_a_throttle_when_nobody_needs_it_any_more(bench: Bench) -> None:
    for throttle in THROTTLES:
        for tenant in (None, "ana"):
            bench.submit(of(*[through(throttle)] * 4, parallel=True), concurrency_key=tenant)
    for _ in range(200):
        for one in claim_all(bench):
            commit(bench, one)
        pass_time(bench, 1)
    pass_time(bench, 20)
    assert throttle_keys_left(bench) == []


def test_a_look_at_a_throttle_costs_the_same_however_many_are_within_it(
    real_bench: Bench,
) -> None:
    bench = real_bench

    def commands(count: int) -> int:
        throttle = Throttle(f"k{MACHINE.token()}", rate=count, per=3_600)
        for _ in range(count + 1):
            bench.submit(single(throttle))
        claim_all(bench)
        bench.state.invite(throttle.key)  # once in a while it looks at each
        return calls_of(bench, lambda: bench.state.invite(throttle.key))

    commands(10)  # the server knows the scripts from then on
    assert commands(10) == commands(300)


def test_standing_in_line_and_being_called_cost_the_same_however_long_the_line_is(
    real_bench: Bench,
) -> None:
    bench = real_bench

    def commands(count: int) -> tuple[int, int]:
        throttle = Throttle(f"k{MACHINE.token()}", concurrency=1)
        bench.post.messages.clear()
        for _ in range(count):
            bench.submit(single(throttle))
        [held] = claim_all(bench)
        bench.submit(single(throttle))
        late = bench.post.messages.popleft()
        return (
            calls_of(bench, lambda: claim(bench, late)),
            calls_of(bench, lambda: commit(bench, held)),
        )

    commands(10)  # the server knows the scripts from then on
    assert commands(10) == commands(1_000)


def calls_of(bench: Bench, work: Callable[[], object]) -> int:
    """Count the commands that the server carries out for *work*, those of scripts too."""

    def calls() -> int:
        stats: dict[str, Any] = bench.state.client.info("commandstats")
        return sum(one["calls"] for name, one in stats.items() if name != "cmdstat_info")

    before = calls()
    work()
    return calls() - before
