"""Whatever the order in which workers come to it, a run leaves the same in its store."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gostage_core import Stage, Workflow
from gostage_core.attempt import Moment
from tests.support.bench import Bench
from tests.support.growth import Grow, Sprout, expected, sprouts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run, Settings

DEEP = (
    Sprout(
        name="a",
        adds=(
            Sprout(
                name="b",
                each=(Sprout(name="c", adds=(Sprout(name="d", below=(Sprout(name="e"),)),)),),
            ),
        ),
        below=(Sprout(name="f", adds=(Sprout(name="g", each=(Sprout(name="h"),)),)),),
    ),
    Sprout(name="i", each=(Sprout(name="j", adds=(Sprout(name="k"), Sprout(name="l"))),)),
)


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    """A workbench on which chance may kill one action again and again: it is no poison here."""
    bench = Bench(settings.model_copy(update={"max_losses": 50}))
    yield bench
    bench.close()


def shuffled(bench: Bench, run: Run, chance: Random) -> None:
    """Deliver in any order, twice, or to a worker that dies of it, until the run has ended."""
    for turn in range(5_000):
        if run.status.is_terminal:
            return
        if not bench.post.messages:
            bench.bury()
            bench.pass_time()
            continue
        bench.post.messages.rotate(chance.randrange(len(bench.post.messages)))
        message = bench.post.messages.popleft()
        if chance.random() < 0.1:
            bench.die_at = chance.choice(list(Moment))
        bench.deliver(message, worker=f"w{turn % 4}" if bench.die_at is None else f"dead{turn}")
        bench.die_at = None
        if chance.random() < 0.1:
            bench.deliver(message, worker="late")
    raise AssertionError(f"the run does not end: {run.result()}")


def check(bench: Bench, what: tuple[Sprout, ...], seed: int) -> None:
    workflow = Workflow("grown")
    workflow.add_stage(Stage("s", [Grow(sprout=one) for one in what], parallel=True))
    run = bench.submit(workflow, store={"pair": [1, 2], "count": 0})
    shuffled(bench, run, Random(seed))
    result, wanted = run.result(), expected(what)
    assert result.status == "completed", result.error
    assert result.store["log"] == wanted.log
    assert result.store["count"] == wanted.count
    assert {key: result.store[key] for key in wanted.below} == wanted.below


def test_additions_three_levels_deep_in_parallel_branches_and_child_runs_keep_their_waiters(
    bench: Bench,
) -> None:
    for seed in range(25):
        check(bench, DEEP, seed)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(what=sprouts, seed=st.integers(0, 2**20))
def test_the_store_ends_the_same_whatever_the_interleaving(
    bench: Bench, what: tuple[Sprout, ...], seed: int
) -> None:
    check(bench, what, seed)
