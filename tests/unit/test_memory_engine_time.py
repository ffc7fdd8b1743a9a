"""The clock that a test holds: what falls due, in which order, and what a body takes of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    Retry,
    RunStatus,
    RunTimeoutError,
    Sleep,
    Throttle,
    TimeLimit,
    Timing,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.testing import MemoryEngine
from tests.support.parity import in_one_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(fresh_registry: None) -> Iterator[MemoryEngine]:
    with MemoryEngine() as engine:
        yield engine


@action
def tell_time(ctx: ActionContext) -> None:
    ctx.store.append("times", str(ctx.now - START))


@action(retry=Retry(3, delay="1h", factor=2, max_delay="1d", jitter=0))
def stumble(ctx: ActionContext) -> None:
    ctx.store.append("times", str(ctx.now - START))
    ctx.checkpoint()
    if ctx.attempt < 3:
        raise ConnectionError("not yet")


def test_time_stands_still(engine: MemoryEngine) -> None:
    engine.execute(in_one_stage(tell_time.s()))
    assert engine.clock.now == START


def test_who_waits_skips_the_time_in_which_nothing_happens(engine: MemoryEngine) -> None:
    result = engine.execute(in_one_stage(Sleep(days=30), tell_time.s(), Sleep(hours=1)))
    assert result.store["times"] == ["30 days, 0:00:00"]
    assert engine.clock.now == START + timedelta(days=30, hours=1)
    assert result.duration == 30 * 86_400 + 3_600


def test_to_settle_takes_no_time(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(Sleep(seconds=1)))
    engine.settle()
    assert run.status is RunStatus.SLEEPING
    assert engine.clock.now == START


def test_to_advance_takes_the_time_that_it_says(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(Sleep(hours=1)))
    engine.advance("59m")
    assert run.status is RunStatus.SLEEPING
    engine.advance(timedelta(minutes=1))
    assert run.status is RunStatus.COMPLETED
    engine.advance(30)
    assert engine.clock.now == START + timedelta(hours=1, seconds=30)


def test_what_falls_due_is_done_in_order_each_at_its_time(engine: MemoryEngine) -> None:
    order: list[str] = []

    @action
    def come(ctx: ActionContext, name: str) -> None:
        order.append(f"{name} at {ctx.now - START}")

    for hours in (3, 1, 2):
        engine.submit(in_one_stage(Sleep(hours=hours), come.s(name=str(hours))))
    engine.runner.schedules.add("c", in_one_stage(come.s(name="c")), cron="30 1 * * *")
    engine.advance("1d")
    assert order == ["1 at 1:00:00", "c at 1:30:00", "2 at 2:00:00", "3 at 3:00:00"]


def test_retries_come_when_their_delay_has_passed(engine: MemoryEngine) -> None:
    assert engine.execute(in_one_stage(stumble.s())).store["times"] == [
        "0:00:00",
        "1:00:00",
        "3:00:00",
    ]


def test_a_run_fails_at_its_deadline(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(WaitForSignal("go")), deadline="2h")
    engine.advance("1h")
    assert run.status is RunStatus.WAITING
    assert run.wait().error.type == "DeadlineExceededError"  # type: ignore[union-attr]
    assert engine.clock.now == START + timedelta(hours=2)


def test_a_wait_for_a_signal_ends_at_its_timeout(engine: MemoryEngine) -> None:
    result = engine.execute(
        in_one_stage(WaitForSignal("go", timeout="2d", default="none", store_as="got"))
    )
    assert (result.store["got"], engine.clock.now) == ("none", START + timedelta(days=2))


def test_a_schedule_submits_a_run_each_time(engine: MemoryEngine) -> None:
    engine.runner.schedules.add("nightly", in_one_stage(tell_time.s()), cron="0 3 * * *")
    engine.advance("3d")
    assert [one.run_id for one in engine.runner.list(tag="schedule:nightly")] == [
        "nightly-20240103T030000Z",
        "nightly-20240102T030000Z",
        "nightly-20240101T030000Z",
    ]
    assert {one.status for one in engine.runner.list()} == {RunStatus.COMPLETED}


def test_a_throttle_counts_by_the_clock(engine: MemoryEngine) -> None:
    slow = Throttle("slow", rate=2, per="1h")
    actions = [tell_time.s().options(throttle=slow) for _ in range(5)]
    times = engine.execute(in_one_stage(*actions, parallel=True)).store["times"]
    assert [time[:4] for time in times] == ["0:00", "0:00", "1:00", "1:00", "2:00"]


def test_runs_are_forgotten_when_their_retention_has_passed(engine: MemoryEngine) -> None:
    engine.execute(in_one_stage(tell_time.s()))
    engine.advance("6d")
    assert len(engine.runner.list()) == 1
    engine.advance("1d")
    assert engine.runner.list() == []


def test_a_wait_ends_by_the_clock(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(Sleep(hours=2), WaitForSignal("go")))
    with pytest.raises(RunTimeoutError, match="has not ended within 5400 s"):
        run.wait(timeout="90m")
    assert (run.status, engine.clock.now) == (RunStatus.SLEEPING, START + timedelta(minutes=90))
    with pytest.raises(RunTimeoutError):
        run.wait(timeout="1d")
    assert (run.status, engine.clock.now) == (
        RunStatus.WAITING,
        START + timedelta(days=1, minutes=90),
    )
    with pytest.raises(RunTimeoutError):
        engine.execute(in_one_stage(Sleep(hours=2)), timeout=60)


def test_a_body_takes_the_time_that_its_fakes_take(engine: MemoryEngine) -> None:
    @action
    def work(ctx: ActionContext) -> None:
        engine.clock.advance("10m")
        ctx.store.append("times", str(ctx.now - START))

    result = engine.execute(in_one_stage(work.s(), tell_time.s()))
    assert result.store["times"] == ["0:10:00", "0:10:00"]
    assert result.actions[0].duration == 600


def test_a_body_that_takes_longer_than_its_timeout_is_interrupted(engine: MemoryEngine) -> None:
    @action(timeout=30, retry=Retry(2, delay=0))
    def work(ctx: ActionContext) -> None:
        ctx.store.append("times", f"began {ctx.now - START}")
        ctx.checkpoint()
        engine.clock.advance(20 if ctx.attempt == 2 else 3_600)
        ctx.store.append("times", f"ended {ctx.now - START}")

    result = engine.execute(in_one_stage(work.s()))
    assert result.store["times"] == [
        "began 0:00:00",
        "began 0:00:30.001000",
        "ended 0:00:50.001000",
    ]
    assert result.actions[0].attempt == 2
    assert str(result.actions[0].error) == (
        "s/work: ActionTimeoutError: not done within its timeout of 30 s"
    )


def test_a_body_cannot_hide_from_its_timeout(engine: MemoryEngine) -> None:
    @action(timeout=30)
    def work(ctx: ActionContext) -> None:
        try:
            engine.clock.advance(3_600)
        except BaseException:
            return

    result = engine.execute(in_one_stage(work.s()))
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"


def test_the_time_of_one_body_is_no_other_s(engine: MemoryEngine) -> None:
    @action(timeout=30)
    def inner(ctx: ActionContext) -> None:
        engine.clock.advance(20)

    @action(timeout=50)
    def outer(ctx: ActionContext) -> None:
        engine.clock.advance(20)
        ctx.store["inner"] = str(engine.execute(in_one_stage(inner.s())).status)

    assert engine.execute(in_one_stage(outer.s())).store["inner"] == "completed"


def test_a_coroutine_is_interrupted_likewise(engine: MemoryEngine) -> None:
    tidied: list[bool] = []

    @action(timeout=30)
    async def work(ctx: ActionContext) -> None:
        try:
            await asyncio.sleep(0)
            engine.clock.advance(31)
        finally:
            tidied.append(True)

    result = engine.execute(in_one_stage(work.s()))
    assert (result.status, tidied) == (RunStatus.FAILED, [True])


def test_a_limit_of_time_counts_by_the_clock(engine: MemoryEngine) -> None:
    limited = in_one_stage(Sleep(hours=2), tell_time.s()).use(TimeLimit("1h"))
    assert engine.execute(limited).error.type == "ActionTimeoutError"  # type: ignore[union-attr]
    roomy = in_one_stage(Sleep(hours=2), tell_time.s()).use(TimeLimit("3h"))
    assert engine.execute(roomy).status is RunStatus.COMPLETED


def test_stages_are_timed_by_the_clock(engine: MemoryEngine) -> None:
    workflow = Workflow("w").use(Timing())
    workflow.add_stage("rest").add(Sleep(hours=2))
    workflow.add_stage("work").add(tell_time.s())
    store = engine.execute(workflow).store
    assert (store["timing"], store["timing.rest"], store["timing.work"]) == (7_200, 7_200, 0)


def test_an_engine_begins_when_it_is_told(fresh_registry: None) -> None:
    noon = datetime.fromisoformat("2025-06-01T12:00:00+02:00")
    engine = MemoryEngine(start=noon)
    assert engine.clock.now == noon
    assert engine.submit(in_one_stage(tell_time.s())).run_id.startswith("250601-100000-")
    with pytest.raises(ValueError, match="has no timezone"):
        MemoryEngine(start=datetime(2025, 6, 1))


@pytest.mark.parametrize("duration", [-1, "soon", "400d"])
def test_what_is_no_duration_is_refused(engine: MemoryEngine, duration: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        engine.advance(duration)
    with pytest.raises(ValueError, match="duration"):
        engine.clock.advance(duration)
