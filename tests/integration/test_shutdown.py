"""A signal that reaches a whole worker at once, as service managers and containers send it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from gostage_core import RunStatus, Stage, Workflow
from gostage_workers import LocalCluster
from tests.support import ending
from tests.support.eventually import eventually
from tests.support.processes import is_alive
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import ActionFunction, Run


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(2, modules=["tests.support.ending"]) as cluster:
        yield cluster


def begun(cluster: LocalCluster, *actions: object) -> Run:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions))  # type: ignore[arg-type]
    run = cluster.runner.submit(workflow)
    eventually(lambda: run.plan.actions[0].message == "begun")
    return run


def main_process_of(run: Run, cluster: LocalCluster) -> int:
    """The process that leads the group of the worker that is at *run*."""
    name = run.plan.actions[0].worker
    pid = next(w.pid for w in cluster.workers if name.startswith(w.name + "."))
    assert pid is not None
    return pid


def process_of(run: Run) -> int:
    """The process of the pool that is at *run*."""
    return int(run.plan.actions[0].worker.partition("/")[0].rpartition(".")[2])


@pytest.mark.parametrize("body", [ending.hold, ending.hold_coroutine, ending.hold_in_a_group])
def test_an_action_whose_whole_worker_is_asked_to_stop_is_given_to_another_uncounted(
    cluster: LocalCluster, tmp_path: Path, body: ActionFunction[[str], None]
) -> None:
    go_on = tmp_path / "go on"
    run = begun(cluster, body.s(str(go_on)), ending.after.s())
    first = run.plan.actions[0].worker
    os.killpg(main_process_of(run, cluster), signal.SIGTERM)
    eventually(lambda: run.plan.actions[0].worker not in ("", first))
    go_on.touch()
    result = run.wait(60)
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["held"] == [1], "committed once, and the try that was given back is no try"
    assert result.store["after"] == 1
    kinds = [entry.kind for entry in run.journal()]
    assert kinds.count("action.released") == 1
    assert not {"action.failed", "action.lost"} & set(kinds)


def test_a_worker_that_is_asked_to_stop_does_not_wait_for_an_absent_server(
    tmp_path: Path,
) -> None:
    with (
        RedisServer() as server,
        LocalCluster(1, url=server.url, modules=["tests.support.ending"]) as cluster,
    ):
        run = begun(cluster, ending.hold.s(str(tmp_path / "never")))
        main, child = main_process_of(run, cluster), process_of(run)
        server.kill()
        os.killpg(main, signal.SIGTERM)
        eventually(lambda: not is_alive(child))
        eventually(lambda: not is_alive(main))
