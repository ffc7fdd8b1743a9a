"""What a run has done is undone when it fails or is cancelled: the last thing first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    ForEach,
    InvalidActionError,
    Middleware,
    Repeat,
    Retry,
    RunStateError,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from tests.support.noting import fails
from tests.support.watched import done, kinds, last, one_stage, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core import HookContext, ScopeOutcome
    from tests.support.watched import WatchedBench

CALLS: list[str] = []


@action
def do(ctx: ActionContext, word: str) -> str:
    ctx.store.append("done", word)
    return word


@action
def undo(ctx: ActionContext, word: str = "") -> None:
    ctx.store.append("done", f"-{word or ctx.item}")


@action
def stumbles(ctx: ActionContext, word: str = "") -> None:
    """Undo at the second try."""
    if ctx.attempt == 1:
        raise ValueError("not yet")
    ctx.store.append("done", f"-{word}")


def step(word: str, **options: Any) -> Any:
    return do.s(word).options(name=word, compensate=undo.s(word), **options)


def test_what_completed_is_undone_the_last_first_and_the_run_has_failed(
    watched: WatchedBench,
) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("one", [step("a"), do.s("plain"), step("b")]))
    workflow.add_stage(Stage("two", [step("c"), fails.s(), step("never")]))
    run = watched.submit(workflow)
    watched.settle()
    result = run.result()
    assert done(run) == ["a", "plain", "b", "c", "-c", "-b", "-a"]
    assert (result.status, result.compensated, result.uncompensated) == ("failed", True, ())
    assert str(result.error) == "two/fails: ValueError: as it was told"
    stage = result.stages["gostage.compensation"]
    assert [one.undoes for one in stage.actions] == ["two/c", "one/b", "one/a"]
    assert kinds(run)[-1] == "run.failed"
    assert "what it had done is undone" in str(run.why())


def test_a_run_that_completes_or_bails_undoes_nothing(watched: WatchedBench) -> None:
    @action
    def bails(ctx: ActionContext) -> None:
        ctx.bail("enough")

    for end, status in ((do.s("end"), "completed"), (bails.s(), "bailed")):
        run = watched.settled(step("a"), end)
        assert (run.status, run.result().compensated) == (status, None)
        assert "-a" not in done(run)


def test_what_a_cancelled_run_had_done_is_undone(watched: WatchedBench) -> None:
    run = watched.settled(step("a"), step("b"), Sleep("1d"))
    run.cancel("not wanted")
    assert run.status is RunStatus.RUNNING
    assert "it was cancelled, and what it had done is undone" in str(run.why())
    watched.settle()
    assert (run.status, done(run)) == ("cancelled", ["a", "b", "-b", "-a"])
    assert run.result().compensated is True


def test_what_a_run_past_its_deadline_had_done_is_undone_however_long_that_takes(
    watched: WatchedBench,
) -> None:
    slow = stumbles.s("a").options(retry=Retry(2, delay=3600, jitter=0))
    run = watched.settled(do.s("a").options(compensate=slow), Sleep("1d"), deadline=60)
    watched.later(60)
    assert run.status is RunStatus.SLEEPING
    watched.later(3601)
    assert run.status is RunStatus.FAILED
    assert done(run) == ["a", "-a"]
    assert "DeadlineExceededError" in str(run.result().error)


def test_undoing_is_tried_again_as_its_action_says(watched: WatchedBench) -> None:
    undo_later = stumbles.s("a").options(retry=Retry(3, delay=5, jitter=0))
    run = watched.settled(step("z"), do.s("a").options(compensate=undo_later), fails.s())
    watched.later(6)
    assert done(run) == ["z", "a", "-a", "-z"]
    assert run.result().compensated is True


def test_what_is_left_is_named_when_undoing_fails(watched: WatchedBench) -> None:
    run = watched.settled(
        step("a"), do.s("b").options(name="b", compensate=fails.s()), step("c"), fails.s()
    )
    result = run.result()
    assert (result.status, result.compensated) == ("failed", False)
    assert result.uncompensated == ("s/b", "s/a")
    assert str(result.error) == "s/fails: ValueError: as it was told"
    assert "not all that it had done is undone" in str(run.why())


def test_a_retry_goes_on_with_the_compensation_that_failed(watched: WatchedBench) -> None:
    run = watched.settled(
        step("a"), do.s("b").options(name="b", compensate=stumbles.s("b")), step("c"), fails.s()
    )
    assert run.result().uncompensated == ("s/b", "s/a")
    run.retry()
    assert run.status is RunStatus.RUNNING
    watched.settle()
    assert done(run) == ["a", "b", "c", "-c", "-b", "-a"]
    result = run.result()
    assert (result.status, result.compensated, result.uncompensated) == ("failed", True, ())
    with pytest.raises(RunStateError, match="was compensated"):
        run.retry()


def test_a_retry_may_leave_out_what_cannot_be_undone(watched: WatchedBench) -> None:
    run = watched.settled(
        step("a"), do.s("b").options(name="b", compensate=fails.s().options(name="un-b")), fails.s()
    )
    run.retry(skip=["un-b"], reason="undone by hand", actor="ana")
    watched.settle()
    result = run.result()
    assert done(run) == ["a", "b", "-a"]
    assert (result.status, result.compensated, result.uncompensated) == ("failed", False, ("s/b",))


@pytest.mark.parametrize("how", ["continue", "disable"])
def test_what_was_passed_over_counts_as_not_undone(watched: WatchedBench, how: str) -> None:
    last_undo = fails.s().options(name="un-b", on_error="continue")
    if how == "disable":

        @action
        def edits(ctx: ActionContext) -> None:
            with run.edit(reason="by hand") as plan:
                plan.actions["un-a"].disable()

        last_undo = edits.s().options(name="un-b")
    run = watched.submit(
        one_stage(
            do.s("a").options(name="a", compensate=undo.s("a").options(name="un-a")),
            do.s("b").options(name="b", compensate=last_undo),
            fails.s(),
        )
    )
    watched.settle()
    result = run.result()
    assert (result.status, result.compensated) == ("failed", False)
    assert result.uncompensated == (("s/b",) if how == "continue" else ("s/a",))


def test_items_and_passes_are_undone_one_by_one_with_what_they_were_about(
    watched: WatchedBench,
) -> None:
    @action
    def book(ctx: ActionContext) -> None:
        ctx.store.append("done", f"{ctx.item}")

    @action
    def turn(ctx: ActionContext) -> None:
        ctx.store.append("done", f"turn {ctx.index}")

    @action
    def turn_back(ctx: ActionContext) -> None:
        ctx.store.append("done", f"-turn {ctx.index}")

    run = watched.settled(
        ForEach("items", book.s().options(compensate=undo.s()), max_parallel=1),
        Repeat(turn.s().options(compensate=turn_back.s()), max_times=2),
        fails.s(),
        store={"items": ["x", "y"]},
    )
    assert done(run) == ["x", "y", "turn 0", "turn 1", "-turn 1", "-turn 0", "-y", "-x"]


def test_side_by_side_what_ended_last_is_undone_first(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [step(name) for name in "abc"], parallel=True))
    workflow.add_stage(Stage("t", [fails.s()]))
    run = watched.submit(workflow)
    watched.settle()
    names = {one.entry: one.name for one in run.result().actions}
    came = [names[one.entry] for one in run.journal() if one.kind == "action.completed"][:3]
    undone = [one.undoes for one in run.result().stages["gostage.compensation"].actions]
    assert undone == [f"s/{name}" for name in reversed(came)]
    assert sorted(done(run)[3:]) == ["-a", "-b", "-c"]


def test_a_composite_is_undone_as_a_whole_before_what_is_in_it(watched: WatchedBench) -> None:
    whole = ForEach("items", step("a")).options(name="all", compensate=undo.s("all"))
    run = watched.settled(whole, fails.s(), store={"items": [1]})
    assert done(run) == ["a", "-all", "-a"]


def test_what_completed_is_undone_although_a_failure_around_it_was_passed_over(
    watched: WatchedBench,
) -> None:
    part = ForEach("items", step("a"), fails.s()).options(on_error="continue")
    run = watched.settled(part, fails.s(), store={"items": [1]})
    assert done(run) == ["a", "-a"]


def test_what_is_added_at_run_time_is_undone_too(watched: WatchedBench) -> None:
    @action
    def grows(ctx: ActionContext) -> None:
        ctx.add_action(step("b"))
        ctx.add_stage(Stage("more", [step("c"), fails.s()]))

    run = watched.settled(step("a"), grows.s())
    assert done(run) == ["a", "b", "c", "-c", "-b", "-a"]


def test_a_child_run_that_fails_is_undone_by_itself(watched: WatchedBench) -> None:
    child = one_stage(step("c"), fails.s(), id="child")
    run = watched.settled(step("a"), RunWorkflow(child))
    below = watched.child(run)
    assert (done(below), below.result().compensated) == (["c", "-c"], True)
    assert (done(run), run.result().compensated) == (["a", "-a"], True)


def test_a_child_run_that_completed_is_undone_by_what_its_action_says(
    watched: WatchedBench,
) -> None:
    child = one_stage(step("c"), id="child")
    run = watched.settled(RunWorkflow(child).options(compensate=undo.s("child")), fails.s())
    assert done(watched.child(run)) == ["c"]
    assert done(run) == ["-child"]


def test_a_retry_begins_a_new_child_run_where_the_last_one_was_undone(
    watched: WatchedBench,
) -> None:
    child = one_stage(step("c"), stumbles.s("x"), id="child")
    run = watched.settled(RunWorkflow(child, take=["done"]), do.s("end"))
    first = watched.child(run)
    assert done(first) == ["c", "-c"]
    run.retry()
    watched.settle()
    second = watched.child(run)
    assert second.run_id != first.run_id
    assert (first.status, second.status) == ("failed", "failed")  # it stumbles at its first try too


def test_the_undoing_sees_the_store_as_the_failure_left_it(watched: WatchedBench) -> None:
    @action
    def charge(ctx: ActionContext) -> None:
        ctx.store["charge.id"] = "ch_1"

    @action
    def refund(ctx: ActionContext) -> None:
        ctx.store.append("done", f"refund {ctx.store['charge.id']}")

    @action
    def breaks(ctx: ActionContext) -> None:
        ctx.store["charge.id"] = "never committed"
        raise ValueError

    run = watched.settled(charge.s().options(compensate=refund.s()), breaks.s())
    assert done(run) == ["refund ch_1"]


def test_undoing_has_the_middleware_and_the_throttle_of_its_action(watched: WatchedBench) -> None:
    class Notes(Middleware):
        def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> Any:
            CALLS.append(ctx.action.name)
            return call_next()

    CALLS.clear()
    slow = undo.s("a").options(throttle=Throttle("undo", rate=1, per=60))
    steps = [do.s("a").options(compensate=slow) for _ in range(2)]
    run = watched.submit(one_stage(*steps, fails.s()).use(Notes()))
    watched.settle()
    assert CALLS.count("undo") == 1
    watched.later(60)
    assert CALLS.count("undo") == 2
    assert run.result().compensated is True


def test_what_a_hook_recovers_from_undoes_nothing(watched: WatchedBench) -> None:
    class Saves(Middleware):
        def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            if outcome.status == "failed":
                outcome.recover()

    run = watched.submit(one_stage(step("a"), fails.s()).use(Saves()))
    watched.settle()
    assert (run.status, done(run)) == ("completed", ["a"])


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("at", ["do", "fail", "undo"])
def test_a_worker_may_die_at_any_moment_and_each_thing_is_undone_once(
    watched: WatchedBench, moment: Moment, at: str
) -> None:
    run = watched.submit(one_stage(step("a"), fails.s()))
    for _ in range({"do": 0, "fail": 1, "undo": 2}[at]):
        watched.one_step()
    watched.die_at = moment
    watched.settle()
    assert done(run) == ["a", "-a"]
    assert (run.status, run.result().compensated) == ("failed", True)


def test_a_run_that_lost_its_workers_too_often_is_undone(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(step("a"), do.s("poison").options(name="poison")))
    watched.one_step()
    for _ in range(3):
        watched.die_at = Moment.CLAIMED
        watched.one_step()
        watched.bury()
    watched.settle()
    assert done(run) == ["a", "-a"]
    assert "PoisonedError" in str(run.result().error)


def test_the_journal_tells_of_the_compensation(watched: WatchedBench) -> None:
    run = watched.settled(step("a"), fails.s())
    told = last(run, "run.compensating")
    assert told.change == {"verdict": "failed"}
    added = last(run, "plan.changed")
    assert added.actor == "engine"
    assert [one.path for one in run.plan.revisions[-1].changes.added_stages] == [
        "gostage.compensation"
    ]
    undone = [one for one in run.plan.actions if one.undoes]
    assert [one.path for one in undone] == ["gostage.compensation/undo"]


def test_a_compensation_may_be_changed_by_an_operator(watched: WatchedBench) -> None:
    @action
    def pauses(ctx: ActionContext) -> None:
        run.pause()

    run = watched.submit(
        one_stage(
            do.s("a").options(compensate=undo.s("a").options(name="un-a")),
            do.s("b").options(compensate=pauses.s()),
            fails.s(),
        )
    )
    watched.settle()
    with run.edit(reason="that one was refunded by hand") as plan:
        plan.actions["un-a"].disable()
    assert run.status is RunStatus.FAILED
    assert states(run)["un-a"] == "skipped"
    with pytest.raises(RunStateError), run.edit(reason="too late") as plan:
        plan.actions["un-a"].enable()


def test_what_undoes_is_not_undone_itself() -> None:
    with pytest.raises(InvalidActionError, match="what undoes an action is not undone itself"):
        do.s("a").options(compensate=undo.s("a").options(compensate=undo.s("b")))


def test_a_run_with_a_throttle_keeps_its_place_until_all_is_undone(watched: WatchedBench) -> None:
    workflow = Workflow("w", throttle=Throttle(concurrency=1))
    undo_later = stumbles.s("a").options(retry=Retry(2, delay=60, jitter=0))
    workflow.add_stage(Stage("s", [do.s("a").options(compensate=undo_later), fails.s()]))
    first, second = watched.submit(workflow), watched.submit(workflow)
    watched.settle()
    assert done(second) == []
    watched.later(61)
    assert first.status is RunStatus.FAILED
    watched.later(61)
    assert second.status is RunStatus.FAILED


def test_undoing_goes_on_in_line_when_its_run_is_retried(watched: WatchedBench) -> None:
    workflow = Workflow("w", throttle=Throttle(concurrency=1))
    workflow.add_stage(Stage("s", [do.s("a").options(compensate=stumbles.s("a")), fails.s()]))
    run = watched.submit(workflow)
    watched.settle()
    other = Workflow("w", throttle=Throttle(concurrency=1))
    other.add_stage(Stage("s", [Sleep(60)]))
    holder = watched.submit(other)
    watched.settle()
    run.retry()
    watched.settle()
    assert done(run) == ["a"]
    watched.later(60)
    assert holder.status is RunStatus.COMPLETED
    assert done(run) == ["a", "-a"]
