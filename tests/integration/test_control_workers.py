"""What is asked of runs, where real workers do them."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import RunStatus, Sleep, Stage, WaitForSignal, Workflow
from gostage_workers import LocalCluster
from tests.support import stubborn
from tests.support.eventually import eventually
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run, Runner

SLEEPERS = 1_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One worker of two processes."""
    modules = ["tests.support.stubborn"]
    with LocalCluster(1, concurrency=2, modules=modules) as cluster:
        yield cluster


def one_stage(*actions: Any) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions))
    return workflow


def pid_of(run: Run, name: str) -> int:
    """The process in which an action of the run has begun."""

    def told() -> str:
        return next(one.message for one in run.plan.actions if one.name == name)

    return int(eventually(told))


def goes_on(runner: Runner) -> None:
    """Check that both processes of the pool take work."""
    runs = [runner.submit(one_stage(stubborn.quick.s(), stubborn.quick.s())) for _ in range(8)]
    assert {run.wait(30).status for run in runs} == {RunStatus.COMPLETED}


@pytest.mark.parametrize("name", ["hang", "hang_with_the_lock", "hang_isolated"])
def test_a_body_that_does_not_end_is_killed_after_the_grace_and_its_run_ends(
    cluster: LocalCluster, name: str
) -> None:
    hangs = getattr(stubborn, name)
    done = stubborn.quick.s().options(compensate=stubborn.undo.s())
    run = cluster.runner.submit(one_stage(done, hangs.s(), stubborn.quick.s()))
    pid = pid_of(run, name)
    run.cancel("it hangs", grace=1)
    result = run.wait(30)
    assert (result.status, result.compensated) == (RunStatus.CANCELLED, True)
    assert [str(one.status) for one in result.stages["s"].actions] == [
        "completed", "cancelled", "pending"
    ]  # fmt: skip
    eventually(lambda: not is_alive(pid))
    goes_on(cluster.runner)
    assert run.status is RunStatus.CANCELLED


def test_a_body_that_listens_ends_well_within_the_grace(cluster: LocalCluster) -> None:
    run = cluster.runner.submit(one_stage(stubborn.hang_until_told.s(), stubborn.quick.s()))
    pid = pid_of(run, "hang_until_told")
    run.cancel(grace=60)
    result = run.wait(30)
    assert (result.status, result.store["told"]) == (RunStatus.CANCELLED, True)
    assert is_alive(pid)


def test_what_hangs_at_the_deadline_of_its_run_is_killed(cluster: LocalCluster) -> None:
    run = cluster.runner.submit(one_stage(stubborn.hang.s()), deadline=1)
    pid = pid_of(run, "hang")
    eventually(lambda: "run.halting" in [one.kind for one in run.journal()])
    run.cancel(grace=0.5)  # the grace of the settings is longer than this test wants to wait
    assert "DeadlineExceededError" in str(run.wait(30).error)
    eventually(lambda: not is_alive(pid))
    goes_on(cluster.runner)


@pytest.mark.parametrize("name", ["hang", "hang_deaf", "hang_isolated"])
def test_a_body_that_hangs_beyond_the_deadline_of_its_action_is_ended(
    cluster: LocalCluster, name: str
) -> None:
    hangs = getattr(stubborn, name).s().options(deadline=2, on_error="continue")
    run = cluster.runner.submit(one_stage(hangs, stubborn.quick.s()))
    result = run.wait(30)
    assert result.status is RunStatus.COMPLETED
    error = result.actions[0].error
    assert error is not None
    assert (error.type, error.message) == (
        "DeadlineExceededError", "not done within its deadline of 2 s in all"
    )  # fmt: skip
    if name != "hang":  # which is interrupted, and its process goes on
        eventually(lambda: not is_alive(int(result.actions[0].message)))
    goes_on(cluster.runner)


def test_what_runs_in_a_run_that_is_deleted_is_killed(cluster: LocalCluster) -> None:
    run = cluster.runner.submit(one_stage(stubborn.hang.s()))
    pid = pid_of(run, "hang")
    run.delete()
    eventually(lambda: not is_alive(pid))
    goes_on(cluster.runner)


def test_a_thousand_sleepers_hold_no_worker_and_all_of_them_wake(cluster: LocalCluster) -> None:
    runner, asleep = cluster.runner, RunStatus.SLEEPING
    runs = [runner.submit(one_stage(Sleep(20), stubborn.quick.s())) for _ in range(SLEEPERS)]

    def begun() -> bool:
        kinds = {run.run_id: run.status for run in runs[-20:]}
        return all(status is not RunStatus.PENDING for status in kinds.values())

    eventually(begun, timeout=60)
    goes_on(runner)  # while most of them sleep
    assert any(run.status is asleep for run in runs)
    assert {run.wait(90).status for run in runs} == {RunStatus.COMPLETED}


def test_a_run_is_held_while_all_workers_are_killed_and_goes_on_when_it_is_resumed(
    cluster: LocalCluster,
) -> None:
    waits = WaitForSignal("ok", store_as="got")
    run = cluster.runner.submit(one_stage(stubborn.hang_until_told.s(), waits, stubborn.quick.s()))
    first = pid_of(run, "hang_until_told")
    run.pause("for a while")
    run.signal("ok", "early")
    killed = cluster.kill_worker(0)
    eventually(lambda: not is_alive(killed))
    eventually(lambda: "action.lost" in [one.kind for one in run.journal()])
    assert run.status is RunStatus.PAUSED
    goes_on(cluster.runner)
    assert run.status is RunStatus.PAUSED
    with run.edit(reason="it only hangs") as plan:
        plan.stages["s"].add(stubborn.quick.s().options(name="more"))
    run.resume()
    eventually(lambda: pid_of(run, "hang_until_told") != first)
    run.cancel(grace=30)
    assert run.wait(30).status is RunStatus.CANCELLED
    run.retry()
    result = run.wait(30)
    assert (result.status, result.store["got"]) == (RunStatus.COMPLETED, "early")
    assert result.store["told"] is True


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_where_nothing_can_be_killed_the_run_ends_all_the_same(pool: Any) -> None:
    with LocalCluster(2, pool=pool, modules=["tests.support.stubborn"]) as cluster:
        run = cluster.runner.submit(one_stage(stubborn.hang.s(), stubborn.quick.s()))
        pid = pid_of(run, "hang")
        run.cancel(grace=0.5)
        assert run.wait(30).status is RunStatus.CANCELLED
        assert is_alive(pid)
        other = cluster.runner.submit(one_stage(stubborn.quick.s()))
        assert other.wait(30).store["pid"] != pid or pool == "threads"
        for worker in cluster.workers:  # or the one that hangs would be waited for
            worker.process.kill()


def test_a_stopped_process_is_killed_too(cluster: LocalCluster) -> None:
    run = cluster.runner.submit(one_stage(stubborn.hang.s()))
    pid = pid_of(run, "hang")
    os.kill(pid, signal.SIGSTOP)
    run.cancel(grace=0)
    assert run.wait(30).status is RunStatus.CANCELLED
    os.kill(pid, signal.SIGCONT)
    goes_on(cluster.runner)
