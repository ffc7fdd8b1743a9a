"""Whatever happens to a run, it ends, and between any two operations it is sound."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from gostage_core import Action, ActionContext, RunStatus, Stage, Workflow, action
from gostage_core.authoring.action import definition_of
from gostage_core.authoring.definition import WorkflowDefinition
from gostage_core.authoring.waits import ChildRun, Delivery, Group, Member, Wait
from tests.support.invariants import check_bytes, check_left
from tests.support.living import World
from tests.support.living_plans import Do

if TYPE_CHECKING:
    from gostage_core import Run
    from tests.support.bench import Bench

COUNTS = definition_of(Do()).action


@pytest.mark.parametrize("seed", range(40))
def test_a_run_ends_and_is_sound_all_the_way(bench: Bench, seed: int) -> None:
    live(bench, seed)


@pytest.mark.parametrize("seed", range(40, 240))
def test_a_run_ends_and_is_sound_all_the_way_in_memory(memory_bench: Bench, seed: int) -> None:
    live(memory_bench, seed)


def live(bench: Bench, seed: int) -> None:
    world = World(bench, Random(seed))
    for run in world.live():
        if run.run_id.startswith(world.roots[0]):  # a fork has what was counted elsewhere
            check_left(bench.state, run, COUNTS)
        check_bytes(bench.state, run.run_id)
        assert "never" not in run.store
    world.forget()


class Sow(Action):
    """Notes its name, and adds others that do so."""

    below: dict[str, Sow] = {}

    def execute(self, ctx: ActionContext) -> None:
        ctx.store.append("order", ctx.action.name)
        ctx.add_action(*(one.options(name=name) for name, one in self.below.items()))


class Under(Action):
    """Has a run of its own."""

    workflow: WorkflowDefinition

    def execute(self, ctx: ActionContext) -> Wait | None:
        return None if ctx.phase else ChildRun(self.workflow, {})


class Mixed(Action):
    """Waits for something from outside, and then for a group."""

    def execute(self, ctx: ActionContext) -> Wait | int:
        if ctx.phase == 0:
            return Delivery("parcel", 60)
        if ctx.phase == 1:
            return Group((Member((definition_of(Sow()),)),), collect=True)
        return len(ctx.outcome().results)


def submit(bench: Bench, *actions: Action, parallel: bool = False, limit: int | None = None) -> Run:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions, parallel=parallel, max_parallel=limit))
    return bench.submit(workflow)


def damage(bench: Bench, run_id: str, field: str, text: str | None) -> None:
    plan = bench.state.keys.of("plan", run_id)
    if text is None:
        bench.state.client.hdel(plan, field)
    else:
        bench.state.client.hset(plan, field, text)


def test_what_is_added_while_earlier_additions_wait_for_room_is_done_too(bench: Bench) -> None:
    deep = Sow(below={"b": Sow(below={"x": Sow(), "y": Sow()}), "c": Sow(), "d": Sow()})
    run = submit(bench, deep.options(name="a"), Sow().options(name="z"), parallel=True, limit=1)
    assert sorted(bench.drain(run).store["order"]) == ["a", "b", "c", "d", "x", "y", "z"]


def test_what_an_operator_adds_to_a_parallel_stage_begins_where_there_is_room(
    bench: Bench,
) -> None:
    run = submit(bench, Sow(), Sow(), parallel=True, limit=3)
    with run.edit(reason="two more") as plan:
        plan.stages["s"].add(Sow(), Sow())
    assert len(bench.post.messages) == 3
    assert len(bench.drain(run).store["order"]) == 4


def test_an_entry_that_is_named_twice_in_an_edit_is_taken_out_once(bench: Bench) -> None:
    run = submit(bench, Sow(), Sow(), parallel=True)
    answer = bench.state.edit(
        run.run_id,
        nonce="n",
        revision=1,
        details='{"actor":"ana"}',
        edits=[2, "disable", "2", "disable", "2"],
    )
    assert answer.word == "applied"
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_an_entry_is_told_how_that_went_for_which_it_waited_last(bench: Bench) -> None:
    run = submit(bench, Mixed().options(store_as="results"))
    assert bench.drain(run).store["results"] == 1


def test_a_cancelled_run_ends_although_its_open_stage_has_lost_its_record(bench: Bench) -> None:
    @action
    def body(ctx: ActionContext) -> None:
        run.cancel()
        damage(bench, run.run_id, "r1", None)

    run = submit(bench, body.s())
    bench.step()
    assert run.status is RunStatus.CANCELLED


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("l1", "1,2,3"),
        ("l1", "1,0,2,3,p,1000,0,f,0,0,0,"),
        ("l3", "1,2,0"),
        ("l3", "1,3,0"),
        ("r3", "0,0,0"),
    ],
)
def test_a_run_whose_plan_is_damaged_ends_or_can_be_cancelled(
    bench: Bench, field: str, text: str
) -> None:
    run = submit(bench, Sow(), Sow(), Sow(), parallel=True, limit=1)
    damage(bench, run.run_id, field, text)
    for _ in range(8):
        if bench.post.messages:
            bench.step()
        bench.pass_time()
    if not run.status.is_terminal:
        run.cancel()
    assert run.status.is_terminal


def test_the_end_of_a_child_run_stands_whatever_becomes_of_the_run_above(bench: Bench) -> None:
    workflow = Workflow("below")
    workflow.add_stage(Stage("inner", [Sow()]))
    run = submit(bench, Under(workflow=workflow.definition()))
    bench.step()
    child = bench._runner.get(bench.post.messages[0].run_id)
    damage(bench, run.run_id, "r2", "?")
    bench.step()
    assert child.status is RunStatus.COMPLETED
    assert run.status is RunStatus.FAILED


def test_a_run_that_ends_because_of_damage_takes_its_child_runs_along(bench: Bench) -> None:
    workflow = Workflow("below")
    workflow.add_stage(Stage("inner", [Sow()]))
    run = submit(bench, Under(workflow=workflow.definition()), Sow(), parallel=True)
    bench.step()
    child = bench._runner.get(bench.post.messages[-1].run_id)
    damage(bench, run.run_id, "r1", "?")
    bench.step()
    assert run.status is RunStatus.FAILED
    assert child.status is RunStatus.CANCELLED
