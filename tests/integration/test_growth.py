"""Bytes through Redis: an action costs the same in a plan of 10 as in one of 10,000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, chain, group

from gostage_core import RunStatus, Stage, Workflow
from gostage_workers import LocalCluster
from tests.support.eventually import eventually
from tests.support.growing import step

if TYPE_CHECKING:
    from collections.abc import Iterator


CANVAS_BYTES = 522_000_000
"""What a chain of three groups of 100, each with a join, moved at its start with Celery 5.6.3."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(1, modules=["tests.support.growing"]) as cluster:
        yield cluster


def moved(cluster: LocalCluster) -> int:
    """Bytes that have gone into and out of the server."""
    info = cluster.runner._state.client.info("stats")
    return int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"])


def nothing() -> None:
    """Stand for a task that nobody executes."""


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


def test_stages_side_by_side_move_a_hundredth_of_what_a_canvas_of_the_shape_moved(
    cluster: LocalCluster,
) -> None:
    workflow = Workflow("wide")
    canvas: list[Any] = []
    with Celery(broker=cluster.url, backend="cache+memory://", set_as_current=False) as app:
        task = app.task(name="nobody.takes.it")(nothing)
        for number in range(3):
            workflow.add_stage(Stage(f"s{number}", [step.s()] * 100, parallel=True))
            workflow.add_stage(Stage(f"join{number}", [step.s()]))
            canvas += [group(task.si() for _ in range(100)), task.si()]
        before = moved(cluster)
        result = cluster.runner.execute(workflow, timeout=120)
        ours = moved(cluster) - before
        assert result.status is RunStatus.COMPLETED
        before = moved(cluster)
        chain(*canvas).apply_async()
        at_start = moved(cluster) - before
        cluster.runner._state.client.delete("celery")
    assert 100 * ours <= CANVAS_BYTES
    assert 4 * ours <= at_start, "since 5.7 Celery moves less, and still that much before it begins"


def test_a_store_that_an_action_does_not_touch_costs_nothing(cluster: LocalCluster) -> None:
    small = cost(cluster, 200, {"blob": b"x" * 1_000})
    large = cost(cluster, 200, {f"blob{i}": b"x" * 1_000_000 for i in range(10)})
    assert large <= 1.1 * small
