"""A fork can be forked: what its original had done is as little done again as what it has done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import ForEach, Repeat, Run, RunStatus, Stage, Workflow
from tests.support.scripted import do, script, statuses, workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import ActionContext
    from tests.support.bench import Bench


@pytest.fixture(autouse=True)
def told() -> Iterator[None]:
    script.clear()
    yield
    script.clear()


def order_of(bench: Bench, run: Run) -> list[str]:
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED, result.error
    return result.store.get("order", list[str])


def parallel(*names: str) -> Workflow:
    made = Workflow("w")
    made.add_stage(Stage("s", do(*names), parallel=True))
    return made


def test_what_was_done_two_runs_ago_is_not_done_again(memory_bench: Bench) -> None:
    first = memory_bench.submit(workflow(s="a b", t="c d"))
    assert order_of(memory_bench, first) == ["a", "b", "c", "d"]
    second = first.fork("b")
    assert order_of(memory_bench, second) == ["a", "b", "c", "d"]
    third = second.fork("d")
    assert order_of(memory_bench, third) == ["a", "b", "c", "d"]
    assert [one.attempt for one in third.plan.actions] == [1, 1, 1, 1]


def test_a_parallel_stage_that_was_begun_two_runs_ago_ends(memory_bench: Bench) -> None:
    first = memory_bench.submit(parallel("a", "b", "c"))
    assert order_of(memory_bench, first) == ["a", "b", "c"]
    second = first.fork("b")
    assert order_of(memory_bench, second) == ["a", "b", "c"]
    assert order_of(memory_bench, second.fork("c")) == ["a", "b", "c"]


def test_what_was_disabled_or_removed_two_runs_ago_stays_so(memory_bench: Bench) -> None:
    def changes(ctx: ActionContext) -> None:
        ctx.actions["off"].disable()
        ctx.actions["gone"].remove()
        ctx.stages["u"].disable()
        ctx.stages["v"].remove()

    script["a"] = changes
    made = workflow(s="a", t="b c off gone", u="d", v="e")
    first = memory_bench.submit(made)
    assert order_of(memory_bench, first) == ["a", "b", "c"]
    second = first.fork("b")
    assert order_of(memory_bench, second) == ["a", "b", "c"]
    third = second.fork("c")
    assert order_of(memory_bench, third) == ["a", "b", "c"]
    assert statuses(third) == statuses(first)
    assert not third.plan.at(1).stages[2].enabled


def test_what_was_enabled_since_is_done_in_a_fork_of_the_fork(memory_bench: Bench) -> None:
    script["a"] = lambda ctx: ctx.actions["off"].disable()
    script["b"] = lambda ctx: ctx.actions["off"].enable()
    first = memory_bench.submit(workflow(s="a b c off"))
    assert order_of(memory_bench, first) == ["a", "b", "c", "off"]
    second = first.fork("b")
    assert order_of(memory_bench, second) == ["a", "b", "c", "off"]
    assert order_of(memory_bench, second.fork("c")) == ["a", "b", "c", "off"]


def test_passes_and_items_are_counted_on_over_two_forks(memory_bench: Bench) -> None:
    made = workflow(s=[Repeat(*do("x"), max_times=4)], t=[ForEach("items", *do("y"))])
    first = memory_bench.submit(made, store={"items": [1, 2]})
    wanted = ["x"] * 4 + ["y"] * 2
    assert order_of(memory_bench, first) == wanted
    passes = [one.entry for one in first.plan.actions if one.name == "x"]
    second = first.fork(passes[1])
    assert order_of(memory_bench, second) == wanted
    passes = [one.entry for one in second.plan.actions if one.name == "x"]
    third = second.fork(passes[2])
    assert order_of(memory_bench, third) == wanted
    item = [one.entry for one in third.plan.actions if one.name == "y"][1]
    assert order_of(memory_bench, third.fork(item)) == wanted
