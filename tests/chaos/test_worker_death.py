"""Workers die at each step of the way, on purpose; every run ends and every action commits once."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from gostage_core import RunStatus, Stage, Workflow
from gostage_core.attempt import Moment
from gostage_workers import LocalCluster
from tests.support import faulty
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(2, modules=["tests.support.faulty"], startup_timeout=60) as cluster:
        yield cluster


@pytest.fixture(scope="module", autouse=True)
def faulty_url() -> Iterator[None]:
    """The address that the actions use; set before the workers start, and theirs to inherit."""
    from tests.support.server import RedisServer

    with RedisServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAULTY_URL", server.url)
        yield


def workflow() -> Workflow:
    made = Workflow("w")
    adds = faulty.traced("b", adds=("d1", "d2"), adds_stage="extra")
    made.add_stage(Stage("s", [faulty.traced("a"), adds, faulty.traced("c")]))
    made.add_stage(Stage("p", [faulty.traced(f"p{i}") for i in range(4)], parallel=True))
    return made


ORDER = ["a", "b", "d1", "d2", "c", "extra1", "p0", "p1", "p2", "p3"]


def assert_whole(run: Run) -> None:
    result = run.wait(60)
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["order"] == ORDER
    assert result.store["count"] == len(ORDER)
    completed = [e.entry for e in run.journal() if e.kind == "action.completed"]
    assert len(completed) == len(set(completed)) == len(ORDER)


@pytest.mark.parametrize("victim", ["child", "worker"])
@pytest.mark.parametrize("moment", list(Moment))
def test_a_run_survives_a_kill_at_each_moment(
    cluster: LocalCluster, moment: Moment, victim: str
) -> None:
    with faulty.client() as server:
        server.rpush(faulty.PLAN, json.dumps({"moment": moment.value, "victim": victim}))
        run = cluster.runner.submit(workflow())
        assert_whole(run)
        assert server.llen(faulty.PLAN) == 0


@pytest.mark.parametrize("victim", ["child", "worker"])
def test_a_run_survives_a_kill_in_the_body(cluster: LocalCluster, victim: str) -> None:
    made = Workflow("w")
    made.add_stage("s").add(
        faulty.traced("a"), faulty.traced("b", kills=victim), faulty.traced("c")
    )
    run = cluster.runner.submit(made)
    result = run.wait(60)
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["order"] == ["a", "b", "c"]
    with faulty.client() as server:
        assert server.hget(faulty.BODIES, f"{run.run_id}:b") == b"2"


def test_an_action_that_kills_every_worker_fails_as_poison(cluster: LocalCluster) -> None:
    with faulty.client() as server:
        for _ in range(3):
            fault = json.dumps({"moment": Moment.CLAIMED.value, "victim": "child"})
            server.rpush(faulty.PLAN, fault)
    made = Workflow("w")
    made.add_stage("s").add(faulty.traced("a"))
    result = cluster.runner.execute(made, timeout=60)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "PoisonedError"


def test_a_frozen_worker_loses_its_lease_and_cannot_commit(cluster: LocalCluster) -> None:
    made = Workflow("w")
    made.add_stage("s").add(faulty.wait_for_key.s(key="thaw"))
    run = cluster.runner.submit(made)
    with faulty.client() as server:
        frozen = int(eventually(lambda: server.lindex("thaw:pids", 0), timeout=30))
        os.kill(frozen, signal.SIGSTOP)
        try:
            eventually(lambda: server.llen("thaw:pids") == 2, timeout=30)
            server.set("thaw", 1)
            result = run.wait(30)
        finally:
            os.kill(frozen, signal.SIGCONT)
    assert result.store["who"] == [2]
    eventually(lambda: not cluster.runner._state.claims_of("nobody"), timeout=5)
    assert run.result().store["who"] == [2]
    lost = [e for e in run.journal() if e.kind == "action.lost"]
    assert len(lost) == 1


def test_a_body_that_holds_the_interpreters_lock_keeps_its_lease(cluster: LocalCluster) -> None:
    made = Workflow("w")
    made.add_stage("s").add(faulty.hold_the_lock.s(seconds=30))
    run = cluster.runner.submit(made)
    assert run.wait(90).store["attempt"] == 1
    assert not [e for e in run.journal() if e.kind == "action.lost"]


def test_a_body_past_its_timeout_is_ended_and_its_slot_comes_back(cluster: LocalCluster) -> None:
    made = Workflow("w")
    made.add_stage("s").add(faulty.stubborn.s())
    result = cluster.runner.execute(made, timeout=60)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"
    both = Workflow("both")
    both.add_stage(Stage("p", [faulty.traced("x"), faulty.traced("y")], parallel=True))
    assert cluster.runner.execute(both, timeout=60).status is RunStatus.COMPLETED


def test_redis_may_be_killed_and_restarted_under_load(cluster: LocalCluster) -> None:
    runs = [cluster.runner.submit(workflow()) for _ in range(20)]
    assert cluster.server is not None
    eventually(lambda: runs[3].status.is_terminal, timeout=60)
    cluster.server.restart()
    runs += [cluster.runner.submit(workflow()) for _ in range(5)]
    for run in runs:
        assert_whole(run)
