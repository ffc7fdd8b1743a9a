"""What is counted of a cluster: outcomes, durations, and the work that is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from gostage_core import ForEach, NoRetry, Retry, Sleep, Stage, Workflow, action
from gostage_core.numbers import Durations, read_numbers
from gostage_core.state.answers import Claim, CommitParts
from tests.support.counting import check_numbers
from tests.support.invariants import Snapshot
from tests.support.turnstile import server_of

if TYPE_CHECKING:
    from gostage_core import ActionContext, Run
    from gostage_core.numbers import ActionNumbers, Numbers, QueueNumbers
    from tests.support.bench import Bench


@pytest.fixture
def bench(memory_bench: Bench) -> Bench:
    """Time stands still unless a test lets it pass."""
    return memory_bench


@action
def good(ctx: ActionContext) -> None:
    """Do nothing."""


@action
def bad(ctx: ActionContext) -> None:
    """Fail."""
    raise NoRetry("no")


@action
def shaky(ctx: ActionContext) -> None:
    """Fail at first."""
    if ctx.attempt == 1:
        raise ValueError("not yet")


def of(*actions: Any, id: str = "w") -> Workflow:
    workflow = Workflow(id)
    workflow.add_stage(Stage("s", actions))
    return workflow


def numbers_of(bench: Bench) -> Numbers:
    with Celery(broker="memory://", set_as_current=False) as app:
        return read_numbers(bench.state, app)


def action_of(bench: Bench, name: str, workflow: str = "w") -> ActionNumbers:
    [found] = [
        one for one in numbers_of(bench).actions if (one.workflow, one.action) == (workflow, name)
    ]
    return found


def queue_of(bench: Bench, name: str) -> QueueNumbers:
    return next(one for one in numbers_of(bench).queues if one.name == name)


def outcomes_of(bench: Bench, name: str) -> dict[str, int]:
    return {outcome: n for outcome, n in action_of(bench, name).outcomes.items() if n}


def check(bench: Bench) -> None:
    runs = [Snapshot(bench.state, run.run_id) for run in bench.runner.list(limit=100)]
    check_numbers(bench.state, runs)


def work(bench: Bench, run: Run, seconds: float) -> None:
    """Have a worker take the next action, and so long for it."""
    message = bench.post.messages.popleft()
    claim = bench.state.claim(run.run_id, message.entry, nonce="n", process="w", slot="1", mark="")
    assert isinstance(claim, Claim)
    server_of(bench).clock.advance(seconds)
    bench.post.send(run.run_id, bench.state.commit(claim, have="", parts=CommitParts()).next)


def test_each_end_of_an_action_is_counted_by_workflow_and_name(bench: Bench) -> None:
    bench.drain(bench.submit(of(good.s(), shaky.s().options(retry=Retry(2)), bad.s(), good.s())))
    bench.drain(bench.submit(of(good.s(), id="other-one")))
    assert outcomes_of(bench, "good") == {"completed": 1}
    assert outcomes_of(bench, "shaky") == {"completed": 1, "retried": 1}
    assert outcomes_of(bench, "bad") == {"failed": 1}
    assert action_of(bench, "good", "other-one").outcomes["completed"] == 1


def test_what_is_taken_out_of_a_plan_is_counted_when_it_is(bench: Bench) -> None:
    run = bench.submit(of(good.s(), bad.s(), shaky.s(), good.s().options(name="last")))
    with run.edit(reason="not wanted") as plan:
        plan.actions["bad"].disable()
        plan.actions["shaky"].remove()
    bench.step()
    run.cancel("enough")
    assert outcomes_of(bench, "bad") == {"skipped": 1}
    assert outcomes_of(bench, "shaky") == {"removed": 1}
    assert outcomes_of(bench, "last") == {"cancelled": 1}
    check(bench)


def test_an_attempt_whose_worker_dies_is_a_loss_and_what_completes_after_it_a_recovery(
    bench: Bench,
) -> None:
    run = bench.submit(of(good.s()))
    message = bench.post.messages.popleft()
    bench.state.claim(run.run_id, message.entry, nonce="n", process="w9", slot="1", mark="")
    bench.rescuer.lost("w9")
    assert (numbers_of(bench).lease_losses, numbers_of(bench).recoveries) == (1, 0)
    bench.drain(run)
    assert (numbers_of(bench).lease_losses, numbers_of(bench).recoveries) == (1, 1)


def test_a_message_that_is_sent_again_is_counted(bench: Bench) -> None:
    bench.submit(of(good.s()))
    bench.post.messages.clear()
    for _ in range(3):
        bench.pass_time()
    assert numbers_of(bench).resends == len(bench.post.messages) > 0


def test_durations_are_those_of_attempts_that_completed_their_action(bench: Bench) -> None:
    run = bench.submit(of(*[good.s()] * 3))
    for seconds in (0.5, 1.0, 100.0):
        work(bench, run, seconds)
    durations = action_of(bench, "good").durations
    assert (durations.count, durations.seconds) == (3, 101.5)
    assert durations.median == pytest.approx(1.0, rel=0.5)


def test_planned_work_is_told_by_queue_in_actions_and_by_past_medians(bench: Bench) -> None:
    slow = good.s().options(name="slow", queue="heavy")
    run = bench.submit(of(*[slow] * 5, good.s(), good.s()))
    assert queue_of(bench, "heavy").planned_actions == 5
    assert queue_of(bench, "heavy").planned_seconds == 0, "nothing is known yet"
    for _ in range(3):
        work(bench, run, 8.0)
    heavy, usual = queue_of(bench, "heavy"), queue_of(bench, bench.settings.namespace)
    assert heavy.planned_actions == 2
    assert heavy.planned_seconds == pytest.approx(16, rel=0.5)
    assert usual.planned_actions == 2
    assert usual.planned_seconds == pytest.approx(16, rel=0.5), "as all that there are"
    run.delete()
    assert [one.planned_actions for one in numbers_of(bench).queues] == [0, 0]


def test_what_a_run_leaves_undone_is_planned_again_when_it_is_retried(bench: Bench) -> None:
    run = bench.submit(of(bad.s(), good.s(), good.s()))
    bench.drain(run)
    assert action_of(bench, "good").planned == 0
    run.retry(skip=["bad"])
    assert action_of(bench, "good").planned == 2
    bench.drain(run)
    assert action_of(bench, "good").planned == 0
    assert bench.state.client.exists(bench.state.keys.of("left", run.run_id)) == 0


def test_a_stage_that_is_disabled_is_not_planned_until_it_is_enabled_again(bench: Bench) -> None:
    workflow = of(Sleep(hours=1))
    workflow.add_stage(Stage("later", [good.s(), good.s()]))
    run = bench.submit(workflow)
    for change, planned in (("disable", 0), ("enable", 2), ("remove", 0)):
        with run.edit(reason="x") as plan:
            getattr(plan.stages["later"], change)()
        assert action_of(bench, "good").planned == planned
        check(bench)


def test_a_fork_plans_what_it_has_to_do_and_takes_nothing_from_its_original(bench: Bench) -> None:
    run = bench.submit(of(good.s(), bad.s(), good.s()))
    bench.drain(run)
    run.fork(at="bad")
    assert (action_of(bench, "good").planned, action_of(bench, "bad").planned) == (1, 1)
    check(bench)


def test_entries_that_sleep_or_wait_are_counted_and_are_not_planned(bench: Bench) -> None:
    run = bench.submit(of(Sleep(hours=1)))
    bench.submit(of(ForEach("items", good.s()), id="each"), store={"items": [1, 2]})
    for _ in range(2):
        bench.step()
    entries = numbers_of(bench).entries
    assert (entries.sleeping, entries.waiting) == (1, 1)
    assert action_of(bench, "Sleep").planned == 0
    assert action_of(bench, "good", "each").planned == 2
    run.cancel("enough")
    assert numbers_of(bench).entries.sleeping == 0


def test_a_run_that_an_earlier_version_wrote_takes_nothing_from_what_is_planned(
    bench: Bench,
) -> None:
    old, new = bench.submit(of(good.s(), good.s())), bench.submit(of(good.s(), good.s()))
    bench.state.client.delete(bench.state.keys.of("left", old.run_id))
    bench.state.client.hincrby(bench.state.keys.of("numbers"), 'p["good"]w', -2)
    assert action_of(bench, "good").planned == 2
    bench.drain(old)
    bench.drain(new)
    assert outcomes_of(bench, "good") == {"completed": 4}
    assert action_of(bench, "good").planned == 0


def test_what_is_too_much_to_be_counted_by_name_is_counted_by_queue(bench: Bench) -> None:
    names = [good.s().options(name=f"made-up-{n}", queue=f"q{n % 2}") for n in range(1_300)]
    run = bench.submit(of(*names))
    numbers = numbers_of(bench)
    others = [one for one in numbers.actions if one.workflow == "other"]
    assert len(numbers.actions) == 1_002
    assert {(one.action, one.queue) for one in others} == {("other", "q0"), ("other", "q1")}
    assert {one.name: one.planned_actions for one in numbers.queues if one.planned_actions} == {
        "q0": 650,
        "q1": 650,
    }
    assert sum(one.planned for one in others) == 300
    for _ in range(2):
        bench.step()
    run.delete()
    numbers = numbers_of(bench)
    assert [one.planned for one in numbers.actions if one.planned] == []
    assert sum(one.outcomes["completed"] for one in numbers.actions) == 2


def test_damaged_numbers_stop_no_run_and_are_left_out(bench: Bench) -> None:
    client, key = bench.state.client, bench.state.keys.of("numbers")
    client.hset(key, mapping={'u["good"]w': "many", "c1[": "1", 'p["good"]w': "x"})
    assert bench.drain(bench.submit(of(good.s()))).status == "completed"
    assert action_of(bench, "good").outcomes["completed"] == 1
    client.delete(key)
    client.set(key, "no hash")
    assert bench.drain(bench.submit(of(good.s()))).status == "completed"


@pytest.mark.parametrize(
    ("counts", "seconds", "median"),
    [
        ({}, 0.0, None),
        ({0: 4}, 0.002, 0.0005),
        ({10: 1, 11: 2, 12: 1}, 6.0, 1.536),
        ({25: 2}, 40_000.0, 20_000.0),
        ({25: 1}, 1.0, 16_777.216),
    ],
)
def test_a_median_lies_within_its_span(
    counts: dict[int, int], seconds: float, median: float | None
) -> None:
    assert Durations(counts, seconds).median == (median and pytest.approx(median))
