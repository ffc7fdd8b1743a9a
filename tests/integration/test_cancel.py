"""A run is asked to end, and ends: at once where it can, by force where it must."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import (
    ActionContext,
    ForEach,
    Middleware,
    Repeat,
    Retry,
    RunNotFoundError,
    RunStateError,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from tests.support.noting import HOOKS, After, fails, meanwhile, note, undo
from tests.support.watched import done, kinds, last, one_stage, states

if TYPE_CHECKING:
    from gostage_core import HookContext, Run, ScopeOutcome
    from tests.support.watched import WatchedBench


def doomed(bench: WatchedBench) -> dict[str, str]:
    """What the main process of the bench's workers is told to stop."""
    return bench.state.renew(["w", "other"])


def test_nothing_more_of_a_cancelled_run_begins(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(*(note.s().options(name=name) for name in "abc")))
    watched.one_step()
    run.cancel("not wanted", actor="ana")
    assert run.status is RunStatus.CANCELLED
    watched.later(60)
    assert done(run) == ["a"]
    assert states(run) == {"a": "completed", "b": "cancelled", "c": "pending"}
    told = last(run, "run.halting")
    assert (told.actor, told.reason) == ("ana", "not wanted")
    assert "is cancelled: by ana: not wanted" in str(run.why())


def test_what_ends_well_when_its_run_was_cancelled_is_committed(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(meanwhile.s(), note.s()))
    HOOKS["now"] = run.cancel
    watched.settle()
    assert (run.status, done(run)) == (RunStatus.CANCELLED, ["meanwhile"])


def test_a_body_is_told_that_its_run_is_to_end(watched: WatchedBench) -> None:
    told: list[bool] = []

    @action
    def listens(ctx: ActionContext) -> None:
        ctx.heartbeat()
        told.append(ctx.cancelled)
        run.cancel()
        ctx.heartbeat()
        told.append(ctx.cancelled)
        raise RuntimeError("given up")

    run = watched.submit(one_stage(listens.s().options(retry=Retry(5))))
    watched.settle()
    assert told == [False, True]
    assert run.status is RunStatus.CANCELLED


@pytest.mark.parametrize(
    "waits",
    [
        Sleep("1d"),
        WaitForSignal("ok", timeout="1d"),
        ForEach("items", Sleep("1d")),
        Repeat(WaitForSignal("ok"), max_times=9),
        RunWorkflow(one_stage(RunWorkflow(one_stage(Sleep("1d"))))),
        fails.s().options(retry=Retry(3, delay=3600)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_run_that_waits_ends_at_once(watched: WatchedBench, waits: object) -> None:
    run = watched.settled(waits, note.s(), store={"items": [1, 2]})  # type: ignore[arg-type]
    run.cancel()
    assert {watched.runner.get(one).status for one in watched.run_ids()} == {RunStatus.CANCELLED}
    assert watched.state.client.zcard(watched.state.keys.of("wake")) == 0


def test_cancel_may_be_repeated(watched: WatchedBench) -> None:
    run = watched.settled(Sleep("1d"))
    for _ in range(3):
        run.cancel("once")
    assert kinds(run, "run.") == ["run.submitted", "run.started", "run.halting", "run.cancelled"]


def test_a_run_that_has_ended_otherwise_cannot_be_cancelled(watched: WatchedBench) -> None:
    run = watched.settled(note.s())
    with pytest.raises(RunStateError, match="is completed already; it cannot be cancelled"):
        run.cancel()
    run.delete()
    with pytest.raises(RunNotFoundError):
        run.cancel()


def test_a_run_that_its_throttle_holds_is_cancelled_without_having_begun(
    watched: WatchedBench,
) -> None:
    workflow = Workflow("w", throttle=Throttle(concurrency=1))
    workflow.add_stage(Stage("s", [Sleep(60)]))
    first, second, third = (watched.submit(workflow) for _ in range(3))
    watched.settle()
    second.cancel()
    assert second.status is RunStatus.CANCELLED
    watched.later(60)
    watched.later(60)
    assert (first.status, third.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED)


def test_what_runs_on_beyond_the_grace_is_ended_from_outside(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(meanwhile.s(), note.s()))

    def hang() -> None:
        run.cancel(grace=10)
        watched.server.clock.advance(9)
        watched.tick()
        assert run.status is RunStatus.RUNNING
        watched.server.clock.advance(1)
        watched.tick()
        assert run.status is RunStatus.CANCELLED
        stops = doomed(watched)
        assert list(stops) == ["w"]
        assert doomed(watched) == stops  # the answer may be lost
        assert stops["w"].endswith(f" {run.run_id} 2")

    HOOKS["now"] = hang
    watched.settle()
    assert watched.state.claims_of("w") == {}
    watched.submit(one_stage(note.s()))
    watched.settle()
    assert not doomed(watched)  # it has gone on to something else
    assert done(run) == []  # its commit came too late
    assert states(run) == {"meanwhile": "cancelled", "note": "pending"}
    assert last(run, "action.cancelled").change == {"forced": True}


def test_the_grace_is_that_of_the_settings_unless_it_is_given(watched: WatchedBench) -> None:
    watched.state.settings = watched.state.settings.model_copy(update={"cancel_grace": 5.0})
    run = watched.submit(one_stage(meanwhile.s()))

    def hang() -> None:
        run.cancel()
        watched.server.clock.advance(5)
        watched.tick()
        assert run.status is RunStatus.CANCELLED

    HOOKS["now"] = hang
    watched.settle()


def test_asking_again_with_a_shorter_grace_shortens_it_and_a_longer_one_does_not(
    watched: WatchedBench,
) -> None:
    run = watched.submit(one_stage(meanwhile.s()))

    def hang() -> None:
        run.cancel(grace=3600)
        run.cancel(grace=10)
        run.cancel(grace="1d")
        assert watched.snapshot(run.run_id).header["grace"] == "10000"  # of what begins later
        watched.server.clock.advance(10)
        watched.tick()
        assert run.status is RunStatus.CANCELLED

    HOOKS["now"] = hang
    watched.settle()


def test_the_grace_holds_in_child_runs_too(watched: WatchedBench) -> None:
    inner = one_stage(meanwhile.s(), id="inner")
    run = watched.submit(one_stage(RunWorkflow(one_stage(RunWorkflow(inner), id="middle"))))

    def hang() -> None:
        run.cancel(grace=10)
        watched.tick()
        assert run.status is RunStatus.WAITING
        watched.server.clock.advance(10)
        watched.tick()
        everything = {watched.runner.get(one).status for one in watched.run_ids()}
        assert everything == {RunStatus.CANCELLED}
        assert list(doomed(watched)) == ["w"]

    HOOKS["now"] = hang
    watched.settle()


def test_hooks_behind_a_cancelled_stage_have_the_grace_too(watched: WatchedBench) -> None:
    class Hangs(Middleware):
        def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            watched.server.clock.advance(11)
            watched.tick()
            ctx.store.append("done", "too late")

    run = watched.submit(one_stage(Sleep("1d")).use(Hangs()))
    watched.settle()
    run.cancel(grace=10)
    watched.settle()
    assert (run.status, done(run)) == (RunStatus.CANCELLED, [])


def test_what_runs_at_the_deadline_has_the_grace_too(watched: WatchedBench) -> None:
    watched.state.settings = watched.state.settings.model_copy(update={"cancel_grace": 5.0})
    run = watched.submit(one_stage(meanwhile.s()), deadline=60)

    def hang() -> None:
        for seconds, status in ((60, RunStatus.RUNNING), (5, RunStatus.FAILED)):
            watched.server.clock.advance(seconds)
            watched.tick()
            assert run.status is status

    HOOKS["now"] = hang
    watched.settle()
    assert "DeadlineExceededError" in str(run.result().error)


def test_a_run_that_makes_place_for_another_has_the_grace_too(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(meanwhile.s()), key="k")

    def hang() -> None:
        other = watched.submit(one_stage(note.s()), key="k", on_conflict="replace")
        watched.server.clock.advance(29)
        watched.tick()
        assert run.status is RunStatus.RUNNING
        watched.server.clock.advance(1)
        watched.tick()
        assert run.status is RunStatus.CANCELLED
        assert last(run, "run.halting").actor == f"run {other.run_id}"

    HOOKS["now"] = hang
    watched.settle()


@pytest.mark.parametrize("moment", list(Moment))
def test_a_worker_may_die_in_a_run_that_is_cancelled(watched: WatchedBench, moment: Moment) -> None:
    run = watched.submit(one_stage(meanwhile.s(), note.s()).use(After()))
    HOOKS["now"] = run.cancel
    watched.die_at = moment
    watched.settle()
    if moment is Moment.CLAIMED:
        run.cancel()
    watched.settle()
    assert run.status is RunStatus.CANCELLED
    assert done(run)[-1:] == ["after cancelled"]
    assert "note" not in done(run)


def test_hooks_are_told_how_their_scope_ended(watched: WatchedBench) -> None:
    run = watched.settled(Sleep("1d"))
    run.cancel()
    workflow = one_stage(Sleep("1d")).use(After())
    run = watched.submit(workflow)
    watched.settle()
    run.cancel()
    watched.settle()
    assert done(run) == ["after cancelled"]


@pytest.mark.parametrize("verdict", ["failed", "cancelled"])
def test_a_compensation_goes_on_though_its_run_is_cancelled_again(
    watched: WatchedBench, verdict: str
) -> None:
    slow = meanwhile.s().options(name="slow")
    end = fails.s() if verdict == "failed" else Sleep("1d")
    two = note.s().options(compensate=undo.s())
    run = watched.submit(one_stage(two, note.s().options(compensate=slow), end))
    if verdict == "cancelled":
        watched.settle()
        run.cancel()

    def again() -> None:
        if verdict == "cancelled":
            run.cancel()  # as it was: nothing to complain of
        else:
            with pytest.raises(RunStateError, match="is failed already; it cannot be cancelled"):
                run.cancel()

    HOOKS["now"] = again
    watched.settle()
    assert run.status == verdict
    assert done(run) == ["note", "note", "slow", "undo"]
    assert run.result().compensated is True


def test_a_child_run_that_undoes_what_it_did_is_left_to_it(watched: WatchedBench) -> None:
    slow = meanwhile.s().options(name="slow")
    child = one_stage(note.s().options(compensate=slow), fails.s(), id="child")
    run = watched.submit(one_stage(RunWorkflow(child)))
    HOOKS["now"] = run.cancel
    watched.settle()
    below = watched.child(run)
    assert (run.status, below.status) == (RunStatus.CANCELLED, RunStatus.FAILED)
    assert done(below) == ["note", "slow"]
    assert below.result().compensated is True


def test_a_run_may_be_cancelled_at_every_step_of_a_rich_plan(watched: WatchedBench) -> None:
    steps = 0
    while True:
        run = watched.submit(rich(), store={"items": [1, 2]})
        for _ in range(steps):
            if not run.status.is_terminal:
                watched.one_step()
        if run.status.is_terminal:
            break
        run.cancel()
        watched.settle()
        assert run.status is RunStatus.CANCELLED
        check_undone(run)
        run.delete()
        steps += 1
    assert run.status is RunStatus.COMPLETED
    assert steps > 15


def rich() -> Workflow:
    """A workflow of everything that waits and is undone."""

    def one(name: str) -> object:
        return note.s().options(name=name, compensate=undo.s())

    child = one_stage(one("c"), Sleep(20), id="child")
    workflow = Workflow("rich").use(After())
    workflow.add_stage(Stage("a", [one("a"), ForEach("items", one("b"), Sleep(20))]))  # type: ignore[list-item, arg-type]
    side = [RunWorkflow(child), WaitForSignal("x", timeout=20, default=None), one("d")]
    workflow.add_stage(Stage("b", side, parallel=True))  # type: ignore[arg-type]
    workflow.add_stage(Stage("c", [Repeat(one("e"), Sleep(20), max_times=2)]))  # type: ignore[arg-type]
    return workflow


def check_undone(run: Run) -> None:
    """Check that whatever was done here is undone, the last one first."""
    words = done(run)
    made = [word for word in words if word in "abde"]
    assert words.count("undo") == len(made)
    assert run.result().compensated is (True if made else None)
    undoes = [one.undoes.rpartition("/")[2] for one in run.result().actions if one.undoes]
    completed = [one for one in run.journal() if one.kind == "action.completed"]
    names = {one.entry: one.name for one in run.result().actions}
    in_order = [names[one.entry] for one in completed if names.get(one.entry, "?") in "abde"]
    assert undoes == in_order[::-1]
