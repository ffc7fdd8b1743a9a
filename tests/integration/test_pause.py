"""A run is held, and goes on where it was, whatever it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import (
    ActionContext,
    ForEach,
    Middleware,
    Repeat,
    Retry,
    RunNotFoundError,
    RunStateError,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from tests.support.noting import HOOKS, After, fails, meanwhile, note, undo
from tests.support.watched import done, kinds, last, one_stage, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core import Run
    from tests.support.watched import WatchedBench


def stands_still(bench: WatchedBench, run: Run) -> None:
    """Check that a run does not move for a long time, and asks nobody to look at it."""
    before = run.journal()
    bench.later(3600)
    assert run.journal() == before
    assert run.status is RunStatus.PAUSED


@pytest.mark.parametrize("steps", range(4))
def test_a_paused_run_does_nothing_and_goes_on_where_it_was(
    watched: WatchedBench, steps: int
) -> None:
    run = watched.submit(one_stage(*(note.s().options(name=f"n{i}") for i in range(4))))
    while len(done(run)) < steps:
        watched.one_step()
    run.pause("look into it", actor="ana")
    assert run.status is RunStatus.PAUSED
    assert str(run.why()) == f"{run.run_id} is paused: by ana: look into it"
    stands_still(watched, run)
    assert len(done(run)) == steps
    run.resume("it is fine", actor="ben")
    watched.settle()
    assert done(run) == ["n0", "n1", "n2", "n3"]
    assert (last(run, "run.paused").actor, last(run, "run.paused").reason) == (
        "ana",
        "look into it",
    )
    assert (last(run, "run.resumed").actor, last(run, "run.resumed").reason) == (
        "ben",
        "it is fine",
    )


def test_a_run_may_be_paused_before_anything_of_it_began(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(note.s()))
    run.pause()
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert run.status is RunStatus.COMPLETED


def test_what_runs_when_a_run_is_paused_may_end(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(meanwhile.s(), note.s()))
    HOOKS["now"] = run.pause
    watched.settle()
    assert done(run) == ["meanwhile"]
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["meanwhile", "note"]


def test_the_end_of_what_runs_may_end_a_paused_run(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(meanwhile.s()))
    HOOKS["now"] = run.pause
    watched.settle()
    assert run.status is RunStatus.COMPLETED


def test_what_runs_when_a_run_is_paused_may_fail_and_is_tried_again_when_it_goes_on(
    watched: WatchedBench,
) -> None:
    @action(retry=Retry(2, delay=10, jitter=0))
    def stumble(ctx: ActionContext) -> None:
        if ctx.attempt == 1:
            run.pause()
            raise ValueError("first")
        ctx.store.append("done", "second")

    run = watched.submit(one_stage(stumble.s()))
    watched.settle()
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["second"]


def test_pausing_and_resuming_may_be_repeated(watched: WatchedBench) -> None:
    run = watched.settled(Sleep(60))
    for _ in range(2):
        run.pause()
    for _ in range(2):
        run.resume()
    assert kinds(run, "run.paused") == ["run.paused"]
    assert kinds(run, "run.resumed") == ["run.resumed"]
    watched.later(60)
    assert run.status is RunStatus.COMPLETED


def test_what_fell_due_while_a_run_was_paused_is_due_when_it_goes_on(watched: WatchedBench) -> None:
    run = watched.settled(Sleep(60), note.s())
    run.pause()
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["note"]


def test_what_is_not_due_yet_when_a_run_goes_on_keeps_its_time(watched: WatchedBench) -> None:
    run = watched.settled(Sleep(60), note.s())
    run.pause()
    watched.later(30)
    run.resume()
    watched.later(29)
    assert done(run) == []
    watched.later(1)
    assert done(run) == ["note"]


def test_a_paused_run_still_fails_at_its_deadline(watched: WatchedBench) -> None:
    run = watched.settled(Sleep("1d"), deadline=60)
    run.pause()
    watched.later(61)
    assert run.status is RunStatus.FAILED
    assert "DeadlineExceededError" in str(run.result().error)


def test_a_run_that_waits_in_many_places_is_held_in_all_of_them(watched: WatchedBench) -> None:
    child = one_stage(Sleep(60), note.s(), id="child")
    nested = one_stage(RunWorkflow(child), id="nested")
    workflow = Workflow("w")
    throttled = note.s().options(name="t", throttle=Throttle("gate", rate=1, per=60))
    workflow.add_stage(
        Stage(
            "s",
            [
                RunWorkflow(nested),
                WaitForSignal("ok", timeout=90, default=None),
                ForEach("items", Sleep(60), note.s()),
                Repeat(Sleep(20), max_times=4),
                throttled,
                throttled,
            ],
            parallel=True,
        )
    )
    run = watched.submit(workflow, store={"items": [1, 2, 3]})
    watched.settle()
    run.pause()
    stands_still(watched, run)
    assert {watched.runner.get(one).status for one in watched.run_ids()} == {RunStatus.PAUSED}
    run.resume()
    watched.later(1)
    for _ in range(6):
        watched.later(60)
    assert run.status is RunStatus.COMPLETED
    assert len(done(run)) == 5


def test_a_child_run_that_begins_in_a_paused_run_is_held_from_its_beginning(
    watched: WatchedBench,
) -> None:
    class PausesMeanwhile(Middleware):
        def around_action(self, ctx: ActionContext, call_next: Callable[[], object]) -> object:
            if not ctx.phase:
                run.pause()
            return call_next()

    child = one_stage(note.s(), id="child")
    run = watched.submit(one_stage(RunWorkflow(child, take=["done"])).use(PausesMeanwhile()))
    watched.settle()
    below = watched.child(run)
    assert (run.status, below.status) == (RunStatus.PAUSED, RunStatus.PAUSED)
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["note"]


def test_a_child_run_that_was_paused_by_itself_stays_so(watched: WatchedBench) -> None:
    run = watched.settled(RunWorkflow(one_stage(Sleep(60), id="child")))
    below = watched.child(run)
    below.pause("its own")
    run.pause()
    run.resume()
    assert below.status is RunStatus.PAUSED
    below.resume()
    watched.later(60)
    assert run.status is RunStatus.COMPLETED


def test_a_child_run_may_be_let_go_on_by_itself(watched: WatchedBench) -> None:
    run = watched.settled(RunWorkflow(one_stage(Sleep(60), id="child")), note.s())
    run.pause()
    watched.child(run).resume()
    watched.later(60)
    assert watched.child(run).status is RunStatus.COMPLETED
    assert run.status is RunStatus.PAUSED
    run.resume()
    watched.settle()
    assert done(run) == ["note"]


def test_a_place_within_a_throttle_is_given_back_while_a_run_is_held(watched: WatchedBench) -> None:
    gate = Throttle("gate", concurrency=1)
    first = watched.submit(one_stage(meanwhile.s().options(throttle=gate)))
    others: list[Run] = []

    def queue_others() -> None:
        for _ in range(2):
            others.append(watched.submit(one_stage(note.s().options(throttle=gate))))
            watched.settle("another worker")
            assert states(others[-1]) == {"note": "waiting"}
        others[0].pause()

    HOOKS["now"] = queue_others
    watched.settle()
    second, third = others
    assert (first.status, third.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED)
    second.resume()
    watched.settle()
    assert second.status is RunStatus.COMPLETED


def test_a_run_that_its_throttle_holds_may_be_paused_too(watched: WatchedBench) -> None:
    workflow = Workflow("w", throttle=Throttle(concurrency=1))
    workflow.add_stage(Stage("s", [Sleep(60)]))
    first, second, third = (watched.submit(workflow) for _ in range(3))
    watched.settle()
    second.pause()
    watched.later(60)
    watched.later(60)
    assert [run.status for run in (first, second, third)] == ["completed", "paused", "completed"]
    second.resume()
    watched.settle()
    watched.later(60)
    assert second.status is RunStatus.COMPLETED


def test_hooks_wait_too_while_a_run_is_held(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(meanwhile.s()).use(After()))
    HOOKS["now"] = run.pause
    watched.settle()
    assert done(run) == ["meanwhile"]
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["meanwhile", "after completed"]


def test_a_failure_in_a_paused_run_is_compensated_when_it_goes_on(watched: WatchedBench) -> None:
    @action
    def breaks(ctx: ActionContext) -> None:
        run.pause()
        raise ValueError("meanwhile")

    run = watched.submit(one_stage(note.s().options(compensate=undo.s()), breaks.s()))
    watched.settle()
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert (run.status, done(run)) == (RunStatus.FAILED, ["note", "undo"])


def test_a_compensation_may_be_held_too(watched: WatchedBench) -> None:
    first = note.s().options(compensate=meanwhile.s().options(name="undo"))
    run = watched.submit(one_stage(note.s().options(compensate=undo.s()), first, fails.s()))
    HOOKS["now"] = run.pause
    watched.settle()
    assert done(run) == ["note", "note", "undo"]
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["note", "note", "undo", "undo"]
    assert run.result().compensated is True


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_a_paused_run_that_is_to_end_ends_with_its_hooks_and_its_compensation(
    watched: WatchedBench, how: str
) -> None:
    first = Stage("s", [note.s().options(compensate=undo.s()), Sleep("1d"), note.s()])
    workflow = Workflow("w")
    workflow.add_stage(first.use(After()))
    run = watched.submit(workflow, deadline=60)
    watched.settle()
    run.pause()
    if how == "cancel":
        run.cancel()
    watched.later(61)
    ended = RunStatus.CANCELLED if how == "cancel" else RunStatus.FAILED
    assert run.status is ended
    assert done(run) == ["note", f"after {ended}", "undo"]
    assert run.result().compensated is True


def test_what_runs_in_a_paused_run_that_is_cancelled_may_end_and_then_the_run_does(
    watched: WatchedBench,
) -> None:
    workflow = one_stage(meanwhile.s(), note.s()).use(After())
    run = watched.submit(workflow)

    def pause_and_cancel() -> None:
        run.pause()
        run.cancel()
        assert run.status is RunStatus.RUNNING

    HOOKS["now"] = pause_and_cancel
    watched.settle()
    assert run.status is RunStatus.CANCELLED
    assert done(run) == ["meanwhile", "after cancelled"]


def test_child_runs_of_a_paused_run_end_with_it(watched: WatchedBench) -> None:
    child = one_stage(Sleep("1d"), id="child").use(After())
    run = watched.settled(RunWorkflow(child))
    run.pause()
    run.cancel()
    watched.settle()
    below = watched.child(run)
    assert (run.status, below.status) == (RunStatus.CANCELLED, RunStatus.CANCELLED)
    assert done(below) == ["after cancelled"]


def test_the_plan_of_a_paused_run_may_be_edited(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(note.s(), note.s().options(name="b")))
    run.pause()
    with run.edit(reason="not that one") as plan:
        plan.actions["b"].disable()
        plan.stages["s"].add(note.s().options(name="c"))
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["note", "c"]


@pytest.mark.parametrize("moment", list(Moment))
def test_a_worker_may_die_while_its_run_is_held(watched: WatchedBench, moment: Moment) -> None:
    run = watched.submit(one_stage(note.s(), note.s().options(name="b")))
    watched.die_at = moment
    watched.one_step()
    run.pause()
    watched.bury()
    stands_still(watched, run)
    run.resume()
    watched.settle()
    assert done(run) == ["note", "b"]


def test_a_run_that_has_ended_is_neither_paused_nor_resumed(watched: WatchedBench) -> None:
    run = watched.settled(note.s())
    with pytest.raises(RunStateError, match="is completed already; it cannot be paused"):
        run.pause()
    with pytest.raises(RunStateError, match="is completed already; it cannot be resumed"):
        run.resume()
    run.delete()
    with pytest.raises(RunNotFoundError):
        run.pause()


def test_a_paused_run_is_forgotten_when_it_is_deleted(watched: WatchedBench) -> None:
    run = watched.settled(RunWorkflow(one_stage(Sleep(60), id="child")))
    run.pause()
    run.delete()
    assert not watched.run_ids()
    assert watched.state.client.zcard(watched.state.keys.of("wake")) == 0
