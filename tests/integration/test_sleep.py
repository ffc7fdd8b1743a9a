"""Time passes, and nothing is held meanwhile."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gostage_core import (
    ActionContext,
    Branch,
    ForEach,
    InvalidActionError,
    Repeat,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Workflow,
    condition,
    otherwise,
    when,
)
from gostage_core.attempt import Moment
from tests.support.bench import Bench
from tests.support.noting import fails, note
from tests.support.watched import done, last, one_stage, states

if TYPE_CHECKING:
    from tests.support.watched import WatchedBench


@pytest.mark.parametrize(
    "sleep",
    [
        Sleep("90m"), Sleep(5400), Sleep(seconds=5400), Sleep(minutes=90),
        Sleep(timedelta(hours=1.5)), Sleep(hours=1, minutes=30), Sleep("1h", seconds=1800),
    ],
    ids=repr,
)  # fmt: skip
def test_a_sleep_lasts_as_long_as_it_says(watched: WatchedBench, sleep: Sleep) -> None:
    run = watched.settled(sleep, note.s())
    assert run.status is RunStatus.SLEEPING
    watched.later(5399)
    assert done(run) == []
    watched.later(1)
    assert done(run) == ["note"]
    assert run.status is RunStatus.COMPLETED


@pytest.mark.parametrize("duration", [0, -1, "0s", "soon", 367 * 86_400, float("nan"), None])
def test_a_sleep_that_is_none_is_refused_where_it_is_made(duration: object) -> None:
    with pytest.raises(InvalidActionError, match="Sleep"):
        Sleep(duration)  # type: ignore[arg-type]


def test_who_asks_is_told_until_when(watched: WatchedBench) -> None:
    run = watched.settled(Sleep(days=2))
    assert re.search(r"s/Sleep sleeps until 2024-01-03 00:00:0\d UTC \(in 2 d\)", str(run.why()))
    assert last(run, "action.waiting").change["for"] == "timer"
    one = run.result().actions[0]
    assert (one.status, one.attempt) == ("sleeping", 1)


def test_a_sleeper_costs_one_timer_and_nothing_else(watched: WatchedBench) -> None:
    runs = [watched.submit(one_stage(Sleep("1d"))) for _ in range(50)]
    watched.settle()
    keys, client = watched.state.keys, watched.state.client
    assert client.zcard(keys.of("wake")) == len(runs)
    assert client.zcard(keys.of("sent")) == 0
    assert not any(watched.state.claims_of(process) for process in watched.state.working())
    watched.later(86_400)
    assert all(run.status is RunStatus.COMPLETED for run in runs)


def test_more_than_one_look_can_take_wake_at_one_moment(watched_once: WatchedBench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [Sleep(60)] * 700, parallel=True))
    run = watched_once.submit(workflow)
    while watched_once.post.messages:
        Bench.deliver(watched_once, watched_once.post.messages.popleft())
    watched_once.server.clock.advance(60)
    watched_once.rescuer.tick()
    assert len(watched_once.post.messages) == 700
    assert run.status is RunStatus.RUNNING


def test_a_run_is_sleeping_only_while_nothing_else_of_it_goes_on(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [Sleep(60), Sleep(120), note.s()], parallel=True))
    run = watched.submit(workflow)
    watched.settle()
    assert (run.status, done(run)) == (RunStatus.SLEEPING, ["note"])
    watched.later(60)
    assert run.status is RunStatus.SLEEPING
    watched.later(60)
    assert run.status is RunStatus.COMPLETED


def test_a_sleep_may_stand_anywhere(watched: WatchedBench) -> None:
    @condition
    def never(ctx: ActionContext) -> bool:
        return False

    inner = one_stage(Sleep(60), note.s(), id="inner")
    run = watched.settled(
        ForEach("items", Sleep(60), note.s()),
        Branch(when(never).then(), otherwise(Sleep(60), note.s())),
        Repeat(Sleep(60), note.s(), max_times=2),
        RunWorkflow(inner, take={"below": "done"}),
        note.s().options(name="end"),
        store={"items": [1, 2]},
    )
    for count in (0, 2, 3, 4, 5):
        assert len(done(run)) == count
        watched.later(60)
    assert len(done(run)) == 6
    assert run.status is RunStatus.COMPLETED
    assert run.store["below"] == ["note"]


@pytest.mark.parametrize("moment", list(Moment))
def test_a_worker_may_die_before_and_behind_a_sleep(watched: WatchedBench, moment: Moment) -> None:
    run = watched.submit(one_stage(Sleep(60), note.s()))
    watched.die_at = moment
    watched.settle()
    assert run.status is RunStatus.SLEEPING
    watched.die_at = moment
    watched.later(60)
    assert done(run) == ["note"]
    assert run.status is RunStatus.COMPLETED


def test_a_sleep_that_was_cut_off_begins_again_in_a_retry(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [Sleep(60), fails.s()], parallel=True))
    run = watched.submit(workflow)
    watched.settle()
    assert states(run) == {"Sleep": "cancelled", "fails": "failed"}
    watched.later(50)
    run.retry(skip=["fails"])
    watched.settle()
    watched.later(59)
    assert run.status is RunStatus.SLEEPING
    watched.later(1)
    assert run.status is RunStatus.COMPLETED


def test_a_sleep_that_is_over_is_not_slept_again_in_a_retry(watched: WatchedBench) -> None:
    run = watched.settled(Sleep(60), fails.s())
    watched.later(60)
    run.retry(skip=["fails"])
    watched.settle()
    assert run.status is RunStatus.COMPLETED


def test_a_sleeping_run_ends_at_once_when_it_is_cancelled(watched: WatchedBench) -> None:
    run = watched.settled(Sleep("30d"), note.s())
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    assert watched.state.client.zcard(watched.state.keys.of("wake")) == 0


def test_a_sleeping_run_fails_at_its_deadline(watched: WatchedBench) -> None:
    run = watched.settled(Sleep("2h"), deadline="1h")
    watched.later(3600)
    assert run.status is RunStatus.FAILED
    assert "DeadlineExceededError" in str(run.result().error)
