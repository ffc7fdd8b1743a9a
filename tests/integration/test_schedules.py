"""Schedules: of each time there is one run, however many workers there are and whoever dies."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import ActionContext, RunStatus, Sleep, Stage, Throttle, Workflow, action
from gostage_core.errors import (
    BrokerUnavailableError,
    CorruptScheduleError,
    InvalidKeyError,
    InvalidScheduleError,
    InvalidWorkflowError,
    NotStorableError,
    ScheduleExistsError,
    ScheduleNotFoundError,
    ValueTooLargeError,
)
from gostage_core.rescuer import Rescuer
from gostage_core.scheduling.firing import Firing
from gostage_core.testing.memory.clock import START
from tests.support.bench import Bench, Crash
from tests.support.turnstile import server_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run, RunSummary, Schedule
    from gostage_core.settings import Settings

DAY = 86_400


@pytest.fixture
def bench(memory_bench: Bench) -> Iterator[Bench]:
    """Time stands still at the beginning of 2024 unless a test lets it pass.

    Nothing is left of schedules when they and their runs are gone.
    """
    yield memory_bench
    for schedule in memory_bench.runner.schedules:
        schedule.remove()
    for run in memory_bench.runner.list(limit=10_000):
        memory_bench.runner.get(run.run_id).delete()
    keys = memory_bench.state.client.scan_iter("*")
    assert [key for key in keys if b"schedule" in key] == []


@action
def note(ctx: ActionContext, word: str = "") -> None:
    """Append a word to what was done."""
    ctx.store.append("done", word)


@action
def charge(ctx: ActionContext) -> None:
    """Do something that may have to be undone."""


def of(*actions: Any) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions or [note.s()]))
    return workflow


def slow() -> Workflow:
    """Runs of it go on until a test ends them."""
    return of(Sleep(days=300))


def add(bench: Bench, name: str = "s", workflow: Workflow | None = None, **how: Any) -> Schedule:
    if "cron" not in how:
        how.setdefault("every", 60)
    return bench.runner.schedules.add(name, workflow or of(), **how)


def pass_time(bench: Bench, seconds: float, ticks: int = 1) -> None:
    server_of(bench).clock.advance(seconds)
    for _ in range(ticks):
        bench.rescuer.tick()


def runs_of(bench: Bench, name: str = "s") -> list[RunSummary]:
    """Return the runs of a schedule, the oldest first."""
    return sorted(
        bench.runner.list(tag=f"schedule:{name}", limit=10_000), key=lambda run: run.submitted_at
    )


def ids_of(bench: Bench, name: str = "s") -> list[str]:
    return [run.run_id for run in runs_of(bench, name)]


def last_run(bench: Bench, name: str = "s") -> Run:
    return bench.runner.get(ids_of(bench, name)[-1])


def offset_of(run_id: str) -> int:
    """Return for how many seconds after the beginning of time a run is."""
    day, hour, minute, second = (int(run_id[-i : -i + 2 or None]) for i in (10, 7, 5, 3))
    return (day - 1) * DAY + hour * 3600 + minute * 60 + second


# One run for each time


def test_a_run_is_submitted_at_each_time_and_not_before(bench: Bench) -> None:
    schedule = add(bench, every=60, overlap="allow")
    pass_time(bench, 59)
    assert runs_of(bench) == []
    assert schedule.info.next_at.timestamp() == START + 60  # type: ignore[union-attr]
    pass_time(bench, 1, ticks=3)
    assert ids_of(bench) == ["s-20240101T000100Z"]
    pass_time(bench, 60, ticks=3)
    assert ids_of(bench) == ["s-20240101T000100Z", "s-20240101T000200Z"]
    info = schedule.info
    assert (info.fired, info.skipped, info.missed) == (2, 0, 0)


def test_a_run_has_what_the_schedule_says(bench: Bench) -> None:
    schedule = bench.runner.schedules.add(
        "nightly", of(), cron="30 3 * * *", timezone="Europe/Berlin", store={"url": "x", "n": 3},
        tags=["extra"], deadline="1h", concurrency_key="ana", actor="bob",
    )  # fmt: skip
    assert schedule.info.next_at.isoformat() == "2024-01-01T02:30:00+00:00"  # type: ignore[union-attr]
    pass_time(bench, 2.5 * 3600)
    [run] = runs_of(bench, "nightly")
    assert run.run_id == "nightly-20240101T023000Z"
    assert set(run.tags) == {"extra", "schedule:nightly"}
    assert run.deadline.timestamp() == START + 3.5 * 3600  # type: ignore[union-attr]
    handle = bench.runner.get(run.run_id)
    assert (handle.store["url"], handle.store["n"]) == ("x", 3)
    assert handle.journal()[0].actor == "schedule nightly"
    assert bench.state.client.hget(bench.state.keys.of("run", run.run_id), "group") == b"ana"
    assert bench.drain(handle).status is RunStatus.COMPLETED
    assert (schedule.info.last_run_id, schedule.info.fired) == (run.run_id, 1)


def workers(bench: Bench, count: int) -> list[Rescuer]:
    return [
        Rescuer(
            bench.state, bench.post, lambda _queue: 0,
            fire=Firing(bench.state, bench.post.send).fire,
        )
        for _ in range(count)
    ]  # fmt: skip


class Unlucky:
    """Has firing rescuers overtake each other, die at any moment, and lose their answers."""

    def __init__(self, bench: Bench, chance: Random) -> None:
        self.bench = bench
        self.chance = chance
        self.deaths = 0
        self._fire = bench.state.fire
        bench.state.fire = self.fire  # type: ignore[method-assign]

    def fire(self, run_id: str, name: str, **what: Any) -> Any:
        luck = self.chance.random()
        if luck < 0.2:
            self.die()
        if luck < 0.4:
            self._fire(run_id, name, **what)  # its answer is lost, and it asks again
        elif luck < 0.5:
            other = Firing(self.bench.state, self.bench.post.send)
            with suppress(Crash):
                other.fire(name)
        answer = self._fire(run_id, name, **what)
        if luck > 0.9:
            self.die()
        return answer

    def die(self) -> None:
        self.deaths += 1
        raise Crash


@pytest.mark.parametrize("seed", range(30))
def test_there_is_one_run_for_each_time_whoever_dies_and_overtakes(bench: Bench, seed: int) -> None:
    chance = Random(seed)
    schedule = add(bench, every=7, overlap="allow", catch_up="all")
    unlucky = Unlucky(bench, chance)
    rescuers = workers(bench, 3)
    for _ in range(60):
        server_of(bench).clock.advance(chance.choice([0.5, 1, 3, 9]))
        with suppress(Crash):
            chance.choice(rescuers).tick()
    unlucky.chance = Random(0)
    bench.state.fire = unlucky._fire  # type: ignore[method-assign]
    for _ in range(60):
        pass_time(bench, 0.05, ticks=3)
        server_of(bench).clock.advance(2)  # what somebody held who died
    elapsed = server_of(bench).clock.seconds - START
    wanted = list(range(7, int(elapsed) + 1, 7))
    found = sorted(map(offset_of, ids_of(bench)))
    assert found[: len(wanted) - 1] == wanted[: len(wanted) - 1]
    assert len(found) == schedule.info.fired
    assert schedule.info.missed == 0
    assert unlucky.deaths > 0


def test_workers_that_fire_at_the_same_moment_submit_one_run(
    settings: Settings, fresh_registry: None
) -> None:
    bench = Bench(settings)
    schedule = add(bench, every=1, overlap="allow", catch_up="all")
    key = bench.state.keys.of("schedule", "s")
    now = bench.state.server_ms()
    begin = now - 20_000
    timing = json.dumps({"every": 1, "anchor": begin})
    bench.state.client.hset(key, mapping={"timing": timing, "due": begin + 1_000})
    rounds, count = 15, 8
    barrier = threading.Barrier(count)

    def worker() -> None:
        firing = Firing(bench.state, lambda *_: None)
        for _ in range(rounds):
            barrier.wait(timeout=30)
            firing.fire("s")

    threads = [threading.Thread(target=worker) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    fired = schedule.info.fired
    assert rounds <= fired <= 21
    assert len(ids_of(bench)) == len(set(ids_of(bench))) == fired
    bench.close()


def test_a_worker_that_has_read_what_another_has_dealt_with_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = add(bench, every=60)
    before = bench.state.scheduled("s")
    pass_time(bench, 60)
    told = schedule.info
    monkeypatch.setattr(bench.state, "scheduled", lambda _name, **_: before)
    Firing(bench.state, bench.post.send).fire("s")
    monkeypatch.undo()
    assert schedule.info == told
    assert len(runs_of(bench)) == 1


def test_a_worker_that_dies_between_reading_and_submitting_delays_the_run_by_seconds(
    bench: Bench,
) -> None:
    add(bench, every=60)
    fire, bench.state.fire = bench.state.fire, dies  # type: ignore[method-assign,assignment]
    with suppress(Crash):
        pass_time(bench, 60)
    bench.state.fire = fire  # type: ignore[method-assign]
    pass_time(bench, 1)
    assert runs_of(bench) == [], "it is held for whoever has read it"
    pass_time(bench, 1)
    assert ids_of(bench) == ["s-20240101T000100Z"]


def dies(*_: object, **__: object) -> Any:
    raise Crash


def test_no_time_is_lost_while_workers_are_slow_for_less_than_a_minute(bench: Bench) -> None:
    schedule = add(bench, every=2, overlap="allow")
    pass_time(bench, 59, ticks=40)
    assert sorted(map(offset_of, ids_of(bench))) == list(range(2, 59, 2))
    assert schedule.info.missed == 0


def test_hundreds_of_schedules_may_be_due_at_one_moment(bench: Bench) -> None:
    for number in range(450):
        add(bench, f"s{number}", cron="@hourly")
    pass_time(bench, 3600)
    assert len(bench.runner.list(workflow="w", limit=1_000)) == 450


def test_a_message_that_cannot_be_sent_loses_no_run(bench: Bench) -> None:
    add(bench, every=60)

    def refuses(*_: object) -> None:
        raise BrokerUnavailableError("away")

    rescuer = Rescuer(
        bench.state, bench.post, lambda _queue: 0, fire=Firing(bench.state, refuses).fire
    )
    server_of(bench).clock.advance(60)
    rescuer.tick()
    [run] = ids_of(bench)
    pass_time(bench, 5)
    assert bench.drain(bench.runner.get(run)).status is RunStatus.COMPLETED


def test_an_id_that_somebody_has_taken_costs_that_time_and_no_other(bench: Bench) -> None:
    schedule = add(bench, every=60)
    bench.submit(of(), run_id="s-20240101T000100Z")
    pass_time(bench, 60)
    pass_time(bench, 60)
    assert ids_of(bench) == ["s-20240101T000200Z"]
    assert (schedule.info.fired, schedule.info.missed) == (1, 1)


# While the last run goes on


def test_skip_leaves_times_out_while_the_last_run_goes_on(bench: Bench) -> None:
    schedule = add(bench, workflow=slow(), every=60)
    for _ in range(4):
        pass_time(bench, 60)
    assert ids_of(bench) == ["s-20240101T000100Z"]
    assert (schedule.info.fired, schedule.info.skipped) == (1, 3)
    last_run(bench).cancel()
    pass_time(bench, 59)
    assert len(ids_of(bench)) == 1, "what was left out is not made up for"
    pass_time(bench, 1)
    assert ids_of(bench)[1:] == ["s-20240101T000500Z"]


def test_queue_puts_one_run_off_until_the_last_one_has_ended(bench: Bench) -> None:
    schedule = add(bench, workflow=slow(), every=60, overlap="queue")
    for _ in range(4):
        pass_time(bench, 60)
    assert (schedule.info.fired, schedule.info.skipped) == (1, 2)
    last_run(bench).cancel()
    pass_time(bench, 1)
    assert ids_of(bench)[1:] == ["s-20240101T000400Z"], "the last that was put off"
    pass_time(bench, 1, ticks=3)
    assert schedule.info.fired == 2
    pass_time(bench, 60)
    assert schedule.info.fired == 2, "and that one goes on now"
    last_run(bench).cancel()
    pass_time(bench, 0)
    assert schedule.info.fired == 3


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_what_was_put_off_is_submitted_however_the_last_run_ends(bench: Bench, how: str) -> None:
    schedule = add(bench, workflow=slow(), every=60, overlap="queue")
    pass_time(bench, 60)
    pass_time(bench, 60)
    getattr(last_run(bench), how)()
    pass_time(bench, 0)
    assert schedule.info.fired == 2


def test_allow_submits_all_the_same(bench: Bench) -> None:
    schedule = add(bench, workflow=slow(), every=60, overlap="allow")
    for _ in range(4):
        pass_time(bench, 60)
    assert (schedule.info.fired, schedule.info.skipped) == (4, 0)


def test_cancel_ends_the_last_run_and_submits_the_next(bench: Bench) -> None:
    schedule = add(bench, workflow=of(note.s(), Sleep(days=3)), every=60, overlap="cancel")
    pass_time(bench, 60)
    first = last_run(bench)
    bench.step()
    bench.step()
    pass_time(bench, 60)
    assert first.status is RunStatus.CANCELLED
    assert schedule.info.fired == 2
    assert "by schedule s: the next run is due" in str(first.why())


def test_cancel_ends_what_runs_on_beyond_the_grace(bench: Bench) -> None:
    add(bench, workflow=of(note.s()), every=60, overlap="cancel")
    pass_time(bench, 60)
    first = last_run(bench)
    [message] = bench.post.messages
    bench.state.claim(first.run_id, message.entry, nonce="n", process="hangs", slot="t", mark="")
    bench.state.renew(["hangs"])
    for _ in range(50):
        server_of(bench).clock.advance(2)
        bench.state.renew(["hangs"])
        bench.rescuer.tick()
    assert first.status is RunStatus.CANCELLED


def test_a_cancelled_run_gives_its_place_to_the_next_of_the_schedule(bench: Bench) -> None:
    workflow = Workflow("w", throttle=Throttle(concurrency=1))
    workflow.add_stage(Stage("s", [Sleep(days=3)]))
    schedule = add(bench, workflow=workflow, every=60, overlap="cancel")
    pass_time(bench, 60)
    pass_time(bench, 60)
    assert schedule.info.fired == 2
    assert bench.post.messages[-1].run_id == "s-20240101T000200Z"


# Times at which no worker was there


AWAY = 10 * 60 + 30


def test_last_makes_up_for_the_last_time_alone(bench: Bench) -> None:
    schedule = add(bench, every=60, overlap="allow")
    pass_time(bench, AWAY, ticks=20)
    assert ids_of(bench) == ["s-20240101T001000Z"]
    assert (schedule.info.fired, schedule.info.missed) == (1, 9)
    assert schedule.info.next_at.timestamp() == START + 660  # type: ignore[union-attr]


def test_all_makes_up_for_each_one_after_another(bench: Bench) -> None:
    schedule = add(bench, every=60, overlap="allow", catch_up="all")
    pass_time(bench, AWAY, ticks=20)
    assert sorted(map(offset_of, ids_of(bench))) == list(range(60, 601, 60))
    assert (schedule.info.fired, schedule.info.missed) == (10, 0)


def test_none_makes_up_for_what_is_no_more_than_a_minute_ago(bench: Bench) -> None:
    schedule = add(bench, cron="*/5 * * * *", overlap="allow", catch_up="none")
    pass_time(bench, AWAY, ticks=20)
    assert ids_of(bench) == ["s-20240101T001000Z"]
    pass_time(bench, 6 * 60, ticks=20)
    assert len(ids_of(bench)) == 1, "the one at 00:15 was a minute and a half ago"
    assert (schedule.info.fired, schedule.info.missed) == (1, 2)
    assert schedule.info.next_at.timestamp() == START + 20 * 60  # type: ignore[union-attr]


def test_what_was_missed_before_the_window_is_left_out(bench: Bench) -> None:
    schedule = add(bench, every=60, overlap="allow", catch_up="all", window=150)
    pass_time(bench, AWAY, ticks=20)
    assert sorted(map(offset_of, ids_of(bench))) == [480, 540, 600]
    assert (schedule.info.fired, schedule.info.missed) == (3, 7)


def test_the_last_time_is_left_out_too_if_it_was_before_the_window(bench: Bench) -> None:
    schedule = add(bench, cron="@daily", window="1h")
    pass_time(bench, DAY + 2 * 3600)
    assert runs_of(bench) == []
    assert (schedule.info.fired, schedule.info.missed) == (0, 1)
    pass_time(bench, 22 * 3600)
    assert ids_of(bench) == ["s-20240103T000000Z"]


def test_a_window_of_nothing_leaves_no_time_out_at_which_workers_are_there(bench: Bench) -> None:
    add(bench, every=60, window=0)
    pass_time(bench, 60.5)
    assert ids_of(bench) == ["s-20240101T000100Z"]


@pytest.mark.parametrize("how", [{"every": 1}, {"cron": "* * * * *"}])
def test_a_month_without_workers_is_made_up_for_at_the_last_time(
    bench: Bench, how: dict[str, Any]
) -> None:
    schedule = add(bench, overlap="allow", **how)
    pass_time(bench, 30 * DAY + 30, ticks=5)
    last = "s-20240131T000030Z" if "every" in how else "s-20240131T000000Z"
    assert ids_of(bench) == [last]
    assert schedule.info.missed >= 10_000


# Operators


def test_a_paused_schedule_submits_nothing_and_makes_up_for_nothing(bench: Bench) -> None:
    schedule = add(bench, every=60, overlap="allow", catch_up="all")
    pass_time(bench, 60)
    schedule.pause("maintenance", actor="ana")
    info = schedule.info
    assert (info.paused_by, info.paused_reason, info.next_at) == ("ana", "maintenance", None)
    schedule.pause("again", actor="bob")
    assert schedule.info.paused_by == "ana", "the first one counts"
    pass_time(bench, 600, ticks=5)
    assert len(ids_of(bench)) == 1
    schedule.resume()
    schedule.resume()
    pass_time(bench, 59, ticks=5)
    assert len(ids_of(bench)) == 1
    pass_time(bench, 1, ticks=5)
    assert ids_of(bench)[1:] == ["s-20240101T001200Z"]


def test_a_schedule_may_be_paused_from_the_start(bench: Bench) -> None:
    schedule = add(bench, every=60, paused=True, actor="ana")
    pass_time(bench, 120)
    assert runs_of(bench) == []
    assert schedule.info.paused_by == "ana"
    schedule.resume()
    pass_time(bench, 60)
    assert len(runs_of(bench)) == 1


@pytest.mark.parametrize("what", ["pause", "remove"])
def test_who_is_held_or_removed_while_it_is_due_submits_nothing(bench: Bench, what: str) -> None:
    schedule = add(bench, every=60)
    fire = bench.state.fire

    def late(*args: Any, **options: Any) -> Any:
        getattr(schedule, what)()
        return fire(*args, **options)

    bench.state.fire = late  # type: ignore[method-assign]
    pass_time(bench, 60)
    assert runs_of(bench) == []
    assert (what == "remove") == ("s" not in bench.runner.schedules)


def test_what_takes_the_place_while_it_is_due_has_its_own_run_at_that_time(bench: Bench) -> None:
    schedule = add(bench, every=60)
    fire = bench.state.fire

    def late(*args: Any, **options: Any) -> Any:
        bench.state.fire = fire  # type: ignore[method-assign]
        add(bench, workflow=of(note.s("new")), every=60, replace=True)
        return fire(*args, **options)

    bench.state.fire = late  # type: ignore[method-assign]
    pass_time(bench, 60, ticks=3)
    assert ids_of(bench) == ["s-20240101T000100Z"]
    assert schedule.info.fired == 1


def test_a_removed_schedule_is_gone_and_its_runs_stay(bench: Bench) -> None:
    schedule = add(bench, every=60)
    pass_time(bench, 60)
    schedule.remove()
    assert list(bench.runner.schedules) == []
    assert len(runs_of(bench)) == 1
    left = [key for key in bench.state.client.scan_iter("*") if b"schedule" in key]
    assert left == [bench.state.keys.of("tag", "schedule:s").encode()]
    for lost in (
        schedule.remove, schedule.pause, schedule.resume, schedule.trigger, schedule.next_times,
        lambda: schedule.info, lambda: bench.runner.schedules["s"],
    ):  # fmt: skip
        with pytest.raises(ScheduleNotFoundError, match="no schedule 's'"):
            lost()


def test_a_run_is_triggered_whatever_the_times_and_the_last_run(bench: Bench) -> None:
    schedule = add(bench, workflow=slow(), every=60)
    pass_time(bench, 60)
    run = schedule.trigger("now", actor="ana")
    assert run.status is RunStatus.PENDING
    assert run.run_id.startswith("s-20240101T000100Z-")
    assert (run.journal()[0].actor, run.journal()[0].reason) == ("ana", "now")
    info = schedule.info
    assert (info.fired, info.last_run_id) == (2, run.run_id)
    assert info.next_at.timestamp() == START + 120  # type: ignore[union-attr]
    schedule.pause()
    assert schedule.trigger().run_id != run.run_id


def test_a_triggered_run_takes_no_place_of_one_that_was_put_off(bench: Bench) -> None:
    schedule = add(bench, workflow=slow(), every=60, overlap="queue")
    pass_time(bench, 60)
    pass_time(bench, 60)
    by_hand = schedule.trigger()
    bench.runner.get("s-20240101T000100Z").cancel()
    pass_time(bench, 1)
    assert schedule.info.fired == 2, "the triggered run is the last one now, and goes on"
    by_hand.cancel()
    pass_time(bench, 1)
    assert "s-20240101T000200Z" in ids_of(bench)


def test_a_trigger_of_what_is_removed_meanwhile_is_an_error(bench: Bench) -> None:
    schedule = add(bench)
    fire = bench.state.fire

    def late(*args: Any, **options: Any) -> Any:
        schedule.remove()
        return fire(*args, **options)

    bench.state.fire = late  # type: ignore[method-assign]
    with pytest.raises(ScheduleNotFoundError):
        schedule.trigger()
    assert runs_of(bench) == []


def test_a_trigger_whose_answer_is_lost_submits_one_run(bench: Bench) -> None:
    schedule = add(bench)
    fire = bench.state.fire

    def twice(*args: Any, **options: Any) -> Any:
        fire(*args, **options)
        return fire(*args, **options)

    bench.state.fire = twice  # type: ignore[method-assign]
    run = schedule.trigger()
    assert ids_of(bench) == [run.run_id]
    assert schedule.info.fired == 1


def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(bench: Bench) -> None:
    add(bench, every=60)
    with pytest.raises(ScheduleExistsError, match="'s' already"):
        add(bench, every=90)
    assert bench.runner.schedules["s"].info.timing == "every 0:01:00"
    add(bench, every=90, replace=True)
    assert bench.runner.schedules["s"].info.timing == "every 0:01:30"


def test_who_replaces_a_schedule_at_each_deployment_does_not_move_its_times(bench: Bench) -> None:
    for _ in range(10):
        add(bench, every=60, replace=True)
        pass_time(bench, 25)
    assert ids_of(bench)[:1] == ["s-20240101T000100Z"]
    assert bench.runner.schedules["s"].info.next_at.timestamp() == START + 300  # type: ignore[union-attr]
    pass_time(bench, 60)
    info = bench.runner.schedules["s"].info
    assert info.fired + info.skipped == 5


def test_a_schedule_that_is_replaced_while_it_is_paused_stays_paused(bench: Bench) -> None:
    add(bench, every=60).pause("an incident", actor="ana")
    schedule = add(bench, every=60, replace=True)
    pass_time(bench, 120)
    assert (schedule.info.paused_by, schedule.info.paused_reason) == ("ana", "an incident")
    assert runs_of(bench) == []
    due = bench.state.client.zscore(bench.state.keys.of("schedules"), "s")
    assert due == float("inf")  # no worker is asked to look at it
    schedule.resume()
    pass_time(bench, 60)
    assert len(runs_of(bench)) == 1


def test_a_run_that_was_put_off_outlasts_a_deployment(bench: Bench) -> None:
    add(bench, workflow=slow(), every=60, overlap="queue")
    pass_time(bench, 60)
    pass_time(bench, 60)
    schedule = add(bench, workflow=slow(), every=60, overlap="queue", replace=True)
    last_run(bench).cancel()
    pass_time(bench, 1)
    assert schedule.info.fired == 2


def test_the_next_times_are_told_paused_or_not(bench: Bench) -> None:
    schedule = add(bench, cron="0 3 * * *", timezone="Europe/Berlin", paused=True)
    found = [at.isoformat() for at in schedule.next_times(2)]
    assert found == ["2024-01-01T02:00:00+00:00", "2024-01-02T02:00:00+00:00"]


# What is refused


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"every": None}, "either cron= or every="),
        ({"every": 60, "cron": "@daily"}, "either cron= or every="),
        ({"every": 0.5}, "every: .*greater than or equal to 1"),
        ({"cron": "61 * * * *"}, "'61 . . . .' is not a cron expression"),
        ({"cron": "@daily", "timezone": "Mars"}, "timezone: .*'Mars' is no time zone"),
        ({"overlap": "ignore"}, "overlap"),
        ({"catch_up": "some"}, "catch_up"),
        ({"window": "2 fortnights"}, "window"),
        ({"deadline": -1}, "deadline"),
        ({"tags": "one"}, "a list of words is wanted"),
        ({"tags": ["a\nb"]}, "tag"),
        ({"name": ""}, "a name is 1 to 100"),
        ({"name": "a b"}, "a name is 1 to 100"),
        ({"name": "n" * 101}, "a name is 1 to 100"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name_and_nothing_is_written(
    bench: Bench, how: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidScheduleError, match=told):
        add(bench, **how)
    assert list(bench.runner.schedules) == []


def test_a_workflow_or_a_value_that_cannot_be_submitted_is_refused_when_it_is_added(
    bench: Bench,
) -> None:
    with pytest.raises(InvalidWorkflowError):
        bench.runner.schedules.add("s", {"id": "w", "stages": 3}, every=60)
    with pytest.raises(NotStorableError):
        add(bench, store={"a": object()})
    with pytest.raises(InvalidKeyError):
        add(bench, concurrency_key="")
    bench.state.settings = bench.settings.model_copy(update={"max_plan_bytes": 1024})
    with pytest.raises(ValueTooLargeError, match="GOSTAGE_MAX_PLAN_BYTES"):
        add(bench, workflow=of(*[note.s("x" * 100)] * 20))
    assert list(bench.runner.schedules) == []


# What is damaged


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("timing", "?"), ("timing", "{}"), ("timing", '{"cron":"* *"}'), ("policy", "[]"),
        ("policy", '{"overlap":"x"}'), ("options", "1"), ("definition", '{"id":3}'),
        ("due", "soon"), ("due", None), ("paused", "1"), ("queued", "x"), ("fired", "many"),
        ("timing", None),
    ],
)  # fmt: skip
def test_a_damaged_schedule_stops_no_other_and_can_be_replaced(
    bench: Bench, field: str, text: str | None
) -> None:
    damaged = add(bench, "a", every=60)
    add(bench, "b", every=60)
    key = bench.state.keys.of("schedule", "a")
    if text is None:
        bench.state.client.hdel(key, field)
    else:
        bench.state.client.hset(key, field, text)
    pass_time(bench, 60)
    assert (ids_of(bench, "a"), len(ids_of(bench, "b"))) == ([], 1)
    with pytest.raises(CorruptScheduleError, match="schedule 'a' is damaged"):
        _ = damaged.info
    with pytest.raises(CorruptScheduleError):
        damaged.trigger()
    bench.state.client.delete(key)
    add(bench, "a", every=60, replace=True)
    pass_time(bench, 60)
    assert len(ids_of(bench, "a")) == 1


def test_a_damaged_schedule_can_be_removed_and_replaced(bench: Bench) -> None:
    for repair in (lambda: bench.runner.schedules["a"].remove(), lambda: None):
        add(bench, "a", every=60)
        bench.state.client.hset(bench.state.keys.of("schedule", "a"), "timing", "?")
        repair()
        assert add(bench, "a", every=60, replace=True).info.fired == 0
        bench.runner.schedules["a"].remove()


def test_a_name_in_the_index_of_which_there_is_nothing_is_taken_out(bench: Bench) -> None:
    index = bench.state.keys.of("schedules")
    bench.state.client.zadd(index, {"ghost": 0})
    pass_time(bench, 1)
    assert bench.state.client.zscore(index, "ghost") is None


def test_a_last_run_that_is_damaged_does_not_stop_its_schedule(bench: Bench) -> None:
    schedule = add(bench, every=60)
    pass_time(bench, 60)
    header = bench.state.keys.of("run", ids_of(bench)[0])
    bench.state.client.hset(header, "bytes", "?")
    pass_time(bench, 60)
    assert schedule.info.fired == 2
    bench.state.client.hset(header, "bytes", "0")
