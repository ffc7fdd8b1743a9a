"""What an operator may do to a run that is under way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from gostage_core import (
    ActionContext,
    Addition,
    DuplicateStageError,
    ForEach,
    InvalidActionError,
    Limits,
    PlanConflictError,
    PlanEdit,
    PlanError,
    PlanLimitError,
    Run,
    RunStateError,
    RunStatus,
    Stage,
    StageFinishedError,
    StageNotFoundError,
    Workflow,
)
from tests.support.scripted import Do, Script, check_history, do, script, statuses, workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.bench import Bench

WHY = "the notifier is down"


@pytest.fixture(autouse=True)
def told() -> Iterator[Script]:
    script.clear()
    yield script
    script.clear()


def order_of(bench: Bench, run: Run) -> list[str]:
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED, result.error
    check_history(bench.state, run)
    return result.store.get("order", list[str])  # type: ignore[no-any-return]


def test_an_operator_changes_what_has_not_begun(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b", ship="reserve pack", notify="mail sms", tail="z"))
    bench.step()
    with run.edit(reason=WHY, actor="ana") as plan:
        assert plan.stages["notify"].disable() == 1
        assert plan.actions["b"].remove() == 1
        plan.stages["ship"].add(*do("check"), after="reserve")
        plan.add_stage(Stage("audit", do("log")), after="ship")
        plan.add_stage(Stage("last", do("end")))
    assert order_of(bench, run) == ["a", "reserve", "check", "pack", "log", "z", "end"]
    assert statuses(run)["notify"] == "skipped"
    added = [one for one in run.plan.actions if one.name in ("check", "log", "end")]
    assert {one.added_by for one in added} == {"operator:ana"}
    assert run.plan.stages["audit"].added


def test_an_edit_is_one_revision_with_who_and_why(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b", t="c d"))
    with run.edit(WHY, actor="ana") as plan:
        plan.actions["d"].disable()
        plan.actions["c"].set(n=3)
        plan.stages["t"].add(*do("x"), after="c")
    order_of(bench, run)
    _, revision = run.plan.revisions
    assert (revision.number, revision.actor, revision.reason) == (2, "ana", WHY)
    assert str(revision.changes).splitlines() == [
        "+ t/x #7  behind c", "- disable t/d #6", "~ t/c #5  n: 0 → 3",
    ]  # fmt: skip
    entry = next(one for one in run.journal() if one.kind == "plan.changed")
    assert (entry.actor, entry.reason, entry.revision) == ("ana", WHY, 2)


def test_what_is_about_to_be_applied_can_be_looked_at(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b", t="c"))
    with run.edit(WHY) as plan:
        assert not plan.changes
        plan.actions["b"].disable()
        plan.stages["t"].remove()
        plan.add_stage(Stage("n", do("x")))
        plan.stages["n"].add(*do("y"))
        plan.actions["y"].disable()
        plan.actions["a"].options(timeout=30)
        told = str(plan.changes).splitlines()
    assert told == [
        "+ stage n  behind t",
        "+ n/x  at the front",
        "+ n/y  behind x, disabled",
        "- remove t #4  (stage)",
        "- disable s/b #3",
        "~ s/a #2  timeout: none → 30.0",
    ]
    assert order_of(bench, run) == ["a", "x"]


def test_an_edit_without_a_change_is_none(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b"))
    with run.edit(WHY) as plan:
        plan.actions["b"].disable()
        plan.actions["b"].enable()
    assert run.plan.revision == 1
    assert order_of(bench, run) == ["a", "b"]


def test_an_exception_in_the_block_applies_nothing(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b"))
    with pytest.raises(ZeroDivisionError), run.edit(WHY) as plan:
        plan.actions["b"].disable()
        1 / 0  # noqa: B018
    assert order_of(bench, run) == ["a", "b"]


def test_an_edit_needs_a_reason(bench: Bench) -> None:
    run = bench.submit(workflow(s="a"))
    with pytest.raises(ValueError, match="needs a reason"):
        run.edit(" ")


def test_an_edit_that_touches_what_has_begun_meanwhile_is_refused_whole(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b c"))
    bench.step()
    edit = run.edit(WHY)
    plan = edit.__enter__()
    assert plan.actions.filter(any_tags=[]).disable() == 0
    assert plan.actions["b"].disable() == 1
    assert plan.actions["c"].disable() == 1
    bench.step()
    with pytest.raises(PlanConflictError, match="'s/b' has begun") as caught:
        edit.__exit__(None, None, None)
    assert "nothing was applied" in str(caught.value)
    assert order_of(bench, run) == ["a", "b", "c"]
    assert run.plan.revision == 1


def test_an_edit_of_a_plan_that_has_changed_meanwhile_is_refused(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b c"))
    with pytest.raises(PlanConflictError, match="revision 2, not 1"), run.edit(WHY) as first:
        first.actions["b"].disable()
        with run.edit("another") as second:
            second.actions["c"].disable()
    assert order_of(bench, run) == ["a", "b"]


def test_disabling_the_next_action_goes_on_behind_it_at_once(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b", t="c"))
    bench.post.messages.clear()
    with run.edit(WHY) as plan:
        assert plan.actions["a"].disable() == 1
        plan.stages["s"].add(*do("x"), after="a")
    assert [message.entry for message in bench.post.messages] == ["6"]
    assert order_of(bench, run) == ["x", "b", "c"]


def test_disabling_the_last_action_at_hand_ends_the_run(bench: Bench) -> None:
    run = bench.submit(workflow(s="a"))
    with run.edit(WHY) as plan:
        plan.actions["a"].disable()
    assert run.status is RunStatus.COMPLETED
    check_history(bench.state, run)


def test_a_stage_at_its_end_takes_what_is_added_in_the_same_edit(bench: Bench) -> None:
    run = bench.submit(workflow(s="a"))
    with run.edit(WHY) as plan:
        plan.actions["a"].remove()
        plan.stages["s"].add(*do("b"))
    assert order_of(bench, run) == ["b"]


def test_a_run_that_has_ended_cannot_be_edited(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b"))
    edit = run.edit(WHY)
    plan = edit.__enter__()
    plan.actions["b"].disable()
    run.cancel()
    with pytest.raises(RunStateError, match="is cancelled already; its plan cannot be changed"):
        edit.__exit__(None, None, None)
    with pytest.raises(RunStateError, match="is cancelled already"), run.edit(WHY):
        raise AssertionError("the block must not begin")


def test_stages_that_cannot_be_added_are_refused_when_they_are(bench: Bench) -> None:
    run = bench.submit(workflow(s="a", t="b", u="c"))
    bench.step()
    with run.edit(WHY) as plan:
        with pytest.raises(DuplicateStageError):
            plan.add_stage(Stage("t"))
        with pytest.raises(StageNotFoundError):
            plan.add_stage(Stage("n"), after="x")
        with pytest.raises(PlanConflictError, match="gone past stage 's'"):
            plan.add_stage(Stage("n"), after="s")
        with pytest.raises(StageFinishedError):
            plan.stages["s"].add(*do("x"))
        plan.add_stage(Stage("n1", do("n1")), after="t")
        plan.add_stage(Stage("n2", do("n2")), after="n1")
        plan.add_stage(Stage("n0", do("n0")), after="t")
        assert plan.stages.ids == ["s", "t", "n0", "n1", "n2", "u"]
        with pytest.raises(DuplicateStageError):
            plan.add_stage(Stage("n1"))
    assert order_of(bench, run) == ["a", "b", "n0", "n1", "n2", "c"]


def test_parameters_are_checked_by_their_action(bench: Bench) -> None:
    seen: list[int] = []

    class Count(Do):
        def execute(self, ctx: ActionContext) -> None:
            seen.append(self.n)

    run = bench.submit(workflow(s=[Count(n=1), Count(n=2).options(name="two")]))
    with run.edit(WHY) as plan:
        with pytest.raises(InvalidActionError, match="n"):
            plan.actions["two"].set(n="many")
        with pytest.raises(InvalidActionError, match="unexpected parameter"):
            plan.actions["two"].set(m=1)
        assert plan.actions.filter(type=Count).set(n=9) == 2
    bench.drain(run)
    check_history(bench.state, run)
    assert seen == [9, 9]


def test_members_of_a_group_can_be_changed_while_it_goes_on(bench: Bench) -> None:
    made = workflow(s=[ForEach("items", *do("one", "two"), max_parallel=1)], t="z")
    run = bench.submit(made, store={"items": [1, 2, 3]})
    while run.plan.revision == 1:
        bench.step()
    with run.edit(WHY) as plan:
        nested = plan.actions.filter(where=lambda one: "[2]" in one.path)
        assert nested.names == ["one", "two"]
        assert nested.filter(name="two").disable() == 1
    assert order_of(bench, run) == ["one", "two", "one", "two", "one", "z"]
    told = [(one.path, one.depth, one.status.value) for one in run.plan.actions if one.depth]
    assert told[-2:] == [("s/ForEach[2]/one", 1, "completed"), ("s/ForEach[2]/two", 1, "skipped")]


# The ledger


def test_the_plan_of_any_revision_can_be_told_from_the_journal(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b", t="c"))
    with run.edit("first") as plan:
        plan.actions["b"].disable()
        plan.stages["t"].add(*do("x"))
    with run.edit("second") as plan:
        plan.actions["b"].enable()
        plan.actions["c"].set(n=5)
        plan.add_stage(Stage("n", do("y")))
    with run.edit("third") as plan:
        plan.actions["c"].set(n=6)
        plan.stages["n"].remove()
    order_of(bench, run)
    plan_now = run.plan
    assert [[one.name for one in plan_now.at(n).actions] for n in (1, 2, 3)] == [
        ["a", "b", "c"], ["a", "b", "c", "x"], ["a", "b", "c", "x", "y"],
    ]  # fmt: skip
    assert [plan_now.at(n).actions[1].enabled for n in (1, 2, 3)] == [True, False, True]
    params = [plan_now.at(n).actions[2].definition.get("params") for n in (1, 2, 3, 4)]
    assert params == [{"n": 0}, {"n": 0}, {"n": 5}, {"n": 6}]
    assert str(plan_now.diff(2, 4)).splitlines() == [
        "+ stage n #7  behind t",
        "+ n/y #8  at the front",
        "+ enable s/b #3",
        "~ t/c #5  n: 0 → 6",
    ]
    assert plan_now.diff(1, 1) == plan_now.diff(4, 4)
    assert not plan_now.diff(1, 1)
    with pytest.raises(PlanError, match="has the revisions 1 to 4, not 9"):
        plan_now.at(9)


def test_hundred_edits_race_a_running_run_and_each_is_applied_whole_or_refused(
    bench: Bench,
) -> None:
    def grows(ctx: ActionContext) -> None:
        ctx.store.increment("grown")
        if ctx.store["grown"] <= 40:
            ctx.add_action(*do("grow"))

    script["grow"] = grows
    made = workflow(s="grow", work=[one for n in range(60) for one in do(f"w{n}")], tail="z")
    run = bench.submit(made)
    applied, refused = [], []

    def edits() -> None:
        for number in range(100):
            try:
                with run.edit("race", actor=f"op{number}") as plan:
                    todo = plan.actions.filter(status="pending", name_contains="w").names
                    plan.actions.filter(name_contains=f"w{number}").disable()
                    plan.stages["work"].add(*do(f"x{number}", f"y{number}"))
                    if todo:
                        plan.actions[todo[-1]].set(n=number)
                applied.append(number)
            except PlanError as error:
                refused.append((number, error))
            except RunStateError:
                return

    racer = threading.Thread(target=edits)
    racer.start()
    result = bench.drain(run)
    racer.join()
    assert result.status is RunStatus.COMPLETED
    check_history(bench.state, run)
    names = {one.name for one in run.plan.actions}
    assert {n for n in range(100) if f"x{n}" in names} == set(applied)
    assert {n for n in range(100) if f"y{n}" in names} == set(applied)
    by = {one.actor for one in run.plan.revisions if one.actor.startswith("op")}
    assert by == {f"op{n}" for n in applied}
    assert applied
    assert all(isinstance(e, PlanConflictError | StageFinishedError) for _, e in refused)


# Guard rails


def limited(limits: Limits, **stages: str) -> Workflow:
    made = Workflow("w", limits=limits)
    for id, names in stages.items():
        made.add_stage(Stage(id, do(*names.split())))
    return made


def test_a_guard_rail_refuses_an_action_and_the_journal_has_it(bench: Bench) -> None:
    rule = Addition(ids=("other:*",), by=("s/*",))
    run = bench.submit(limited(Limits(may_add=(rule,)), s="a b"))
    script["a"] = lambda ctx: ctx.add_action(*do("x"))
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type.endswith("PlanLimitError")
    entry = next(one for one in run.journal() if one.kind == "plan.refused")
    assert entry.actor == "action s/a"
    assert "may_add allows s/a to add other:*, not tests.support.scripted:Do" in entry.reason
    assert entry.change["limit"] == "may_add"


def test_all_that_is_added_counts_for_a_guard_rail(bench: Bench) -> None:
    run = bench.submit(limited(Limits(max_added_actions=3), s="a b"))
    script["a"] = lambda ctx: ctx.add_action(*do("x", "y"))
    script["b"] = lambda ctx: ctx.add_action(*do("z", "z2"))
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert "max_added_actions allows 3" in str(result.error)


def test_what_lies_in_parameters_is_added_too(bench: Bench) -> None:
    rule = Addition(ids=("gostage.*",))
    run = bench.submit(limited(Limits(may_add=(rule,)), s="a"))
    script["a"] = lambda ctx: ctx.add_stage(Stage("n", [ForEach("items", *do("x"))]))
    assert bench.drain(run).status is RunStatus.FAILED
    assert any(one.kind == "plan.refused" for one in run.journal())


def test_additions_nest_no_deeper_than_is_allowed(bench: Bench) -> None:
    run = bench.submit(limited(Limits(max_depth=2), s="a"))
    script["a"] = script["b"] = script["c"] = lambda ctx: ctx.add_action(
        *do({"a": "b", "b": "c", "c": "d"}[ctx.action.name])
    )
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert [one.name for one in result.actions] == ["a", "b", "c"]
    assert result.error is not None
    assert "max_depth allows 2, not 3" in result.error.message


def test_an_operator_meets_the_guard_rails_too(bench: Bench) -> None:
    rule = Addition(ids=("*:Do",), by=("operator:ana",))
    limits = Limits(may_add=(rule,), max_added_actions=2)
    run = bench.submit(limited(limits, s="a b"))
    with pytest.raises(PlanLimitError, match="operator:bob"), run.edit(WHY, actor="bob") as plan:
        plan.stages["s"].add(*do("x"))
    with pytest.raises(PlanLimitError, match="max_added_actions"), run.edit(WHY, actor="ana") as p:
        p.stages["s"].add(*do("x", "y", "z"))
    with run.edit(WHY, actor="ana") as plan:
        plan.stages["s"].add(*do("x"))
    assert order_of(bench, run) == ["a", "b", "x"]
    refused = [one for one in run.journal() if one.kind == "plan.refused"]
    assert [(one.actor, one.change["limit"]) for one in refused] == [
        ("bob", "may_add"), ("ana", "max_added_actions"),
    ]  # fmt: skip


# Many runs


def test_many_runs_are_found_counted_and_edited_each_by_itself(bench: Bench) -> None:
    first, second = (bench.submit(workflow(s="a b c"), tags=["batch"]) for _ in range(2))
    other, ended = bench.submit(workflow(s="a b")), bench.submit(workflow(s="b"), tags=["batch"])
    ended.cancel()
    edits = bench.runner.edit(tag="batch", reason=WHY, actor="ana")
    assert edits.run_ids == (second.run_id, first.run_id)
    assert len(bench.runner.edit(workflow="w", reason=WHY)) == 3
    would = edits.apply(lambda plan: plan.actions["b"].disable(), dry_run=True)
    assert [str(one.changes) for one in would] == ["- disable s/b #3"] * 2
    assert first.plan.revision == 1

    second.cancel()
    told = edits.apply(lambda plan: plan.actions["b"].disable())
    assert [(one.run_id, bool(one.changes)) for one in told] == [
        (second.run_id, False), (first.run_id, True),
    ]  # fmt: skip
    assert isinstance(told[0].error, RunStateError)
    assert order_of(bench, first) == ["a", "c"]
    assert order_of(bench, other) == ["a", "b"]
    assert first.plan.revisions[-1].actor == "ana"
    with pytest.raises(ValueError, match="needs a reason"):
        bench.runner.edit(tag="batch", reason="")


def test_a_run_that_moves_on_while_it_is_edited_is_tried_again(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b c"))
    tries: list[int] = []

    def change(plan: PlanEdit) -> None:
        tries.append(plan.revision)
        plan.actions["b"].disable()
        if len(tries) == 1:
            with run.edit(reason="meanwhile") as other:
                other.actions["c"].disable()

    (told,) = bench.runner.edit(workflow="w", reason=WHY).apply(change)
    assert (told.error, tries) == (None, [1, 2])
    assert order_of(bench, run) == ["a"]
