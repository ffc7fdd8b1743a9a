"""A run is forgotten with all that is its, whatever it does meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import (
    ActionContext,
    ForEach,
    RunNotFoundError,
    RunStatus,
    RunWorkflow,
    Sleep,
    Throttle,
    WaitForSignal,
    action,
)
from tests.support.invariants import check_forgotten
from tests.support.noting import After, note
from tests.support.watched import done, one_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.watched import WatchedBench

HOOKS: dict[str, Callable[[], object]] = {}


@action
def meanwhile(ctx: ActionContext) -> None:
    """Let the test do something while this runs."""
    ctx.store.put("x", 1, tags=["y"])
    ctx.checkpoint()
    ctx.send("hello", 1)
    HOOKS["now"]()


def forgotten(bench: WatchedBench) -> None:
    """Check that nothing is left, once what was under way has come to nothing."""
    bench.settle()
    bench.later(3)
    check_forgotten(bench.state)


@pytest.mark.parametrize("steps", range(6))
def test_a_run_may_be_deleted_at_any_step(watched: WatchedBench, steps: int) -> None:
    child = one_stage(note.s(), Sleep(5), id="child").use(After())
    run = watched.submit(
        one_stage(ForEach("items", RunWorkflow(child).options(compensate=note.s())), note.s()).use(
            After()
        ),
        store={"items": [1, 2]},
        key="k",
        tags=["t"],
        deadline=3600,
    )
    for _ in range(steps):
        watched.one_step(5)
    run.delete("not needed", actor="ana")
    forgotten(watched)
    run.delete()
    with pytest.raises(RunNotFoundError):
        watched.runner.get(run.run_id)


@pytest.mark.parametrize("how", ["nothing", "pause", "cancel", "signal"])
def test_a_run_may_be_deleted_whatever_was_asked_of_it(watched: WatchedBench, how: str) -> None:
    run = watched.settled(WaitForSignal("ok", timeout=60), note.s())
    {"pause": run.pause, "cancel": run.cancel, "signal": lambda: run.signal("other")}.get(
        how, lambda: None
    )()
    run.delete()
    forgotten(watched)


def test_what_runs_in_a_run_that_is_deleted_leaves_nothing_and_is_stopped(
    watched: WatchedBench,
) -> None:
    run = watched.submit(one_stage(meanwhile.s(), note.s()).use(After()))
    stops: list[dict[str, str]] = []

    def delete() -> None:
        run.delete()
        stops.append(watched.state.renew(["w"]))

    HOOKS["now"] = delete
    watched.settle()
    assert list(stops[0]) == ["w"]
    forgotten(watched)


def test_what_runs_in_a_child_run_that_is_deleted_with_its_parent_leaves_nothing(
    watched: WatchedBench,
) -> None:
    run = watched.submit(one_stage(RunWorkflow(one_stage(meanwhile.s(), id="child")).options()))
    HOOKS["now"] = run.delete
    watched.settle()
    forgotten(watched)


def test_the_run_above_goes_on_as_if_its_child_had_been_cancelled(watched: WatchedBench) -> None:
    child = one_stage(Sleep("1d"), id="child")
    run = watched.settled(RunWorkflow(child).options(on_error="continue"), note.s())
    watched.child(run).delete()
    watched.settle()
    assert (run.status, done(run)) == (RunStatus.COMPLETED, ["note"])
    error = run.result().actions[0].error
    assert error is not None
    assert error.type == "ChildCancelledError"


def test_a_place_within_a_throttle_is_given_to_the_next(watched: WatchedBench) -> None:
    gate = Throttle("gate", concurrency=1)
    run = watched.submit(one_stage(meanwhile.s().options(throttle=gate)))
    others = []

    def delete() -> None:
        others.append(watched.submit(one_stage(note.s().options(throttle=gate))))
        watched.settle("another worker")
        run.delete()
        watched.settle("another worker")
        assert others[0].status is RunStatus.COMPLETED

    HOOKS["now"] = delete
    watched.settle()
    others[0].delete()
    forgotten(watched)


def test_runs_that_have_ended_are_forgotten_together(watched: WatchedBench) -> None:
    ended = [watched.settled(note.s(), tags=["x"]) for _ in range(3)]
    going = watched.settled(Sleep("1d"), tags=["x"])
    batch = watched.runner.purge(tag="x")
    assert len(batch) == 3
    assert not [one.error for one in batch.apply() if one.error]
    assert watched.run_ids() == [going.run_id]
    assert {run.run_id for run in ended}.isdisjoint(watched.run_ids())
