"""A submit is refused while as much is under way as may be, and is told when to come again."""

from __future__ import annotations

import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from gostage_core import Runner, RunStatus, RunWorkflow, Sleep, Stage, Throttle, Workflow, action
from gostage_core.errors import BackpressureError, RunExistsError
from gostage_core.settings import Settings
from gostage_core.testing.memory import MemoryClient, MemoryServer
from gostage_workers import LocalCluster
from tests.support.bench import Bench
from tests.support.eventually import eventually
from tests.support.links import triple, workflow
from tests.support.turnstile import server_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import ActionContext, Run
    from tests.support.server import RedisServer

LIMIT = 3


@pytest.fixture
def bench(namespace: str, fresh_registry: None) -> Iterator[Bench]:
    """A bench on which three runs may live at a time."""
    settings = Settings(namespace=namespace, max_live_runs=LIMIT)
    bench = Bench(settings, MemoryClient(MemoryServer()))
    yield bench
    bench.close()


@action
def note(ctx: ActionContext) -> None:
    """Do nothing."""


def of(*actions: Any, throttle: Throttle | None = None) -> Workflow:
    made = Workflow("w", throttle=throttle)
    made.add_stage(Stage("s", actions or [note.s()]))
    return made


def fill(bench: Bench) -> list[Run]:
    return [bench.submit(of()) for _ in range(LIMIT)]


def everything(bench: Bench) -> Any:
    return server_of(bench).content()


# Runs that live


def test_as_many_runs_live_as_are_allowed_and_the_next_one_is_refused_whole(bench: Bench) -> None:
    runs = fill(bench)
    before = everything(bench)
    with pytest.raises(BackpressureError) as refused:
        bench.submit(of(), key="event", tags=["t"])
    assert everything(bench) == before
    error = refused.value
    assert (error.limit, error.setting) == (LIMIT, "GOSTAGE_MAX_LIVE_RUNS")
    assert str(error) == (
        f"3 runs live, and GOSTAGE_MAX_LIVE_RUNS allows 3; submit again in {error.retry_after:g} s"
    )
    bench.drain(runs[1])
    assert bench.submit(of(), key="event").status is RunStatus.PENDING


def test_when_to_come_again_is_told_by_how_fast_runs_end(bench: Bench) -> None:
    def told() -> float:
        with pytest.raises(BackpressureError) as refused:
            bench.submit(of())
        return refused.value.retry_after

    fill(bench)
    assert told() == 5, "nobody knows"
    for count in range(1, 31):
        bench.drain(bench.runner.get(bench.post.messages[0].run_id))
        bench.submit(of())
        assert told() == pytest.approx(max(0.5, 60 / count), abs=0.06)
    server_of(bench).clock.advance(61)
    assert told() == 5


def test_the_error_goes_from_process_to_process(bench: Bench) -> None:
    fill(bench)
    with pytest.raises(BackpressureError) as refused:
        bench.submit(of())
    copied = pickle.loads(pickle.dumps(refused.value))
    assert (str(copied), copied.retry_after) == (str(refused.value), refused.value.retry_after)


@pytest.mark.parametrize("state", ["paused", "sleeping", "held", "waiting"])
def test_a_run_lives_until_it_has_ended(bench: Bench, state: str) -> None:
    one_of_two = Throttle("w", concurrency=1)
    flow = {"sleeping": of(Sleep(hours=1)), "held": of(throttle=one_of_two),
            "waiting": of(RunWorkflow(of()))}.get(state, of())  # fmt: skip
    runs = [bench.submit(flow) for _ in range(2 if state == "waiting" else LIMIT)]
    if state == "paused":
        runs[0].pause()
    elif state != "held":
        bench.step()
    with pytest.raises(BackpressureError):
        bench.submit(of())


def test_who_repeats_a_submit_or_joins_a_run_is_not_refused(bench: Bench) -> None:
    text = bench.runner.prepare(of(), key="event").text
    first = bench.runner.submit_prepared(text)
    for _ in range(LIMIT - 1):
        bench.submit(of())
    assert bench.runner.submit_prepared(text).run_id == first.run_id
    assert bench.submit(of(), key="event").run_id == first.run_id
    with pytest.raises(RunExistsError):
        bench.submit(of(), key="event", on_conflict="reject")
    with pytest.raises(RunExistsError):
        bench.submit(of(), run_id=first.run_id)


def test_a_prepared_run_that_is_refused_can_be_submitted_later(bench: Bench) -> None:
    text = bench.runner.prepare(of()).text
    runs = fill(bench)
    with pytest.raises(BackpressureError):
        bench.runner.submit_prepared(text)
    runs[0].cancel()
    assert bench.runner.submit_prepared(text).status is RunStatus.PENDING


def test_what_has_been_accepted_goes_on_beyond_the_limit(bench: Bench) -> None:
    bench.runner.schedules.add("s", of(), every=60)
    ended = bench.submit(of())
    bench.drain(ended)
    above = bench.submit(of(RunWorkflow(of())))
    fill_up = [bench.submit(of()) for _ in range(LIMIT - 1)]
    server_of(bench).clock.advance(60)
    bench.rescuer.tick()
    assert len(bench.runner.list(tag="schedule:s")) == 1, "a schedule does not fall behind"
    assert ended.fork("note").status is RunStatus.PENDING, "nor an operator"
    assert bench.drain(above).status is RunStatus.COMPLETED, "nor a run that needs a child run"
    assert all(bench.drain(run).status is RunStatus.COMPLETED for run in fill_up)


def test_producers_that_race_do_not_exceed_the_limit(
    settings: Settings, fresh_registry: None
) -> None:
    few = settings.model_copy(update={"max_live_runs": 10})
    bench = Bench(few)
    made: list[str] = []
    refused: list[BackpressureError] = []

    def produce() -> None:
        for _ in range(10):
            try:
                made.append(bench.submit(of()).run_id)
            except BackpressureError as error:
                refused.append(error)

    threads = [threading.Thread(target=produce) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert (len(made), len(refused)) == (10, 50)
    bench.close()


def test_without_a_limit_nothing_is_counted_or_refused(memory_bench: Bench) -> None:
    for _ in range(50):
        memory_bench.submit(of())
    assert len(memory_bench.post.messages) == 50


# Messages that wait


@pytest.fixture
def full_queue(settings: Settings, fresh_registry: None) -> Iterator[Runner]:
    """A runner for whose workers four messages may wait, with nobody to take them."""
    runner = Runner(settings=settings.model_copy(update={"max_queued": 4}))
    yield runner
    runner.close()


def test_as_many_messages_wait_as_are_allowed(full_queue: Runner, server: RedisServer) -> None:
    for _ in range(4):
        full_queue.submit(of())
    with pytest.raises(BackpressureError) as refused:
        full_queue.submit(of())
    error = refused.value
    assert (error.limit, error.setting, error.retry_after) == (4, "GOSTAGE_MAX_QUEUED", 1)
    queue = full_queue.settings.namespace
    assert f"4 messages wait in queue {queue!r}" in str(error)
    assert len(full_queue.list()) == 4
    with server.client() as client:
        client.lpop(queue)
    assert full_queue.submit(of()).status is RunStatus.PENDING


def test_messages_of_every_priority_count(full_queue: Runner) -> None:
    for priority in (0, 3, 6, 9):
        full_queue.submit(of(note.s().options(priority=priority)))
    with pytest.raises(BackpressureError):
        full_queue.submit(of())


def test_a_broker_that_is_away_refuses_nothing(settings: Settings, fresh_registry: None) -> None:
    runner = Runner(
        settings=settings.model_copy(
            update={"max_queued": 1, "broker_url": "redis://127.0.0.1:1/0"}
        )
    )
    run = runner.submit(of())
    assert run.status is RunStatus.PENDING, "it is kept, and sent by a worker"
    runner.close()


# Submits that come as messages


@pytest.fixture
def producer(server: RedisServer) -> Iterator[Celery]:
    app = Celery("elsewhere", broker=server.url, set_as_current=False)
    yield app
    app.close()


@pytest.mark.parametrize("setting", ["GOSTAGE_MAX_LIVE_RUNS", "GOSTAGE_MAX_QUEUED"])
def test_submits_that_come_as_messages_are_done_one_after_another_and_hold_no_worker(
    server: RedisServer,
    namespace: str,
    producer: Celery,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
) -> None:
    monkeypatch.setenv(setting, "1")
    definition = json.loads(workflow(triple.s()).to_json())
    for _ in range(6):
        producer.send_task(
            "gostage.submit", [definition], {"concurrency_key": "ana"}, queue=namespace
        )
    with LocalCluster(
        1, url=server.url, namespace=namespace, modules=["tests.support.links"]
    ) as cluster:
        eventually(lambda: len(cluster.runner.list(status=RunStatus.COMPLETED)) == 6, timeout=60)
