"""A run leaves the same in memory as over a real server, driven by hand."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from gostage_core.settings import Settings
from gostage_core.testing import MemoryEngine
from tests.support import living_plans
from tests.support.living_plans import Do, Maker
from tests.support.parity import STORE, WORKFLOWS, Left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import ActionContext, Workflow
    from tests.support.bench import Bench


@pytest.fixture
def engine(namespace: str, fresh_registry: None) -> Iterator[MemoryEngine]:
    with MemoryEngine(settings=Settings(namespace=namespace)) as engine:
        yield engine


class Quiet:
    """A world in which nothing happens to bodies, and that adds an action where one asks."""

    def interfere(self, ctx: ActionContext | None) -> None:
        pass

    def change(self, ctx: ActionContext, grows: int) -> None:
        ctx.add_action(Do(grows=grows).options(name="grown"))


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(living_plans, "WORLDS", [Quiet()])


def assert_the_same(bench: Bench, engine: MemoryEngine, workflow: Workflow) -> None:
    there = bench.submit(workflow, store=STORE)
    bench.drain(there)
    here = engine.submit(workflow, store=STORE)
    here.wait()
    assert Left.of(here) == Left.of(there)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_run_leaves_the_same_as_over_a_real_server(
    bench: Bench, engine: MemoryEngine, name: str
) -> None:
    assert_the_same(bench, engine, WORKFLOWS[name]())


@pytest.mark.parametrize("seed", range(30))
def test_so_does_a_run_of_what_chance_has_made(
    bench: Bench, engine: MemoryEngine, quiet: None, seed: int
) -> None:
    assert_the_same(bench, engine, Maker(Random(seed), alone=True).workflow())
