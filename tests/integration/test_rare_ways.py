"""What seldom happens, and would seldom be missed: one way of the engine each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Action,
    ActionContext,
    ForEach,
    HookContext,
    Limits,
    Middleware,
    PlanConflictError,
    PlanLimitError,
    Retry,
    RunStatus,
    RunWorkflow,
    ScopeOutcome,
    Sleep,
    Stage,
    Throttle,
    Workflow,
)
from gostage_core.attempt import Moment
from gostage_core.replies import send_reply
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.bench import Bench
from tests.support.invariants import check_all, check_bytes, texts
from tests.support.scripted import do, script, statuses, workflow
from tests.support.turnstile import server_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.settings import Settings


@pytest.fixture(autouse=True)
def told() -> Iterator[None]:
    script.clear()
    yield
    script.clear()


def pass_time(bench: Bench, seconds: float) -> None:
    server_of(bench).clock.advance(seconds)
    bench.state.renew(["w"])
    bench.rescuer.tick()


def bench_with(settings: Settings, **limits: int) -> Bench:
    """Make a bench in memory under other limits."""
    return Bench(settings.model_copy(update=limits), MemoryClient(MemoryServer()))


def fail(_ctx: ActionContext) -> None:
    raise ValueError("as it was told")


class Mending(Middleware):
    """Recovers from whatever fails."""

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Recover."""
        outcome.recover()


def test_the_next_action_reads_what_was_appended_to_a_small_store(memory_bench: Bench) -> None:
    script["a"] = lambda ctx: ctx.store.append("list", 1)
    script["b"] = lambda ctx: ctx.store.put("seen", ctx.store["list"])
    result = memory_bench.drain(memory_bench.submit(workflow(s="a b")))
    assert (result.status, result.store["seen"]) == (RunStatus.COMPLETED, [1])


def test_a_hook_behind_a_failing_stage_whose_worker_dies_runs_again_and_recovers(
    memory_bench: Bench,
) -> None:
    bench, made = memory_bench, workflow(s="a b", t="c")
    made.stages["s"].use(Mending())
    script["a"] = fail
    run = bench.submit(made)
    bench.step()
    bench.die_at = Moment.CLAIMED
    bench.step("dies")
    assert bench.died == ["dies"]
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED
    assert result.store["order"] == ["c"]


def test_what_a_recovered_stage_has_left_out_is_skipped(memory_bench: Bench) -> None:
    made = side_by_side("a", "b")
    made.stages["s"].use(Mending())
    script["a"] = fail
    run = memory_bench.submit(made)
    memory_bench.drain(run)
    told = statuses(run)
    assert (told["s"], told["s/a"], told["s/b"]) == ("completed", "failed", "skipped")


def test_the_end_of_an_earlier_child_run_is_not_taken_for_that_of_a_later_one(
    memory_bench: Bench,
) -> None:
    bench = memory_bench
    runs = RunWorkflow(workflow(s="x")).options(name="sub", deadline=60)
    run = bench.submit(workflow(s=[runs]))
    bench.step()
    first = run.plan.actions[0].child_run_id

    def outlive_the_entry(ctx: ActionContext) -> None:
        if ctx.run_id == first:
            pass_time(bench, 65)
            assert run.status is RunStatus.FAILED
            run.retry()
            bench.step("other")

    script["x"] = outlive_the_entry
    bench.step()
    assert bench.runner.get(first).status is RunStatus.CANCELLED
    (entry,) = run.plan.actions
    assert entry.child_run_id != first
    assert entry.status == "waiting"
    check_all(bench.state, run.run_id)
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_of_a_member_of_two_actions_the_second_sees_what_others_commit_while_it_runs(
    memory_bench: Bench,
) -> None:
    bench, seen = memory_bench, []
    each = ForEach("items", *do("one", "two"))

    def look(ctx: ActionContext) -> None:
        if ctx.index == 0:
            seen.append(ctx.store.get("by 1", int, default=0))
            bench.step("other")
            seen.append(ctx.store.get("by 1", int, default=0))

    def put(ctx: ActionContext) -> None:
        ctx.store[f"by {ctx.index}"] = 1

    script.update(one=put, two=look)
    bench.submit(workflow(s=[each]), store={"items": [0, 1]})
    for _ in range(2):
        bench.step()
    bench.post.messages.rotate(-1)
    bench.step()
    assert seen == [0, 1]


def test_what_a_checkpoint_has_written_is_what_is_read_behind_it(memory_bench: Bench) -> None:
    seen = []

    def write_and_look(ctx: ActionContext) -> None:
        seen.append(ctx.store["x"])
        ctx.store["x"] = "mine"
        ctx.checkpoint()
        seen.append(ctx.store["x"])

    script["a"] = write_and_look
    run = memory_bench.submit(workflow(s="a"), store={"x": "given"})
    assert memory_bench.drain(run).status is RunStatus.COMPLETED
    assert seen == ["given", "mine"]


def side_by_side(*names: str, **options: Any) -> Workflow:
    made = Workflow("w")
    actions: list[Action] = [one.options(**options) for one in do(*names)]
    made.add_stage(Stage("s", actions, parallel=True))
    return made


def test_what_is_ready_for_another_try_has_begun_and_is_not_edited(memory_bench: Bench) -> None:
    bench = memory_bench
    (one,) = do("a")
    run = bench.submit(workflow(s=[one.options(retry=Retry(2, delay=60, jitter=0))]))
    script["a"] = fail
    with pytest.raises(PlanConflictError, match="has begun"), run.edit("too late") as plan:
        plan.actions["a"].disable()
        bench.step()
        pass_time(bench, 61)
    assert statuses(run)["s/a"] == "pending"
    script.clear()
    assert bench.drain(run).store["order"] == ["a"]


# Signals


def test_of_signals_a_run_knows_the_last_thousand_ids_and_no_more(settings: Settings) -> None:
    bench = bench_with(settings, max_signals=2000)
    run = bench.submit(workflow(s="a"))

    def kept() -> tuple[int, int]:
        inbox = texts(bench.state.client.hkeys(bench.state.keys.of("inbox", run.run_id)))
        return tuple(sum(name[0] == letter for name in inbox) for letter in "si")  # type: ignore[return-value]

    for number in range(1001):
        run.signal("go", number, id=f"id {number}")
    assert kept() == (1001, 1000)
    run.signal("go", 1, id="id 1")
    assert kept() == (1001, 1000), "it is known still"
    run.signal("go", 0, id="id 0")
    assert kept() == (1002, 1000)
    bench.close()


# Throttles


HOURLY = Throttle("hourly", rate=1, per=3600)


def test_no_more_are_called_at_once_than_may_begin(memory_bench: Bench) -> None:
    bench = memory_bench
    bench.submit(side_by_side("a", "b", "c", throttle=HOURLY))
    for _ in range(3):
        bench.step()
    assert not bench.post.messages
    pass_time(bench, 3601)
    assert len(bench.post.messages) == 1


def test_who_was_called_begins_before_who_comes_new(memory_bench: Bench) -> None:
    bench = memory_bench
    run = bench.submit(side_by_side("a", "b", throttle=HOURLY))
    for _ in range(2):
        bench.step()
    pass_time(bench, 3601)
    called = bench.post.messages.popleft()
    later = bench.submit(side_by_side("c", throttle=HOURLY))
    bench.step()
    bench.deliver(called)
    assert run.status is RunStatus.COMPLETED
    assert statuses(later)["s/c"] == "waiting"


# Forks


def lists(ctx: ActionContext) -> None:
    ctx.store.append("list", "x" * 100)


def test_what_was_appended_counts_for_the_size_of_the_store_of_a_fork(memory_bench: Bench) -> None:
    script.update(a=lists, b=lists)
    run = memory_bench.submit(workflow(s="a b c"))
    memory_bench.drain(run)
    fork = run.fork("c")
    assert fork.store["list"] == ["x" * 100] * 2
    check_bytes(memory_bench.state, fork.run_id)


def test_a_fork_that_is_refused_leaves_nothing(memory_bench: Bench) -> None:
    bench = memory_bench
    script["a"] = lists
    made = Workflow("w", limits=Limits(max_added_actions=0))
    made.add_stage(Stage("s", do("a", "b")))
    run = bench.submit(made)
    bench.drain(run)
    before = server_of(bench).content()
    with pytest.raises(PlanLimitError):
        run.fork("b", edit=lambda plan: plan.stages["s"].add(*do("x")))
    assert server_of(bench).content() == before


# Stores


def test_a_store_that_is_too_large_already_may_be_made_smaller(settings: Settings) -> None:
    bench = bench_with(settings, max_store_bytes=1000)
    initial = {"large": "x" * 2000, "other": "y" * 100}
    made = Workflow("w")
    made.add_stage(Stage("s", do("a"), initial=initial))

    def make_room(ctx: ActionContext) -> None:
        ctx.store["order"] = ""
        ctx.store.delete("other")

    script["a"] = make_room
    run = bench.submit(made)
    assert bench.drain(run).status is RunStatus.COMPLETED
    assert "other" not in run.store
    bench.close()


# Results, keys, schedules


def test_a_list_gets_a_result_once_however_often_it_is_sent(memory_bench: Bench) -> None:
    state, client = memory_bench.state, memory_bench.state.client
    run = memory_bench.submit(workflow(s="a"))
    memory_bench.drain(run)
    state.ask(run.run_id, "answers")
    send_reply(state, run.run_id)
    send_reply(state, run.run_id)
    assert client.llen("answers") == 1
    state.ask(run.run_id, "answers")
    send_reply(state, run.run_id)
    assert client.llen("answers") == 2, "who asks again gets it again"


def test_a_key_whose_run_is_gone_is_free(memory_bench: Bench) -> None:
    state = memory_bench.state
    run = memory_bench.submit(workflow(s="a"), key="event")
    state.client.hdel(state.keys.of("run", run.run_id), "key")
    run.delete("it is damaged")
    assert memory_bench.submit(workflow(s="a"), key="event").status is RunStatus.PENDING


def test_a_time_that_is_put_off_takes_no_place_of_one_that_was_before_and_has_its_run(
    memory_bench: Bench,
) -> None:
    bench = memory_bench
    slow = workflow(s=[Sleep(days=9)])
    schedule = bench.runner.schedules.add("s", slow, every=60, overlap="queue")
    for _ in range(2):
        pass_time(bench, 60)
    (first,) = bench.runner.list(tag="schedule:s")
    bench.runner.get(first.run_id).cancel()
    for _ in range(2):
        pass_time(bench, 50)
    assert (schedule.info.fired, schedule.info.skipped) == (2, 0)


def test_a_schedule_that_goes_on_and_is_resumed_keeps_the_time_that_is_due(
    memory_bench: Bench,
) -> None:
    bench = memory_bench
    schedule = bench.runner.schedules.add("s", workflow(s="a"), every=60)
    server_of(bench).clock.advance(61)
    schedule.resume()
    bench.rescuer.tick()
    assert schedule.info.fired == 1
