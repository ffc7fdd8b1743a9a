"""Entries that wait for others hold no worker, and go on when those have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from gostage_core import Action, ActionContext, Branch, Stage, Workflow, action, condition, when
from gostage_core.authoring.action import definition_of
from gostage_core.authoring.definition import ActionDefinition, WorkflowDefinition
from gostage_core.authoring.waits import (
    BelowFailedError,
    ChildRun,
    Delivery,
    Group,
    Member,
    Wait,
)
from gostage_core.state.answers import Claim, CommitParts
from gostage_core.values.codec import decode, encode
from tests.support.invariants import check_all

if TYPE_CHECKING:
    from gostage_core import Run, RunResult
    from tests.support.bench import Bench


@action
def note(ctx: ActionContext, word: str, fails: bool = False) -> str:
    """Append a word to what was done."""
    if fails:
        raise ValueError(word)
    ctx.store.append("done", word)
    return word.upper()


class Team(Action):
    """Waits for groups of actions, one member each."""

    members: tuple[tuple[ActionDefinition, ...], ...]
    parallel: bool = True
    limit: int | None = None
    quorum: int | None = None
    on_failure: Literal["fail_fast", "wait_all"] = "fail_fast"

    def execute(self, ctx: ActionContext) -> Wait | list[Any]:
        if ctx.phase == 0:
            members = tuple(
                Member(actions, label=f"[{i}]", item=i * 10, index=i)
                for i, actions in enumerate(self.members)
            )
            return Group(
                members,
                parallel=self.parallel,
                limit=self.limit,
                quorum=self.quorum,
                on_failure=self.on_failure,
                collect=True,
            )
        outcome = ctx.outcome()
        if outcome.failure:
            raise BelowFailedError(outcome.failure)
        return [None if r is None else decode(r) for r in outcome.results]


class Parent(Action):
    """Waits for a run of its own."""

    workflow: WorkflowDefinition

    def execute(self, ctx: ActionContext) -> Wait | str:
        if ctx.phase == 0:
            return ChildRun(self.workflow, {"given": encode(7)})
        outcome = ctx.outcome()
        if outcome.failure:
            raise BelowFailedError(outcome.failure)
        if "result" in outcome.child_values:
            ctx.store.put("taken", decode(outcome.child_values["result"]))
        return f"{outcome.child_id} {outcome.child_status}"


class Awaiting(Action):
    """Waits for something from outside."""

    timeout: float | None = None

    def execute(self, ctx: ActionContext) -> Wait | str:
        if ctx.phase == 0:
            return Delivery("parcel", self.timeout)
        delivered = ctx.outcome().delivered
        return "nothing came" if delivered is None else delivered.decode()


@action
def tell_item(ctx: ActionContext) -> None:
    """Say which item this is."""
    ctx.store.append("done", f"{ctx.index}:{ctx.item}")


@action
def double(ctx: ActionContext) -> None:
    """Double what was given."""
    ctx.store.put("result", ctx.store.get("given", int) * 2)


def team(*members: tuple[Action, ...] | Action, **options: Any) -> Team:
    tuples = [one if isinstance(one, tuple) else (one,) for one in members]
    return Team(members=tuple(tuple(map(definition_of, one)) for one in tuples), **options)


def submit(bench: Bench, *actions: Action, **options: Any) -> Run:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions))
    workflow.add_stage(Stage("next", [note.s("end")]))
    return bench.submit(workflow, **options)


def finished(bench: Bench, *actions: Action) -> RunResult:
    return bench.drain(submit(bench, *actions))


def done(result: RunResult) -> list[str]:
    return list(result.store.get("done", list[str], default=[]))


@pytest.mark.parametrize("parallel", [True, False])
def test_a_group_is_done_in_order_and_then_what_follows_it(bench: Bench, parallel: bool) -> None:
    result = finished(
        bench,
        team(note.s("a"), (note.s("b"), note.s("c")), parallel=parallel).options(store_as="all"),
        note.s("d"),
    )
    assert result.status == "completed"
    assert done(result) == ["a", "b", "c", "d", "end"]
    assert result.store["all"] == ["A", "C"]


def test_a_group_without_members_ends_at_once(bench: Bench) -> None:
    result = finished(bench, team().options(store_as="all"), note.s("d"))
    assert (result.status, done(result), result.store["all"]) == ("completed", ["d", "end"], [])


def test_members_know_their_item_also_in_what_they_add(bench: Bench) -> None:
    result = finished(bench, team(tell_item.s(), tell_item.s(), tell_item.s(), limit=1))
    assert done(result) == ["0:0", "1:10", "2:20", "end"]


def test_what_fails_below_fails_what_waits_with_the_whole_path(bench: Bench) -> None:
    inner = team(note.s("a"), note.s("boom", fails=True)).options(name="inner")
    result = finished(bench, team(inner).options(name="outer"), note.s("d"))
    assert result.status == "failed"
    assert str(result.error) == "s/outer[0]/inner[1]/note: ValueError: boom"
    assert "end" not in done(result)


def test_a_failure_below_may_be_passed_over(bench: Bench) -> None:
    failing = team(note.s("boom", fails=True)).options(on_error="continue")
    result = finished(bench, failing, note.s("d"))
    assert (result.status, done(result)) == ("completed", ["d", "end"])


def test_wait_all_lets_the_others_end_before_it_fails(bench: Bench) -> None:
    members = [note.s("boom", fails=True), note.s("b"), note.s("c")]
    result = finished(bench, team(*members, limit=1, on_failure="wait_all"))
    assert (result.status, done(result)) == ("failed", ["b", "c"])
    result = finished(bench, team(*members, limit=1))
    assert (result.status, done(result)) == ("failed", [])


def test_a_quorum_is_enough_and_the_others_are_cancelled(bench: Bench) -> None:
    members = [note.s("boom", fails=True), note.s("b"), note.s("c"), note.s("d"), note.s("e")]
    run = submit(bench, team(*members, quorum=2))
    held = None
    while held is None:
        message = bench.post.messages.popleft()
        if len(bench.post.messages) == 4:
            held = message  # the failing one comes late
            break
        bench.deliver(message)
    result = bench.drain(run)
    assert (result.status, done(result)) == ("completed", ["b", "c", "end"])
    assert bench.deliver(held).word == "done"  # type: ignore[union-attr]


def test_a_quorum_that_cannot_be_reached_fails(bench: Bench) -> None:
    result = finished(
        bench, team(note.s("x", fails=True), note.s("y", fails=True), note.s("z"), quorum=2)
    )
    assert (result.status, str(result.error)) == ("failed", "s/Team[0]/note: ValueError: x")


def child_workflow(*actions: Action) -> WorkflowDefinition:
    workflow = Workflow("below")
    workflow.add_stage(Stage("inner", actions))
    return workflow.definition()


def test_a_child_run_is_a_run_of_its_own(bench: Bench) -> None:
    run = submit(bench, Parent(workflow=child_workflow(double.s())).options(store_as="how"))
    result = bench.drain(run)
    child, how = result.store.get("how", str).split(" ")
    assert (result.status, how, result.store["taken"]) == ("completed", "completed", 14)
    assert child.startswith(run.run_id)
    assert bench._runner.get(child).store["given"] == 7


def test_the_failure_of_a_child_run_has_its_path(bench: Bench) -> None:
    inner = Parent(workflow=child_workflow(note.s("boom", fails=True))).options(name="kid")
    outer = Parent(workflow=child_workflow(inner)).options(name="top")
    result = finished(bench, outer)
    assert str(result.error) == "s/top/inner/kid/inner/note: ValueError: boom"


def test_cancel_goes_down_to_child_runs(bench: Bench) -> None:
    run = submit(bench, Parent(workflow=child_workflow(note.s("a"), note.s("b"))))
    bench.step()
    [message] = bench.post.messages
    assert message.run_id != run.run_id
    run.cancel("enough")
    assert run.status == "cancelled"
    assert bench._runner.get(message.run_id).status == "cancelled"
    assert bench.step().word in ("done", "gone")  # type: ignore[union-attr]


def test_what_runs_on_in_a_child_run_is_ended_after_the_grace_of_a_cancel(bench: Bench) -> None:
    run = submit(bench, Parent(workflow=child_workflow(note.s("a"))))
    bench.step()
    message = bench.post.messages.popleft()
    held = bench.state.claim(
        message.run_id, message.entry, nonce="n", process="hangs", slot="t", mark=""
    )
    assert isinstance(held, Claim)
    run.cancel(grace=1)
    assert not run.status.is_terminal
    bench.pass_time()
    assert run.status == bench._runner.get(message.run_id).status == "cancelled"
    assert bench.state.commit(held, have="", parts=CommitParts()).word == "fenced"


def test_a_deadline_goes_down_to_child_runs(bench: Bench) -> None:
    run = submit(bench, Parent(workflow=child_workflow(note.s("a"))), deadline=60)
    bench.step()
    child = bench._runner.get(bench.post.messages[0].run_id)
    assert child.summary.deadline == run.summary.deadline


@action
def spiral(ctx: ActionContext) -> None:
    """Begin the same again, one run deeper."""
    ctx.add_action(Parent(workflow=child_workflow(spiral.s())).options(name="deeper"))


def test_child_runs_do_not_nest_without_end(bench: Bench) -> None:
    result = finished(bench, spiral.s())
    assert (result.status, str(result.error).count("deeper")) == ("failed", 11)
    assert "max_child_depth allows 10" in str(result.error)


def test_a_delivery_ends_the_wait_whether_it_comes_early_or_late(bench: Bench) -> None:
    run = submit(bench, Awaiting().options(store_as="came"))
    entry = bench.post.messages[0].entry
    bench.state.deliver(run.run_id, entry, "parcel", "early")
    assert bench.drain(run).store["came"] == "early"
    run = submit(bench, Awaiting().options(store_as="came"))
    bench.step()
    assert not bench.post.messages
    answer = bench.state.deliver(run.run_id, entry, "parcel", "late")
    bench.post.send(run.run_id, answer.next)
    assert bench.state.deliver(run.run_id, entry, "parcel", "again").word == "repeated"
    assert bench.drain(run).store["came"] == "late"


def test_a_wait_ends_at_its_timeout(bench: Bench) -> None:
    run = submit(bench, Awaiting(timeout=3600).options(store_as="came"))
    assert bench.drain(run).store["came"] == "nothing came"


def test_a_run_that_is_cancelled_while_it_waits_ends_at_once(bench: Bench) -> None:
    run = submit(bench, team(Awaiting()))
    bench.step()
    bench.step()
    assert not bench.post.messages
    run.cancel()
    assert run.status == "cancelled"


@condition("meddling")
def meddling(ctx: ActionContext) -> bool:
    """Change the plan, which a condition must not."""
    ctx.actions["note"].disable()
    return True


def test_a_condition_that_changes_the_plan_is_refused_and_nothing_is_lost_in_silence(
    bench: Bench,
) -> None:
    result = finished(bench, Branch(when("meddling").then(note.s("a"))))
    assert result.status == "failed"
    assert "leave that to actions" in str(result.error)


@action
def gives_up(ctx: ActionContext) -> None:
    """End the run early."""
    ctx.bail("enough")


def test_a_failure_beside_it_counts_for_more_than_a_bail(bench: Bench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [gives_up.s(), note.s("b", fails=True)], parallel=True))
    run = bench.submit(workflow)
    held = bench.state.claim(
        run.run_id, bench.post.messages.popleft().entry, nonce="n", process="p", slot="t", mark=""
    )
    bench.step()
    assert isinstance(held, Claim)
    answer = bench.state.commit(held, have="", parts=CommitParts(bail='{"reason":"enough"}'))
    assert answer.word == "committed"
    result = run.result()
    assert (result.status, str(result.error)) == ("failed", "s/note: ValueError: b")


def test_nothing_begins_behind_an_action_that_makes_up_the_quorum_around_it(bench: Bench) -> None:
    @action
    def takes_out(ctx: ActionContext) -> None:
        ctx.store.append("done", "takes out")
        ctx.actions["spare"].disable()  # whose turn passes by it, which is enough

    spare = note.s("spare").options(name="spare")
    run = submit(bench, team((takes_out.s(), note.s("never")), spare, quorum=1))
    for _ in range(2):
        bench.step()
    result = bench.drain(run)
    assert (result.status, done(result)) == ("completed", ["takes out", "end"])
    assert not check_all(bench.state, run.run_id)[0].live
