"""A thousand actions side by side and their join, while workers die."""

from __future__ import annotations

from gostage_core import RunStatus, Stage, Workflow
from gostage_workers import LocalCluster
from tests.support.crowd import join, member
from tests.support.eventually import eventually

MEMBERS = 1_000


def test_each_of_a_thousand_members_commits_once_while_workers_are_killed() -> None:
    workflow = Workflow("crowd")
    members = [member.s(number) for number in range(MEMBERS)]
    workflow.add_stage(Stage("crowd", members, parallel=True, max_parallel=50))
    workflow.add_stage(Stage("join", [join.s()]))
    with LocalCluster(2, modules=["tests.support.crowd"], startup_timeout=60) as cluster:
        run = cluster.runner.submit(workflow)
        for share in (100, 350, 700):
            eventually(lambda: run.store.get("count", int, default=0) >= share, 120)  # noqa: B023
            cluster.kill_worker()
        result = run.wait(120)
        completed = [entry.entry for entry in run.journal() if entry.kind == "action.completed"]
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["joined"] == result.store["count"] == MEMBERS
    assert result.store["numbers"] == list(range(MEMBERS))
    assert len(completed) == len(set(completed)) == MEMBERS + 1
