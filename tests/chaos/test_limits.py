"""Limits and schedules over real workers, which are killed meanwhile."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from gostage_core import RunStatus, Stage, Throttle, Workflow
from gostage_workers import LocalCluster
from tests.support import crowded
from tests.support.eventually import eventually
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run

MODULES = ["tests.support.crowded"]


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """Where bodies count themselves; the workers inherit its address."""
    with RedisServer() as server:
        monkeypatch.setenv("CROWDED_URL", server.url)
        yield server


def visits(count: int, throttle: Throttle) -> Workflow:
    made = Workflow("visits")
    visit = crowded.visit.s().options(throttle=throttle)
    made.add_stage(Stage("s", [visit] * count, parallel=True))
    return made


def peaks() -> list[int]:
    with crowded.client() as server:
        return [int(one) for one in server.lrange(crowded.PEAKS, 0, -1)]  # type: ignore[union-attr]


def ended(runs: list[Run]) -> int:
    return sum(run.status.is_terminal for run in runs)


def test_never_more_bodies_are_inside_than_a_throttle_allows(crowd: RedisServer) -> None:
    throttle = Throttle("api", concurrency=2)
    with LocalCluster(2, concurrency=2, modules=MODULES) as cluster:
        runs = [
            cluster.runner.submit(visits(20, throttle), concurrency_key=f"tenant-{n % 3}")
            for n in range(15)
        ]
        for run in runs:
            result = run.wait(timeout=90)
            assert (result.status, result.store["visits"]) == (RunStatus.COMPLETED, 20)
    assert len(peaks()) == 300
    assert max(peaks()) == 2


def test_a_throttle_holds_and_nobody_is_forgotten_while_workers_are_killed(
    crowd: RedisServer,
) -> None:
    throttle = Throttle("api", concurrency=2)
    with LocalCluster(3, modules=MODULES) as cluster:
        runs = [cluster.runner.submit(visits(25, throttle)) for _ in range(8)]
        for share in (1, 3, 5):
            eventually(lambda share=share: len(peaks()) > 25 * share, timeout=60)
            cluster.kill_worker()
        for run in runs:
            result = run.wait(timeout=90)
            assert (result.status, result.store["visits"]) == (RunStatus.COMPLETED, 25)
        eventually(lambda: not list(cluster.runner.throttles))
    assert max(peaks()) == 2


def test_a_rate_is_kept_in_any_window_by_the_clock_of_the_server(crowd: RedisServer) -> None:
    throttle = Throttle("api", rate=5, per=0.5)
    with LocalCluster(2, concurrency=2, modules=MODULES) as cluster:
        runs = [cluster.runner.submit(visits(10, throttle)) for _ in range(4)]
        for run in runs:
            assert run.wait(timeout=90).status is RunStatus.COMPLETED
        journals = [entry for run in runs for entry in run.journal()]
    began = sorted(entry.at for entry in journals if entry.kind == "action.started")
    assert len(began) == 40
    apart = [later - earlier for earlier, later in zip(began, began[5:], strict=False)]
    assert min(apart) >= timedelta(milliseconds=500)


def test_a_schedule_has_one_run_for_each_time_while_a_worker_is_killed(
    crowd: RedisServer,
) -> None:
    made = Workflow("tick")
    made.add_stage(Stage("s", [crowded.visit.s()]))
    with LocalCluster(3, modules=MODULES) as cluster:
        schedule = cluster.runner.schedules.add("tick", made, every=1, overlap="allow")
        for count in (4, 8):
            eventually(lambda count=count: schedule.info.fired >= count)
            cluster.kill_worker()
        eventually(lambda: schedule.info.fired >= 16, timeout=60)
        schedule.pause()
        info = schedule.info
        summaries = cluster.runner.list(tag="schedule:tick", limit=100)
        runs = [cluster.runner.get(summary.run_id) for summary in summaries]
        assert all(run.wait(timeout=60).status is RunStatus.COMPLETED for run in runs)
    assert (len(runs), info.missed, info.skipped) == (info.fired, 0, 0)
    times = sorted(run.run_id for run in runs)
    assert len(set(times)) == len(times)
    seconds = [int(one[-3:-1]) + 60 * int(one[-5:-3]) for one in times]
    steps = {timedelta(seconds=(b - a) % 3600) for a, b in pairwise(seconds)}
    assert steps == {timedelta(seconds=1)}, times
