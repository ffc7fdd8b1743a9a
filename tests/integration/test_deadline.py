"""An action has so much time in all: over its tries, and whatever it waits for between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Action,
    ActionContext,
    ForEach,
    InvalidActionError,
    Repeat,
    Retry,
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
from tests.support.noting import fails, note
from tests.support.watched import done, last, one_stage, states

if TYPE_CHECKING:
    from tests.support.watched import WatchedBench

HOOKS: dict[str, Any] = {}


@action
def meanwhile(ctx: ActionContext) -> None:
    HOOKS["now"](ctx)


def test_an_action_that_is_tried_again_and_again_has_so_much_time_in_all(
    watched: WatchedBench,
) -> None:
    slow = fails.s().options(retry=Retry(100, delay=20, factor=1, jitter=0), deadline=70)
    run = watched.settled(slow, note.s())
    for _ in range(3):
        watched.later(20)
    assert run.status is RunStatus.SLEEPING
    assert "; to be done by 2024-01-01 00:01:" in str(run.why())
    watched.later(20)
    error = run.result().error
    assert error is not None
    assert str(error) == (
        "s/fails: DeadlineExceededError: not done within its deadline of 70 s in all"
    )
    assert error.cause is not None
    assert (error.cause.type, error.cause.message) == ("ValueError", "as it was told")
    assert run.result().actions[0].attempt == 4
    assert done(run) == []


WAITS = {
    "sleep": Sleep("1d"),
    "signal": WaitForSignal("ok"),
    "signal in time": WaitForSignal("ok", timeout="1d", default=None),
    "items": ForEach("items", note.s(), Sleep("1d")),
    "passes": Repeat(ForEach("items", Sleep("1d")), max_times=3),
    "child": RunWorkflow(one_stage(RunWorkflow(one_stage(note.s(), Sleep("1d"))))),
    "throttle": note.s().options(throttle=Throttle("shut", rate=1, per="1d")),
    "retry": fails.s().options(retry=Retry(3, delay=3000)),
}


@pytest.mark.parametrize("on_error", ["fail", "continue"])
@pytest.mark.parametrize("name", WAITS)
def test_whatever_an_action_waits_for_ends_at_its_deadline(
    watched: WatchedBench, name: str, on_error: Any
) -> None:
    watched.settled(note.s().options(throttle=Throttle("shut", rate=1, per="1d")))
    waits = WAITS[name].options(name="waits", deadline=60, on_error=on_error)
    run = watched.settled(waits, note.s().options(name="next"), store={"items": [1, 2]})
    watched.later(40)
    assert not run.status.is_terminal
    watched.later(30)
    assert run.status == ("failed" if on_error == "fail" else "completed")
    error = run.result().actions[0].error
    assert error is not None
    assert error.type == "DeadlineExceededError"
    assert states(run)["next"] == ("pending" if on_error == "fail" else "completed")
    everything = {watched.runner.get(one).status for one in watched.run_ids()}
    assert everything <= {run.status, RunStatus.CANCELLED, RunStatus.COMPLETED}
    keys = watched.state.keys
    assert watched.state.client.zcard(keys.of("wake")) == 0


def test_an_action_that_is_done_in_time_has_no_deadline_any_more(watched: WatchedBench) -> None:
    run = watched.settled(note.s().options(deadline=60), Sleep(120))
    watched.later(61)
    assert run.status is RunStatus.SLEEPING
    assert watched.state.client.zcard(watched.state.keys.of("wake")) == 1
    watched.later(60)
    assert run.status is RunStatus.COMPLETED


def test_the_time_counts_from_when_its_turn_comes(watched: WatchedBench) -> None:
    run = watched.settled(Sleep(100), WaitForSignal("ok").options(deadline=60))
    watched.later(100)
    watched.later(50)
    assert run.status is RunStatus.WAITING
    due = run.result().actions[1].deadline
    assert due is not None
    assert due - datetime(2024, 1, 1, tzinfo=UTC) < timedelta(seconds=170)
    watched.later(11)
    assert run.status is RunStatus.FAILED


def test_an_attempt_that_would_begin_too_late_does_not(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(note.s().options(deadline=60)))
    watched.server.clock.advance(61)
    if watched.post.messages:
        watched.step()
    watched.settle()
    assert run.status is RunStatus.FAILED
    assert "DeadlineExceededError" in str(run.result().error)
    assert done(run) == []


def test_what_runs_at_the_deadline_is_fenced_and_stopped(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(meanwhile.s().options(deadline=60), note.s()))

    def hang(ctx: ActionContext) -> None:
        assert ctx.deadline is not None
        ctx.store.append("done", "too late")
        watched.server.clock.advance((ctx.deadline - watched.server.clock.now).total_seconds())
        watched.tick()
        assert run.status is RunStatus.RUNNING  # its worker would end it
        watched.server.clock.advance(1)
        watched.tick()
        assert run.status is RunStatus.FAILED
        assert list(watched.state.renew(["w"])) == ["w"]

    HOOKS["now"] = hang
    watched.settle()
    assert (run.status, done(run)) == (RunStatus.FAILED, [])


def test_what_runs_below_at_the_deadline_is_fenced_and_stopped_too(watched: WatchedBench) -> None:
    whole = ForEach("items", meanwhile.s()).options(deadline=60, on_error="continue")
    run = watched.submit(one_stage(whole, note.s()), store={"items": [1]})

    def hang(ctx: ActionContext) -> None:
        watched.server.clock.advance(60)
        watched.tick()
        assert list(watched.state.renew(["w"])) == ["w"]

    HOOKS["now"] = hang
    watched.settle()
    assert done(run) == ["note"]
    assert states(run)["ForEach[0]/meanwhile"] == "cancelled"


def test_a_body_finds_the_earlier_one_of_its_deadlines(watched: WatchedBench) -> None:
    seen: list[float] = []

    def look(ctx: ActionContext) -> None:
        assert ctx.deadline is not None
        seen.append(ctx.deadline.timestamp() - watched.server.clock.seconds)

    HOOKS["now"] = look
    for own in (60, 6000):
        watched.submit(one_stage(meanwhile.s().options(deadline=own)), deadline=600)
    watched.settle()
    assert [round(one, -2) for one in sorted(seen)] == [100, 600]


def test_a_paused_run_keeps_the_deadlines_of_its_actions(watched: WatchedBench) -> None:
    run = watched.settled(WaitForSignal("ok").options(deadline=60, on_error="continue"), note.s())
    run.pause()
    watched.later(61)
    assert (run.status, states(run)["ok"]) == (RunStatus.PAUSED, "failed")
    run.resume()
    watched.settle()
    assert done(run) == ["note"]


def test_a_retried_run_has_all_of_the_time_again(watched: WatchedBench) -> None:
    run = watched.settled(WaitForSignal("ok", store_as="got").options(deadline=60))
    watched.later(61)
    run.retry()
    watched.settle()
    watched.later(50)
    assert run.status is RunStatus.WAITING
    run.signal("ok", "after all")
    watched.settle()
    assert run.store["got"] == "after all"


def test_of_what_was_cut_off_at_the_deadline_only_that_is_done_again(watched: WatchedBench) -> None:
    each = ForEach("items", note.s(), WaitForSignal("ok")).options(deadline=60)
    run = watched.settled(each, store={"items": [1, 2]})
    watched.later(61)
    assert run.status is RunStatus.FAILED
    run.retry()
    watched.settle()
    for _ in range(2):
        run.signal("ok")
    watched.settle()
    assert run.status is RunStatus.COMPLETED
    assert done(run) == ["note", "note"]


@pytest.mark.parametrize("moment", list(Moment))
def test_a_worker_may_die_and_the_time_goes_on(watched: WatchedBench, moment: Moment) -> None:
    run = watched.submit(one_stage(note.s().options(deadline=60), note.s()))
    watched.die_at = moment
    watched.settle()
    assert done(run) == ["note", "note"]


def test_an_operator_may_give_more_time_before_it_begins(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [Sleep(10), WaitForSignal("ok").options(deadline=60)]))
    run = watched.submit(workflow)
    watched.settle()
    with run.edit(reason="it takes longer") as plan:
        plan.actions["ok"].options(deadline=600)
    watched.later(10)
    watched.later(61)
    assert run.status is RunStatus.WAITING
    watched.later(600)
    assert run.status is RunStatus.FAILED
    assert last(run, "action.failed").change["type"] == "DeadlineExceededError"


@pytest.mark.usefixtures("fresh_registry")
def test_the_deadline_is_an_option_like_any_other() -> None:
    class Slow(Action, deadline="5m"):
        def execute(self, ctx: ActionContext) -> None: ...

    assert one_stage(Slow()).definition().stages[0].actions[0].deadline == 300
    workflow = one_stage(note.s().options(deadline="2h"))
    assert Workflow.from_json(workflow.to_json()).definition() == workflow.definition()
    assert workflow.definition().stages[0].actions[0].deadline == 7200
    for wrong in (0, -1, "soon"):
        with pytest.raises(InvalidActionError, match="deadline"):
            note.s().options(deadline=wrong)
