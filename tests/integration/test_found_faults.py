"""What random worlds have found, told plainly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Action,
    ActionContext,
    ForEach,
    HookContext,
    Middleware,
    RunNotFoundError,
    RunStatus,
    RunWorkflow,
    ScopeOutcome,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.attempt import Executor
from gostage_core.state.answers import Claim
from tests.support.scripted import do, script, workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run
    from tests.support.bench import Bench


@pytest.fixture(autouse=True)
def told() -> Iterator[None]:
    script.clear()
    yield
    script.clear()


def submit(bench: Bench, *actions: Action, **options: Any) -> Run:
    made = Workflow("w")
    made.add_stage(Stage("s", actions))
    return bench.submit(made, **options)


def test_a_run_is_deleted_with_the_child_run_that_it_waits_for(memory_bench: Bench) -> None:
    run = submit(memory_bench, RunWorkflow(workflow(s="a")))
    memory_bench.step()
    child = run.plan.actions[0].child_run_id
    run.delete()
    for run_id in (run.run_id, child):
        with pytest.raises(RunNotFoundError):
            memory_bench.runner.get(run_id)
    memory_bench.post.messages.clear()
    memory_bench.pass_time()
    assert not memory_bench.post.messages


class Last(Middleware):
    """Has something to do at the end."""

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Do nothing."""


def test_a_run_is_deleted_whose_hook_would_run_at_its_end(memory_bench: Bench) -> None:
    run = memory_bench.submit(workflow(s="a b").use(Last()))
    memory_bench.post.messages.clear()
    run.delete()
    assert not memory_bench.post.messages


@action
def approved(ctx: ActionContext) -> None:
    """Wait for a signal from within a body."""
    ctx.store["answer"] = ctx.wait_for("go", str, timeout=60)


@pytest.mark.parametrize("how", ["action", "body"])
def test_a_wait_that_ran_out_begins_anew_when_its_run_is_retried(
    memory_bench: Bench, how: str
) -> None:
    waiting = WaitForSignal("go", str, timeout=60, store_as="answer")
    run = submit(memory_bench, waiting if how == "action" else approved.s())
    assert memory_bench.drain(run).error.type == "SignalTimeoutError"
    run.retry()
    memory_bench.step()
    assert run.status is RunStatus.WAITING
    run.signal("go", "yes")
    assert memory_bench.drain(run).store["answer"] == "yes"


def test_a_signal_that_came_before_a_run_was_retried_is_not_waited_for_again(
    memory_bench: Bench,
) -> None:
    run = submit(memory_bench, WaitForSignal("go", str, store_as="answer"))
    memory_bench.step()
    run.signal("go", "first")
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    run.retry()
    run.signal("go", "second")
    result = memory_bench.drain(run)
    assert result.store["answer"] == "first"
    inbox = memory_bench.state.client.hvals(memory_bench.state.keys.of("inbox", run.run_id))
    assert b'"second"' in inbox


def test_actions_are_added_to_a_compensation_that_goes_on(memory_bench: Bench) -> None:
    (undone,) = do("a")
    (undo,) = do("undo")
    script["b"] = lambda ctx: 1 / 0
    run = submit(memory_bench, undone.options(compensate=undo), *do("b"))
    memory_bench.step()
    memory_bench.step()
    memory_bench.pass_time()
    with run.edit("one more") as plan:
        plan.stages["gostage.compensation"].add(*do("more"))
    result = memory_bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.store["order"] == ["a", "undo", "more"]


def test_a_retried_run_that_its_throttle_holds_waits(memory_bench: Bench) -> None:
    made = Workflow("w", throttle=Throttle(concurrency=1))
    made.add_stage(Stage("s", do("a")))
    script["a"] = lambda ctx: 1 / 0
    first = memory_bench.submit(made)
    memory_bench.drain(first)
    script.clear()
    second = memory_bench.submit(made)
    first.retry()
    assert first.status is RunStatus.WAITING
    memory_bench.drain(second)
    assert memory_bench.drain(first).status is RunStatus.COMPLETED


def test_a_claim_that_comes_late_takes_nothing_up_that_its_sender_has_ended(
    memory_bench: Bench,
) -> None:
    state = memory_bench.state
    run = submit(memory_bench, ForEach("items", *do("a")), store={"items": [1]})
    (message,) = memory_bench.post.messages
    asked = {"nonce": "n", "process": "w", "slot": "1", "mark": ""}
    claim = state.claim(run.run_id, message.entry, **asked)
    assert isinstance(claim, Claim)
    state.release(claim, delay=0, reason='{"released":"not now","worker":"w"}')
    assert state.claim(run.run_id, message.entry, **asked) == "done"
    assert memory_bench.drain(run).store["order"] == ["a"]


def test_who_is_fenced_leaves_what_else_its_books_have(memory_bench: Bench) -> None:
    """A claim comes late, while its sender is at something that is taken away meanwhile."""
    state = memory_bench.state
    late = submit(memory_bench, *do("late"))
    entry = memory_bench.post.messages.popleft().entry
    run = submit(memory_bench, *do("taken"))

    def be_late(_ctx: ActionContext) -> None:
        run.cancel(grace=0)
        memory_bench.pass_time()
        slot = str(threading.get_ident())
        state.claim(late.run_id, entry, nonce="n", process="w", slot=slot, mark="")

    script["taken"] = be_late
    ended = memory_bench.step("w")
    assert ended is not None
    assert ended.word == "fenced"
    assert list(state.claims_of("w").values()) == [f"{late.run_id} {entry}"]


def test_who_cannot_go_on_leaves_what_else_its_books_have(
    memory_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim comes late, while its sender is at something that the engine has a fault in."""
    state = memory_bench.state
    late = submit(memory_bench, *do("late"))
    entry = memory_bench.post.messages.popleft().entry
    run = submit(memory_bench, *do("given up"))

    def be_late(*_: object) -> None:
        slot = str(threading.get_ident())
        state.claim(late.run_id, entry, nonce="n", process="w", slot=slot, mark="")
        raise RuntimeError("a fault of the engine")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(Executor, "_work", be_late)
        memory_bench.step("w")
    assert list(state.claims_of("w").values()) == [f"{late.run_id} {entry}"]
    assert memory_bench.drain(run).status is RunStatus.COMPLETED


def test_a_claim_that_comes_after_its_run_was_retried_takes_nothing_up(memory_bench: Bench) -> None:
    run = memory_bench.submit(workflow(s="a"))
    state, entry = memory_bench.state, memory_bench.post.messages.popleft().entry

    def claim() -> Claim | str:
        return state.claim(run.run_id, entry, nonce="n", process="p", slot="1", mark="")

    first = claim()
    assert isinstance(first, Claim)
    state.fail(first, delay=None, policy="fail", failure="{}", details="{}")
    run.retry()
    assert claim() == "done"  # sent twice, and late the second time: nobody would do it


def test_a_run_that_is_paused_on_its_way_to_its_end_gets_there_when_it_is_cancelled_again(
    memory_bench: Bench,
) -> None:
    run = memory_bench.submit(workflow(s="a"))
    entry = memory_bench.post.messages.popleft().entry
    held = memory_bench.state.claim(run.run_id, entry, nonce="n", process="p", slot="1", mark="")
    assert isinstance(held, Claim)
    run.cancel()
    run.pause()
    assert run.status is RunStatus.PAUSED
    run.cancel()
    assert run.status is RunStatus.RUNNING


@pytest.mark.parametrize("how", ["cancelled", "deleted", "cancelled and opened again"])
def test_what_was_taken_away_before_the_answer_of_its_claim_is_on_nobodys_books(
    memory_bench: Bench, how: str
) -> None:
    run = submit(memory_bench, *do("a"))
    state, entry = memory_bench.state, memory_bench.post.messages.popleft().entry

    def claim(process: str = "w") -> Claim | str:
        return state.claim(run.run_id, entry, nonce=process, process=process, slot="1", mark="")

    assert isinstance(claim(), Claim)  # its answer is lost
    if how == "deleted":
        run.delete()
    else:
        run.cancel(grace=0)
        memory_bench.pass_time()
    if how == "cancelled and opened again":
        run.retry()
        assert isinstance(claim("other"), Claim)
    assert not isinstance(claim(), Claim)
    assert state.claims_of("w") == {}
