"""Bytes through Redis: an action costs the same in a plan of 10 as in one of 10,000."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import RunStatus, Workflow
from gostage_workers import LocalCluster
from tests.support.eventually import eventually
from tests.support.growing import step

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(1, modules=["tests.support.growing"]) as cluster:
        yield cluster


def moved(cluster: LocalCluster) -> int:
    """Bytes that have gone into and out of the server."""
    info = cluster.runner._state.client.info("stats")
    return int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"])


def cost(cluster: LocalCluster, actions: int, store: dict[str, object] | None = None) -> int:
    """Bytes that a run moves from submit to end; those of a store that is given are left out."""
    workflow = Workflow("growing")
    workflow.add_stage("s").add(*[step.s() for _ in range(actions)])
    before = moved(cluster)
    run = cluster.runner.submit(workflow, store=store)
    if store is not None:
        before = moved(cluster)
    eventually(lambda: run.status.is_terminal, timeout=120)
    after = moved(cluster)
    assert run.status is RunStatus.COMPLETED
    return after - before


def marginal(cluster: LocalCluster, actions: int) -> float:
    """Bytes an action, as a plan of so many grows to twice as many."""
    return (cost(cluster, 2 * actions) - cost(cluster, actions)) / actions


def test_bytes_of_an_action_do_not_grow_with_the_plan(cluster: LocalCluster) -> None:
    cost(cluster, 10)
    at = {actions: marginal(cluster, actions) for actions in (10, 100, 1_000, 5_000)}
    large = at[1_000]
    assert at[100] == pytest.approx(large, rel=0.10), at
    assert at[5_000] == pytest.approx(large, rel=0.10), at
    assert at[10] <= 1.2 * large, at


def test_a_store_that_an_action_does_not_touch_costs_nothing(cluster: LocalCluster) -> None:
    small = cost(cluster, 200, {"blob": b"x" * 1_000})
    large = cost(cluster, 200, {f"blob{i}": b"x" * 1_000_000 for i in range(10)})
    assert large <= 1.1 * small
