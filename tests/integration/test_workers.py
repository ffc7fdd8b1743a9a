"""Workers under every pool, warm shutdown, a project's own Celery app, servers that are not fit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gostage_core import Runner, RunStatus, Stage, Workflow
from gostage_core.status import ActionStatus
from gostage_workers import LocalCluster
from tests.support import own_app, pooled
from tests.support.eventually import eventually
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run


@pytest.fixture(scope="module", params=["prefork", "threads", "solo"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(2, pool=request.param, modules=["tests.support.pooled"]) as cluster:
        yield cluster


def stage_of(*actions: object, parallel: bool = False) -> Workflow:
    made = Workflow("w")
    made.add_stage(Stage("s", actions, parallel=parallel))  # type: ignore[arg-type]
    return made


def begun(run: Run) -> bool:
    return any(action.message == "begun" for action in run.plan.actions)


def test_every_pool_executes_plain_and_async_actions(cluster: LocalCluster) -> None:
    result = cluster.runner.execute(
        stage_of(pooled.which.s(), pooled.later.s(), pooled.later.s()), timeout=60
    )
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["answer"] == 42


def test_under_every_pool_a_killed_worker_is_survived(cluster: LocalCluster) -> None:
    run = cluster.runner.submit(stage_of(pooled.announce_and_take_a_while.s(seconds=1.0)))
    eventually(lambda: begun(run))
    name = run.plan.actions[0].worker
    index = next(i for i, w in enumerate(cluster.workers) if name.startswith(w.name + "."))
    cluster.kill_worker(index)
    assert run.wait(60).store["attempt"] == 2


def test_under_every_pool_a_timeout_fails_the_action(cluster: LocalCluster) -> None:
    for body in (pooled.patient, pooled.patient_coroutine):
        result = cluster.runner.execute(stage_of(body.s()), timeout=60)
        assert result.status is RunStatus.FAILED
        assert result.error is not None
        assert result.error.type == "ActionTimeoutError", result.error
        assert "told" not in result.store


def test_a_worker_that_is_asked_to_stop_finishes_its_action(cluster: LocalCluster) -> None:
    workflow = stage_of(pooled.announce_and_take_a_while.s(seconds=4.5), pooled.which.s())
    run = cluster.runner.submit(workflow)
    eventually(lambda: begun(run))
    name = run.plan.actions[0].worker
    worker = next(w for w in cluster.workers if name.startswith(w.name + "."))
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)
    result = run.wait(60)
    assert result.status is RunStatus.COMPLETED
    assert result.store["attempt"] == 1
    assert [a.attempt for a in result.actions] == [1, 1]


@contextmanager
def own_worker(url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "OWN_URL": url}
    environment.pop("GOSTAGE_REDIS_URL", None)
    argv = [sys.executable, "-m", "celery", "-A", "tests.support.own_app", "worker", "-c", "1"]
    process = subprocess.Popen([*argv, "-l", "WARNING"], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def test_a_projects_own_app_gains_workflows_and_keeps_its_tasks_and_settings(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_app.app.conf, "broker_url", server.url)
    with own_worker(server.url), server.client() as client:
        own_app.app.send_task("project.add", args=(20, 22))
        assert client.blpop(["sums"], timeout=60)[1] == b"42"  # type: ignore[index]
        runner = Runner(server.url)
        result = runner.execute(own_app.workflow(), timeout=60)
        assert result.store["greeting"] == "Hello, Ana"
        runner.close()
    assert own_app.app.conf.worker_prefetch_multiplier == 3
    assert own_app.app.conf.task_default_queue == "celery"


def test_a_worker_refuses_a_server_that_throws_runs_away_and_names_the_setting() -> None:
    with RedisServer("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as server:
        argv = [sys.executable, "-m", "celery", "-A", "gostage_workers.app", "worker", "-c", "1"]
        ran = subprocess.run(
            argv, env={**os.environ, "GOSTAGE_REDIS_URL": server.url}, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
    assert ran.returncode != 0
    assert "maxmemory-policy: allkeys-lru" in ran.stdout + ran.stderr


def test_a_worker_takes_an_action_from_the_queue_that_it_is_told(server: RedisServer) -> None:
    with LocalCluster(
        1, url=server.url, modules=["tests.support.pooled"], namespace="q1"
    ) as cluster:
        run = cluster.runner.submit(stage_of(pooled.which.s().options(queue="elsewhere")))
        assert run.status is RunStatus.PENDING
        argv = [
            sys.executable, "-m", "celery", "-A", "gostage_workers.app", "worker", "-c", "1",
            "-Q", "elsewhere", "-n", "elsewhere@%h", "-l", "WARNING",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "GOSTAGE_REDIS_URL": server.url,
            "GOSTAGE_NAMESPACE": "q1",
            "GOSTAGE_MODULES": "tests.support.pooled",
        }
        process = subprocess.Popen(argv, env=environment)
        try:
            result = run.wait(60)
        finally:
            process.terminate()
            process.wait(30)
    assert result.actions[0].status is ActionStatus.COMPLETED
    assert result.actions[0].worker.startswith("elsewhere@")
