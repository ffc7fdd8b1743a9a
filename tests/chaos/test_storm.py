"""A short storm of random kills: nothing is lost and nothing is done twice."""

from __future__ import annotations

from gostage_workers import LocalCluster
from tests.chaos.storm import storm


def test_nothing_is_lost_or_done_twice_under_random_kills() -> None:
    with LocalCluster(3, modules=["tests.support.storming"]) as cluster:
        report = storm(cluster, kills=25, seed=7)
    assert report.sound, report.lines()


def test_nor_when_redis_is_killed_as_well() -> None:
    with LocalCluster(2, modules=["tests.support.storming"]) as cluster:
        report = storm(cluster, kills=15, seed=11, redis=True)
    assert report.sound, report.lines()
