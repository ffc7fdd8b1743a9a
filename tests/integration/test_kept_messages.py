"""What comes for a run is not lost with the worker, or the server, that it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import CeleryTask, Runner, RunStatus, Workflow
from gostage_core.status import ActionStatus
from tests.support.eventually import eventually
from tests.support.legacy_app import app, sending_to
from tests.support.legacy_worker import LegacyWorker
from tests.support.links import triple, workflow
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = {"kept_visibility": 0.5, "unacked_restore_interval": 0.2, "unacked_restore_throttle": 1}


@pytest.fixture
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer() as broker, RedisServer() as state, sending_to(broker.url):
        yield broker, state


def ours(broker: RedisServer, state: RedisServer, log: Path, *arguments: str) -> LegacyWorker:
    return LegacyWorker(
        broker.url,
        log,
        *("-c", "1", "-Q", "gostage", *arguments),
        install=True,
        state_url=state.url,
        options=OPTIONS,
        modules="tests.support.links",
    )


def waits_for(word: str, worker: LegacyWorker) -> None:
    eventually(lambda: word in worker.output and "asking again" in worker.output)


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_result_is_delivered_although_the_worker_that_took_it_was_killed(
    servers: tuple[RedisServer, RedisServer], tmp_path: Path, pool: str
) -> None:
    broker, state = servers
    gate = tmp_path / "gate"
    made = Workflow("kept")
    made.add_stage("s").add(CeleryTask("legacy.gated", args=[str(gate)], store_as="word"))
    runner = Runner(state.url, broker=broker.url)
    theirs = LegacyWorker(broker.url, tmp_path / "theirs.log", "-c", "1", "-Q", "celery")
    with theirs, ours(broker, state, tmp_path / "first.log", "-P", pool) as first:
        run = runner.submit(made)
        eventually(lambda: run.plan.actions[0].status is ActionStatus.WAITING)
        state.kill()
        gate.touch()
        waits_for("gostage.result", first)
        first.kill()
        state.start()
        with ours(broker, state, tmp_path / "second.log", "-P", pool):
            assert run.wait(60).store["word"] == "through"
    runner.close()


def test_a_definition_is_submitted_although_the_worker_that_took_it_was_killed(
    servers: tuple[RedisServer, RedisServer], tmp_path: Path
) -> None:
    broker, state = servers
    runner = Runner(state.url, broker=broker.url)
    with ours(broker, state, tmp_path / "first.log") as first:
        state.kill()
        text = workflow(triple.s()).to_json()
        sent = app.send_task("gostage.submit", [text], queue="gostage")
        waits_for("gostage.submit", first)
        first.kill()
        state.start()
        with ours(broker, state, tmp_path / "second.log"):
            eventually(lambda: runner.list(), timeout=60)
            assert runner.get(sent.id).wait(60).status is RunStatus.COMPLETED
            assert len(runner.list()) == 1
    runner.close()


def test_a_result_that_comes_while_the_server_is_away_waits_for_it(
    servers: tuple[RedisServer, RedisServer], tmp_path: Path
) -> None:
    broker, state = servers
    gate = tmp_path / "gate"
    made = Workflow("patient")
    made.add_stage("s").add(CeleryTask("legacy.gated", args=[str(gate)], store_as="word"))
    runner = Runner(state.url, broker=broker.url)
    theirs = LegacyWorker(broker.url, tmp_path / "theirs.log", "-c", "1", "-Q", "celery")
    with theirs, ours(broker, state, tmp_path / "ours.log") as worker:
        run = runner.submit(made)
        eventually(lambda: run.plan.actions[0].status is ActionStatus.WAITING)
        state.kill()
        gate.touch()
        waits_for("gostage.result", worker)
        state.start()
        assert run.wait(60).store["word"] == "through"
    runner.close()


def test_the_error_of_a_task_is_looked_up_where_its_worker_did_not_tell_it(
    servers: tuple[RedisServer, RedisServer], tmp_path: Path
) -> None:
    broker, state = servers
    made = Workflow("untold")
    made.add_stage("s").add(CeleryTask("legacy.fails", args=["Ana"]))
    runner = Runner(state.url, broker=broker.url)
    theirs = LegacyWorker(broker.url, tmp_path / "theirs.log", "-c", "1", "-Q", "celery")
    with theirs, ours(broker, state, tmp_path / "ours.log"):
        error = runner.execute(made, timeout=60).error
    assert error is not None
    assert (error.type, error.message) == ("NoCustomerError", "no customer Ana")
    assert "raise NoCustomerError" in error.traceback
    runner.close()
