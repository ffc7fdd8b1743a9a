"""What the engine promises of order, atomicity and messages that are lost, late or doubled."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from gostage_core import Action, ActionContext, NoRetry, Retry, RunStatus, Stage, Workflow, action
from gostage_core.attempt import Moment
from gostage_core.authoring.registry import registry
from gostage_core.settings import Settings
from gostage_core.state.answers import Claim
from gostage_core.status import ActionStatus
from tests.support.bench import Bench, Message
from tests.support.eventually import eventually
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("fresh_registry")


class Note(Action):
    """Appends its name to the list `order`, and adds what it is told to."""

    adds: tuple[str, ...] = ()
    adds_stages: tuple[str, ...] = ()

    def execute(self, ctx: ActionContext) -> None:
        ctx.store.append("order", ctx.action.name)
        ctx.store.increment("count")
        ctx.add_action(*(note(name) for name in self.adds))
        ctx.add_stage(*(Stage(name, [note(f"{name}1")]) for name in self.adds_stages))


def note(name: str, adds: tuple[str, ...] = (), stages: tuple[str, ...] = ()) -> Action:
    return Note(adds=adds, adds_stages=stages).options(name=name)


def one_stage(*actions: Action, parallel: bool = False) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions, parallel=parallel))
    return workflow


def order_of(bench: Bench, workflow: Workflow) -> list[str]:
    result = bench.drain(bench.submit(workflow))
    assert result.status is RunStatus.COMPLETED
    assert result.store.get("count", int) == len(result.store["order"])
    return result.store.get("order", list[str])  # type: ignore[no-any-return]


class Nest(Action):
    """Adds d1 and d2, of which d1 adds x."""

    def execute(self, ctx: ActionContext) -> None:
        ctx.store.append("order", "a")
        ctx.store.increment("count")
        ctx.add_action(note("d1", ("x",)), note("d2"))


def test_added_actions_run_right_after_the_one_that_adds_them(bench: Bench) -> None:
    workflow = one_stage(note("A", ("D1", "D2")), note("B"), note("C"))
    assert order_of(bench, workflow) == ["A", "D1", "D2", "B", "C"]


def test_nested_additions_are_depth_first(bench: Bench) -> None:
    workflow = one_stage(Nest(), note("z"))
    assert order_of(bench, workflow) == ["a", "d1", "x", "d2", "z"]


def test_stages_added_by_different_actions_all_run_in_order(bench: Bench) -> None:
    workflow = one_stage(note("a", stages=("S1", "S2")), note("b", stages=("S3",)))
    workflow.add_stage("last").add(note("z"))
    assert order_of(bench, workflow) == ["a", "b", "S11", "S21", "S31", "z"]


def test_stages_that_parallel_actions_add_stand_in_the_order_of_the_plan(bench: Bench) -> None:
    workflow = one_stage(note("a", stages=("x",)), note("b", stages=("y",)), parallel=True)
    run = bench.submit(workflow)
    bench.post.messages.reverse()
    assert bench.drain(run).store["order"] == ["a", "b", "x1", "y1"]


def test_a_parallel_stage_waits_for_every_member_and_for_those_that_are_added(bench: Bench) -> None:
    workflow = one_stage(note("a"), note("b", ("bx",)), note("c"), parallel=True)
    workflow.add_stage("after").add(note("z"))
    assert order_of(bench, workflow) == ["a", "b", "bx", "c", "z"]


def test_what_parallel_actions_append_is_read_in_plan_order(bench: Bench) -> None:
    run = bench.submit(one_stage(*(note(f"n{i:02}") for i in range(12)), parallel=True))
    bench.post.messages.reverse()
    result = bench.drain(run)
    assert result.store["order"] == [f"n{i:02}" for i in range(12)]


def test_max_parallel_limits_how_many_are_handed_out(bench: Bench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [note(f"n{i}") for i in range(7)], parallel=True, max_parallel=3))
    run = bench.submit(workflow)
    assert len(bench.post.messages) == 3
    bench.step()
    assert len(bench.post.messages) == 3
    assert len(bench.drain(run).store["order"]) == 7


def test_empty_stages_complete_and_their_values_are_written(bench: Bench) -> None:
    workflow = Workflow("w")
    workflow.add_stage("empty", initial={"k": 1})
    workflow.add_stage("also", parallel=True)
    result = bench.drain(bench.submit(workflow))
    assert result.status is RunStatus.COMPLETED
    assert result.store["k"] == 1
    assert [s.status for s in result.stages.values()] == [ActionStatus.COMPLETED] * 2


def test_a_stage_writes_its_initial_values_when_it_begins_and_overwrites(bench: Bench) -> None:
    workflow = one_stage(note("a"))
    workflow.add_stage("second", initial={"k": "new"}).add(note("b"))
    run = bench.submit(workflow, store={"k": "old"})
    assert run.store["k"] == "old"
    assert bench.drain(run).store["k"] == "new"


@pytest.mark.parametrize("moment", list(Moment))
def test_a_worker_may_die_at_any_moment_and_every_action_is_committed_once(
    bench: Bench, moment: Moment
) -> None:
    run = bench.submit(one_stage(note("a", ("d",), ("S",)), note("b"), note("c")))
    died_for: set[str] = set()
    while not run.status.is_terminal:
        if not bench.post.messages:
            bench.bury()
            bench.pass_time()
            continue
        entry = bench.post.messages[0].entry
        bench.die_at = None if entry in died_for else moment
        died_for.add(entry)
        bench.step(worker="victim")
    result = bench.drain(run)
    assert result.store["order"] == ["a", "d", "b", "c", "S1"]
    assert result.store["count"] == 5
    assert result.status is RunStatus.COMPLETED


def test_a_message_delivered_twice_changes_nothing(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a"), note("b")))
    first = bench.post.messages[0]
    bench.step()
    again = bench.deliver(first, worker="other")
    assert again is not None
    assert again.word == "done"
    assert bench.drain(run).store["order"] == ["a", "b"]


def test_a_message_that_comes_before_its_turn_changes_nothing(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a"), note("b")))
    later = bench.post.messages[0].tail[0]
    early = bench.deliver(Message(run.run_id, later))
    assert early is not None
    assert early.word == "early"
    assert bench.drain(run).store["order"] == ["a", "b"]


def test_a_message_for_a_run_that_is_gone_changes_nothing(bench: Bench) -> None:
    ended = bench.deliver(Message("never-was", "1"))
    assert ended is not None
    assert ended.word == "gone"


def test_a_lost_message_is_sent_again(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a"), note("b")))
    bench.post.messages.clear()
    assert bench.drain(run).status is RunStatus.COMPLETED
    assert bench.post.sent_again == 1


def test_an_attempt_that_lost_its_lease_cannot_commit(bench: Bench) -> None:
    taken: list[str] = []

    @action
    def slow(ctx: ActionContext) -> None:
        ctx.store.append("who", ctx.attempt)
        ctx.add_action(note("added"))
        if not taken:
            taken.append("once")
            bench.rescuer.lost("frozen")
            bench.step(worker="other")

    run = bench.submit(one_stage(slow.s()))
    ended = bench.deliver(bench.post.messages.popleft(), worker="frozen")
    assert ended is not None
    assert ended.word == "fenced"
    result = bench.drain(run)
    assert result.store["who"] == [2]
    assert [a.name for a in result.actions] == ["slow", "added"]


def test_a_failed_attempt_leaves_nothing_but_its_checkpoint(bench: Bench) -> None:
    @action(retry=Retry(2))
    def flaky(ctx: ActionContext) -> None:
        ctx.store.increment("kept")
        ctx.checkpoint()
        ctx.store.increment("lost")
        ctx.add_action(note("lost"))
        if ctx.attempt == 1:
            raise RuntimeError("first")

    result = bench.drain(bench.submit(one_stage(flaky.s())))
    assert result.status is RunStatus.COMPLETED
    assert result.store["kept"] == 2
    assert result.store["lost"] == 1
    assert [a.name for a in result.actions] == ["flaky", "lost"]


def test_a_failure_that_is_not_retried_fails_the_run_and_says_where(bench: Bench) -> None:
    @action("pay.charge", retry=Retry(5))
    def charge(ctx: ActionContext) -> None:
        raise NoRetry("card declined") from ValueError("code 51")

    workflow = one_stage(note("a"), charge.s(), note("never"))
    result = bench.drain(bench.submit(workflow))
    assert result.status is RunStatus.FAILED
    assert str(result.error) == "s/charge: NoRetry: card declined"
    assert result.error is not None
    assert result.error.cause is not None
    assert result.error.cause.message == "code 51"
    assert [a.status for a in result.actions] == [
        ActionStatus.COMPLETED, ActionStatus.FAILED, ActionStatus.PENDING,
    ]  # fmt: skip
    assert result.stages["s"].status is ActionStatus.FAILED


def test_retries_end_after_max_attempts_and_crashes_do_not_count(bench: Bench) -> None:
    tries: list[int] = []

    @action(retry=Retry(3))
    def broken(ctx: ActionContext) -> None:
        tries.append(ctx.attempt)
        raise OSError("always")

    run = bench.submit(one_stage(broken.s()))
    bench.die_at = Moment.CLAIMED
    bench.step(worker="victim")
    bench.bury()
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert tries == [2, 3, 4]


def test_an_action_that_loses_three_workers_fails_as_poison(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a"), note("b")))
    for _ in range(3):
        bench.die_at = Moment.CLAIMED
        bench.step(worker="victim")
        bench.bury()
    result = run.result()
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "PoisonedError"
    assert str(result.error).startswith("s/a: PoisonedError")


def test_on_error_continue_goes_on_without_the_action(bench: Bench) -> None:
    @action(on_error="continue")
    def broken(ctx: ActionContext) -> None:
        raise RuntimeError("no")

    result = bench.drain(bench.submit(one_stage(broken.s(), note("b"))))
    assert result.status is RunStatus.COMPLETED
    assert result.store["order"] == ["b"]
    assert result.actions[0].status is ActionStatus.FAILED


def test_a_failure_in_a_parallel_stage_lets_running_siblings_end(bench: Bench) -> None:
    @action
    def broken(ctx: ActionContext) -> None:
        raise RuntimeError("no")

    @action
    def sibling(ctx: ActionContext) -> None:
        bench.step(worker="other")
        ctx.heartbeat()
        ctx.store["told"] = ctx.cancelled

    run = bench.submit(one_stage(sibling.s(), broken.s(), note("c"), parallel=True))
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.store["told"] is True
    assert [a.status for a in result.actions] == [
        ActionStatus.COMPLETED, ActionStatus.FAILED, ActionStatus.CANCELLED,
    ]  # fmt: skip


def test_cancel_ends_a_waiting_run_at_once_and_a_running_one_with_its_action(bench: Bench) -> None:
    @action
    def body(ctx: ActionContext) -> None:
        run.cancel(reason="enough", actor="ana")
        ctx.heartbeat()
        ctx.store["seen"] = ctx.cancelled

    run = bench.submit(one_stage(body.s(), note("b")))
    bench.step()
    result = run.result()
    assert result.status is RunStatus.CANCELLED
    assert result.store["seen"] is True
    waiting = bench.submit(one_stage(note("a")))
    waiting.cancel()
    assert waiting.status is RunStatus.CANCELLED
    halting = [e for e in run.journal() if e.kind == "run.halting"]
    assert [(e.actor, e.reason) for e in halting] == [("ana", "enough")]


def test_a_body_may_end_its_run_early_on_purpose(bench: Bench) -> None:
    @action
    def check(ctx: ActionContext) -> None:
        ctx.store["checked"] = True
        ctx.bail("nothing to do")

    result = bench.drain(bench.submit(one_stage(check.s(), note("b"))))
    assert result.status is RunStatus.BAILED
    assert result.bail_reason == "nothing to do"
    assert result.store["checked"] is True
    assert result.error is None


def test_a_run_past_its_deadline_fails(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a")), deadline=3600)
    bench.post.messages.clear()
    bench.pass_time()
    result = run.result()
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "DeadlineExceededError"


def test_a_duplicate_stage_is_refused_where_it_is_added(bench: Bench) -> None:
    @action
    def adds(ctx: ActionContext) -> None:
        ctx.add_stage(Stage("s", [note("x")]))

    result = bench.drain(bench.submit(one_stage(adds.s())))
    assert result.error is not None
    assert result.error.type == "DuplicateStageError"


def test_a_worker_that_does_not_know_the_action_leaves_it_to_one_that_does(bench: Bench) -> None:
    with registry.isolated():
        late = action("late")(lambda ctx: ctx.store.put("done", True))
        run = bench.submit(one_stage(late.s()))
    ended = bench.step(worker="old")
    assert ended is not None
    assert ended.word == "released"
    action("late")(lambda ctx: ctx.store.put("done", True))
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED
    assert result.store["done"] is True
    assert result.actions[0].attempt == 1


BODY_ERRORS: list[Callable[[], BaseException]] = [
    lambda: SystemExit(3),
    lambda: KeyboardInterrupt(),
    lambda: MemoryError(),
    lambda: RecursionError(),
    lambda: GeneratorExit(),
    lambda: BaseExceptionGroup("g", [ValueError("x")]),
    lambda: Hostile(),
]


class Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even my message")


@pytest.mark.parametrize("error", BODY_ERRORS)
def test_whatever_a_body_raises_is_its_failure_and_not_the_workers(
    bench: Bench, error: Callable[[], BaseException]
) -> None:
    @action
    def body(ctx: ActionContext) -> None:
        raise error()

    result = bench.drain(bench.submit(one_stage(body.s())))
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == type(error()).__name__


def test_nothing_is_left_of_a_run_whose_retention_has_ended(bench: Bench) -> None:
    before = set(bench.state.client.keys(bench.state.keys.prefix + "*"))  # type: ignore[arg-type]
    workflow = one_stage(note("a", ("b",), ("S",)), note("c"))
    run = bench.submit(workflow, key="k", tags=["t"], store={"x": 1}, deadline=60)
    bench.drain(run)
    bench.state.client.zadd(bench.state.keys.of("expiry"), {run.run_id: 0})
    bench.rescuer.tick()
    after = set(bench.state.client.keys(bench.state.keys.prefix + "*"))  # type: ignore[arg-type]
    left = {key.decode().removeprefix(bench.state.keys.prefix) for key in after - before}
    assert left <= {"marks", "alive", "beat", "numbers"}


def test_a_message_that_waited_long_still_tells_of_the_order_of_its_queue(bench: Bench) -> None:
    waited = bench.submit(one_stage(note("a")))
    bench.state.rouse(waited.run_id, bench.post.messages[0].entry, "", "{}")
    bench.step()
    assert bench.state.marks().keys() == {"queue"}


def test_a_timer_of_an_earlier_attempt_does_not_end_a_later_one(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a").options(timeout=60)))
    entry = bench.post.messages.popleft().entry
    bench.state.claim(run.run_id, entry, nonce="n", process="p", slot="t", mark="")
    assert bench.state.rouse(run.run_id, entry, "t", "{}").answer.word == "later"


def test_when_the_server_stood_still_nobody_is_called_dead(bench: Bench) -> None:
    bench.submit(one_stage(note("a")))
    claim_for(bench, "healthy")
    bench.state.client.zadd(bench.state.keys.of("alive"), {"healthy": 1})
    bench.state.client.set(bench.state.keys.of("beat"), 1)
    assert bench.state.tick((), judge=True).dead == {}


def test_an_attempt_that_its_process_gave_up_silently_is_taken_by_another(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a")))
    claim = claim_for(bench, "p")
    bench.state.abandon(claim, "p", "t")
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_a_claim_in_flight_of_a_dead_process_is_found_by_a_later_tick(bench: Bench) -> None:
    run = bench.submit(one_stage(note("a")))
    bench.rescuer.lost("p")
    claim_for(bench, "p")
    assert list(bench.state.tick((), judge=True).dead) == ["p"]
    assert not run.status.is_terminal


def claim_for(bench: Bench, process: str) -> Claim:
    message = bench.post.messages.popleft()
    claim = bench.state.claim(
        message.run_id, message.entry, nonce="n", process=process, slot="t", mark=""
    )
    assert isinstance(claim, Claim)
    return claim


def test_a_limited_parallel_stage_takes_many_added_members_in_order(bench: Bench) -> None:
    workflow = Workflow("w")
    many = note("a", tuple(f"n{i:03}" for i in range(300)))
    workflow.add_stage(Stage("s", [many, note("z")], parallel=True, max_parallel=2))
    result = bench.drain(bench.submit(workflow))
    assert result.store["order"] == ["a", *(f"n{i:03}" for i in range(300)), "z"]


def test_what_follows_an_attempt_that_was_given_up_is_sent_when_its_body_ends(bench: Bench) -> None:
    @action(timeout=0.05, on_error="continue")
    def slow(ctx: ActionContext) -> None:
        eventually(lambda: ctx.cancelled)

    run = bench.submit(one_stage(slow.s(), note("b")))
    bench.step()
    assert len(bench.post.messages) == 1
    bench.step()
    assert run.status is RunStatus.COMPLETED
    assert bench.post.sent_again == 0


def test_a_body_that_reads_waits_for_a_server_that_is_away(fresh_registry: None) -> None:
    with RedisServer() as server:
        bench = Bench(Settings(redis_url=server.url))

        @action
        def reads(ctx: ActionContext) -> None:
            server.kill()
            threading.Timer(0.3, server.start).start()
            ctx.store["seen"] = ctx.store.get("number", int)
            ctx.heartbeat()

        run = bench.submit(one_stage(reads.s()), store={"number": 7, "large": "x" * 2_000})
        result = bench.drain(run)
        bench.close()
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["seen"] == 7
    assert result.actions[0].attempt == 1
