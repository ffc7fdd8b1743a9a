"""What an action may do to the plan of its own run while it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gostage_core import (
    ActionContext,
    ActionNotFoundError,
    NoRetry,
    PlanConflictError,
    Retry,
    RunStatus,
    Stage,
    StageFinishedError,
    StageNotFoundError,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from tests.support.scripted import Do, Script, Upload, check_history, do, script, statuses, workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import RunResult
    from tests.support.bench import Bench


@pytest.fixture(autouse=True)
def told() -> Iterator[Script]:
    script.clear()
    yield script
    script.clear()


def ran(bench: Bench, made: Workflow, **todo: Callable[[ActionContext], object]) -> RunResult:
    """Execute a workflow whose actions do these things; the plan must be its own history."""
    script.update(todo)
    run = bench.submit(made)
    result = bench.drain(run)
    check_history(bench.state, run)
    return result


def order_of(result: RunResult) -> list[str]:
    assert result.status is RunStatus.COMPLETED, result.error
    return result.store.get("order", list[str])  # type: ignore[no-any-return]


def status_of(result: RunResult, name: str) -> list[str]:
    return [one.status.value for one in result.actions if one.name == name]


# Disable and enable


def test_a_later_action_of_the_stage_is_skipped(bench: Bench) -> None:
    result = ran(bench, workflow(s="a b c"), a=lambda ctx: ctx.actions["b"].disable())
    assert order_of(result) == ["a", "c"]
    assert status_of(result, "b") == ["skipped"]


def test_an_action_of_a_later_stage_is_skipped(bench: Bench) -> None:
    made = workflow(s="a", t="b c")
    result = ran(bench, made, a=lambda ctx: ctx.actions["b"].disable())
    assert order_of(result) == ["a", "c"]


def test_the_running_action_counts_as_begun_and_only_later_ones_of_its_name_are_skipped(
    bench: Bench,
) -> None:
    seen: list[int] = []
    made = workflow(s="x y", t="z x")
    result = ran(bench, made, x=lambda ctx: seen.append(ctx.actions["x"].disable()))
    assert order_of(result) == ["x", "y", "z"]
    assert seen == [1]
    assert status_of(result, "x") == ["completed", "skipped"]


def test_disabling_what_has_all_begun_changes_nothing(bench: Bench) -> None:
    seen: list[int] = []
    result = ran(bench, workflow(s="a b"), b=lambda ctx: seen.append(ctx.actions["a"].disable()))
    assert order_of(result) == ["a", "b"]
    assert seen == [0]
    assert result.plan.revision == 1


def test_what_was_disabled_runs_when_it_is_enabled_before_its_turn(bench: Bench) -> None:
    made = workflow(s="a b", t="c")
    result = ran(
        bench,
        made,
        a=lambda ctx: ctx.actions["c"].disable(),
        b=lambda ctx: ctx.actions["c"].enable(),
    )
    assert order_of(result) == ["a", "b", "c"]


def test_enabling_what_was_passed_changes_nothing(bench: Bench) -> None:
    seen: list[int] = []
    result = ran(
        bench,
        workflow(s="a b c"),
        a=lambda ctx: ctx.actions["b"].disable(),
        c=lambda ctx: seen.append(ctx.actions["b"].enable()),
    )
    assert order_of(result) == ["a", "c"]
    assert seen == [0]


def test_a_later_stage_is_skipped_with_all_that_is_in_it(bench: Bench) -> None:
    made = workflow(s="a", t="b c", u="d")
    result = ran(bench, made, a=lambda ctx: ctx.stages["t"].disable())
    assert order_of(result) == ["a", "d"]
    assert result.stages["t"].status == "skipped"
    assert [one.status.value for one in result.stages["t"].actions] == ["skipped", "skipped"]


def test_the_running_stage_goes_on_to_its_end_though_it_is_disabled(bench: Bench) -> None:
    seen: list[int] = []
    result = ran(bench, workflow(s="a b"), a=lambda ctx: seen.append(ctx.stages["s"].disable()))
    assert order_of(result) == ["a", "b"]
    assert seen == [0]


def test_a_disable_neither_outlives_its_run_nor_changes_the_workflow(bench: Bench) -> None:
    made = workflow(s="a b")
    before = made.to_json()
    assert order_of(ran(bench, made, a=lambda ctx: ctx.actions["b"].disable())) == ["a"]
    script.clear()
    assert order_of(ran(bench, made)) == ["a", "b"]
    assert made.to_json() == before


def test_what_changes_nothing_makes_no_revision(bench: Bench) -> None:
    def toggles(ctx: ActionContext) -> None:
        assert ctx.actions["b"].disable() == 1
        assert ctx.actions["b"].disable() == 0
        assert ctx.actions["b"].enable() == 1
        assert ctx.actions["b"].enable() == 0

    result = ran(bench, workflow(s="a b"), a=toggles)
    assert order_of(result) == ["a", "b"]
    assert result.plan.revision == 1


# Remove


def test_removing_the_running_or_an_earlier_action_skips_nothing(bench: Bench) -> None:
    seen: list[int] = []

    def removes(ctx: ActionContext) -> None:
        seen.extend(ctx.actions[name].remove() for name in ("a", "b"))

    result = ran(bench, workflow(s="a b c d"), b=removes)
    assert order_of(result) == ["a", "b", "c", "d"]
    assert seen == [0, 0]


def test_removing_the_running_or_an_earlier_stage_skips_nothing(bench: Bench) -> None:
    def removes(ctx: ActionContext) -> None:
        assert [ctx.stages[id].remove() for id in "ABC"] == [0, 0, 1]

    made = workflow(A="a", B="b", C="c", D="d")
    result = ran(bench, made, b=removes)
    assert order_of(result) == ["a", "b", "d"]
    assert result.stages["C"].status == "removed"
    assert result.stages["C"].actions[0].status == "removed"


def test_what_is_removed_stays_in_the_plan_as_removed(bench: Bench) -> None:
    result = ran(bench, workflow(s="a b c"), a=lambda ctx: ctx.actions["b"].remove())
    assert order_of(result) == ["a", "c"]
    assert [(one.name, one.status.value) for one in result.actions] == [
        ("a", "completed"), ("b", "removed"), ("c", "completed"),
    ]  # fmt: skip


def test_an_action_may_remove_all_that_is_left_and_add_something_else(bench: Bench) -> None:
    def replaces(ctx: ActionContext) -> None:
        assert ctx.actions.filter(status="pending").remove() == 2
        ctx.add_action(*do("d"))

    assert order_of(ran(bench, workflow(s="a b", t="c"), a=replaces)) == ["a", "d"]


# Add to a stage


def test_what_is_added_to_a_later_stage_runs_there(bench: Bench) -> None:
    made = workflow(s="a", t="b c")

    def adds(ctx: ActionContext) -> None:
        ctx.stages["t"].add(*do("y", "z"))
        ctx.stages["t"].add(*do("x"), after="b")

    result = ran(bench, made, a=adds)
    assert order_of(result) == ["a", "b", "x", "c", "y", "z"]
    assert {one.added_by for one in result.actions if one.name in "xyz"} == {"s/a"}


def test_what_is_added_to_the_running_stage_comes_behind_what_is_planned(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        ctx.stages["s"].add(*do("end"))
        ctx.add_action(*do("dyn"))

    assert order_of(ran(bench, workflow(s="a z"), a=adds)) == ["a", "dyn", "z", "end"]


def test_what_is_added_behind_the_running_action_follows_what_that_adds(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        ctx.stages["s"].add(*do("y"), after="a")
        ctx.add_action(*do("d1", "d2"))
        ctx.stages["s"].add(*do("x"), after="d1")

    assert order_of(ran(bench, workflow(s="a z"), a=adds)) == ["a", "d1", "x", "d2", "y", "z"]


def test_several_of_one_name_are_added_behind_the_last_of_them(bench: Bench) -> None:
    made = workflow(s="a", t="b b c")
    result = ran(bench, made, a=lambda ctx: ctx.stages["t"].add(*do("x"), after="b"))
    assert order_of(result) == ["a", "b", "b", "x", "c"]


def test_adding_to_a_stage_that_has_finished_is_an_error(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        with pytest.raises(StageFinishedError, match="stage 's' has finished"):
            ctx.stages["s"].add(*do("x"))

    assert order_of(ran(bench, workflow(s="a", t="b"), b=adds)) == ["a", "b"]


def test_adding_behind_an_action_that_was_passed_is_an_error(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        with pytest.raises(PlanConflictError, match="gone past 'a'"):
            ctx.stages["s"].add(*do("x"), after="a")

    assert order_of(ran(bench, workflow(s="a b c"), b=adds)) == ["a", "b", "c"]


def test_adding_behind_a_name_that_the_stage_does_not_have_is_an_error(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        with pytest.raises(ActionNotFoundError, match="no action 'c' in stage 's'"):
            ctx.stages["s"].add(*do("x"), after="c")

    assert order_of(ran(bench, workflow(s="a b", t="c"), a=adds)) == ["a", "b", "c"]


def test_a_parallel_stage_waits_for_what_others_add_to_it(bench: Bench) -> None:
    made = Workflow("w")
    made.add_stage(Stage("p", do("a", "b"), parallel=True))
    made.add_stage(Stage("q", do("z")))

    def adds(ctx: ActionContext) -> None:
        ctx.stages["p"].add(*do("x"), after="a")
        ctx.stages["p"].add(*do("y"))

    assert order_of(ran(bench, made, a=adds)) == ["a", "x", "b", "y", "z"]


def test_adding_to_a_stage_that_fails_meanwhile_is_refused_by_the_server(bench: Bench) -> None:
    made = Workflow("w")
    made.add_stage(Stage("p", do("a", "b"), parallel=True))

    def adds(ctx: ActionContext) -> None:
        stage = ctx.stages["p"]
        bench.step("another worker")
        stage.add(*do("x"))

    script["a"] = lambda _: fail()
    script["b"] = adds
    run = bench.submit(made)
    bench.post.messages.reverse()
    result = bench.drain(run)
    check_history(bench.state, run)
    assert result.status is RunStatus.FAILED
    refused = next(one.error for one in result.actions if one.name == "b")
    assert refused is not None
    assert "stage 'p' has finished" in refused.message
    assert [one.name for one in result.actions] == ["a", "b"]


def test_a_later_parallel_stage_gains_members(bench: Bench) -> None:
    made = workflow(s="a")
    made.add_stage(Stage("p", do("b"), parallel=True))
    made.add_stage(Stage("q", do("z")))
    result = ran(bench, made, a=lambda ctx: ctx.stages["p"].add(*do("x", "y")))
    assert order_of(result) == ["a", "b", "x", "y", "z"]


def test_what_is_appended_is_read_in_plan_order_however_actions_came_in(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        ctx.stages["p"].add(*do("e1", "e2"))
        ctx.stages["p"].add(*do("e3"))
        ctx.stages["p"].add(*do("m1", "m2"), after="b")

    script["b"] = lambda ctx: ctx.add_action(*do("b1", "b2"))
    made = workflow(s="a")
    made.add_stage(Stage("p", do("b", "c"), parallel=True))
    script["a"] = adds
    run = bench.submit(made)
    bench.step()
    bench.post.messages.reverse()
    result = bench.drain(run)
    check_history(bench.state, run)
    expected = ["a", "b", "b1", "b2", "m1", "m2", "c", "e1", "e2", "e3"]
    assert order_of(result) == expected
    assert [one.name for one in result.actions] == expected


# Find and filter


def test_the_plan_can_be_searched_in_plan_order(bench: Bench) -> None:
    made = Workflow("w")
    made.add_stage(
        Stage("one", [*do("me"), Upload().options(name="up", tags=["io", "net"])], tags=["first"])
    )
    made.add_stage(Stage("two", [*do("Down", tags=["io"]), *do("me")], name="Second"))
    found: dict[str, object] = {}

    def looks(ctx: ActionContext) -> None:
        if found:
            return
        actions, stages = ctx.actions, ctx.stages
        found.update(
            all=actions.names,
            tag=actions.filter(tag="io").names,
            any=actions.filter(any_tags=["net", "x"]).names,
            every=actions.filter(all_tags=["io", "net"]).names,
            of_none=actions.filter(all_tags=[]).names,
            name=actions.filter(name="down").names,
            part=actions.filter(name_contains="OW").names,
            said=actions.filter(description_contains="harbour").names,
            type=actions.filter(type=Do).names,
            sub=actions.filter(type=Upload).names,
            stage=actions.filter(stage="two").names,
            status=actions.filter(status="running").names,
            where=actions.filter(where=lambda one: one.path == "two/me").names,
            chained=actions.filter(tag="io").filter(stage="two").names,
            stages=(stages.ids, stages.names, stages.filter(tag="first").ids),
            staged=stages.filter(name_contains="SEC").ids,
            running=stages.filter(status="running").ids,
            sized=(len(actions), bool(actions.filter(tag="none")), "up" in actions, "x" in stages),
        )
        with pytest.raises(ActionNotFoundError, match="no action 'x' in the plan"):
            actions["x"]
        with pytest.raises(StageNotFoundError, match="no stage 'x' in the plan"):
            stages["x"]

    assert order_of(ran(bench, made, me=looks)) == ["me", "up", "Down", "me"]
    assert found == {
        "all": ["me", "up", "Down", "me"],
        "tag": ["up", "Down"],
        "any": ["up"],
        "every": ["up"],
        "of_none": ["me", "up", "Down", "me"],
        "name": [],
        "part": ["Down"],
        "said": ["up"],
        "type": ["me", "up", "Down", "me"],
        "sub": ["up"],
        "stage": ["Down", "me"],
        "status": ["me"],
        "where": ["me"],
        "chained": ["Down"],
        "stages": (["one", "two"], ["one", "Second"], ["one"]),
        "staged": ["two"],
        "running": ["one"],
        "sized": (4, False, True, False),
    }


def test_a_function_is_a_type_too(bench: Bench) -> None:
    @action
    def wrap(ctx: ActionContext) -> None: ...

    made = workflow(s="a", t=[wrap.s(), *do("b")])
    result = ran(bench, made, a=lambda ctx: ctx.actions.filter(type=wrap).disable())
    assert order_of(result) == ["a", "b"]


def test_what_is_looked_at_is_a_value_that_does_not_change(bench: Bench) -> None:
    def looks(ctx: ActionContext) -> None:
        before = list(ctx.actions["b"])
        ctx.actions["b"].disable()
        assert [one.status.value for one in before] == ["pending"]
        assert [one.status.value for one in ctx.actions["b"]] == ["skipped"]
        with pytest.raises(AttributeError):
            before[0].name = "c"  # type: ignore[misc]

    assert order_of(ran(bench, workflow(s="a b"), a=looks)) == ["a"]


# Pending changes


def test_an_action_sees_its_own_pending_changes(bench: Bench) -> None:
    def changes(ctx: ActionContext) -> None:
        ctx.add_action(*do("d1", "d2", "d3"))
        ctx.add_stage(Stage("n", do("n1")))
        ctx.stages["n"].add(*do("n0"), after="n1")
        assert ctx.actions.names == ["a", "d1", "d2", "d3", "b", "n1", "n0", "c"]
        assert ctx.stages.ids == ["s", "n", "t"]
        assert ctx.actions["d2"].disable() == 1
        assert ctx.actions["d3"].remove() == 1
        assert [one.status.value for one in ctx.actions["d2"]] == ["skipped"]
        assert ctx.actions.names == ["a", "d1", "d2", "b", "n1", "n0", "c"]
        with pytest.raises(ActionNotFoundError):
            ctx.actions["d3"]

    result = ran(bench, workflow(s="a b", t="c"), a=changes)
    assert order_of(result) == ["a", "d1", "b", "n1", "n0", "c"]
    assert status_of(result, "d2") == ["skipped"]
    assert status_of(result, "d3") == []


def test_a_stage_that_is_added_may_be_disabled_enabled_or_removed_at_once(bench: Bench) -> None:
    def changes(ctx: ActionContext) -> None:
        ctx.add_stage(Stage("off", do("x")), Stage("on", do("y")), Stage("gone", do("z")))
        assert [ctx.stages[id].disable() for id in ("off", "on", "gone")] == [1, 1, 1]
        assert ctx.stages["on"].enable() == 1
        assert ctx.stages["gone"].remove() == 1
        assert ctx.stages.ids == ["s", "off", "on"]

    result = ran(bench, workflow(s="a"), a=changes)
    assert order_of(result) == ["a", "y"]
    assert result.stages["off"].status == "skipped"
    assert "gone" not in result.stages


def test_a_later_action_enables_a_stage_that_was_added_disabled(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        ctx.add_stage(Stage("n", do("x")))
        ctx.stages["n"].disable()

    result = ran(bench, workflow(s="a b"), a=adds, b=lambda ctx: ctx.stages["n"].enable())
    assert order_of(result) == ["a", "b", "x"]


def test_stages_of_several_actions_show_in_their_order(bench: Bench) -> None:
    seen: list[list[str]] = []
    result = ran(
        bench,
        workflow(s="a b", t="c"),
        a=lambda ctx: ctx.add_stage(Stage("A1", do("a1")), Stage("A2", do("a2"))),
        b=lambda ctx: (ctx.add_stage(Stage("B1", do("b1"))), seen.append(ctx.stages.ids)),
    )
    assert order_of(result) == ["a", "b", "a1", "a2", "b1", "c"]
    assert seen == [["s", "A1", "A2", "B1", "t"]]


def test_an_attempt_that_fails_leaves_nothing_of_what_it_changed(bench: Bench) -> None:
    def changes(ctx: ActionContext) -> None:
        ctx.add_action(*do("d"))
        ctx.add_stage(Stage("n", do("n1")))
        ctx.actions["b"].disable()
        ctx.stages["t"].remove()
        ctx.stages["t2"].add(*do("x"))
        if ctx.attempt == 1:
            raise RuntimeError("once")

    made = workflow(s="", t="c", t2="e")
    made.stages["s"].add(*(one.options(retry=Retry(max_attempts=2, delay=0)) for one in do("a")))
    made.stages["s"].add(*do("b"))
    result = ran(bench, made, a=changes)
    assert order_of(result) == ["a", "d", "n1", "e", "x"]

    script["a"] = lambda ctx: (ctx.actions["b"].disable(), fail())
    run = bench.submit(workflow(s="a b"))
    assert bench.drain(run).status is RunStatus.FAILED
    assert statuses(run)["s/b"] == "pending"
    assert run.plan.revision == 1


def fail() -> None:
    raise NoRetry("no")


@pytest.mark.parametrize("moment", [Moment.CLAIMED, Moment.BODY_DONE, Moment.COMMITTED])
def test_a_worker_may_die_at_any_moment_and_changes_are_applied_once(
    bench: Bench, moment: Moment
) -> None:
    def changes(ctx: ActionContext) -> None:
        ctx.actions["b"].disable()
        ctx.stages["t"].add(*do("x"), after="c")
        ctx.add_action(*do("d"))

    script["a"] = changes
    run = bench.submit(workflow(s="a b", t="c"))
    bench.die_at = moment
    bench.step()
    result = bench.drain(run)
    check_history(bench.state, run)
    assert order_of(result) == ["a", "d", "c", "x"]
    assert result.plan.revision == 2


# Parameters


def test_an_action_may_give_later_ones_other_parameters(bench: Bench) -> None:
    seen: list[int] = []

    @action
    def count(ctx: ActionContext, n: int) -> None:
        seen.append(n)

    made = workflow(s="a", t=[count.s(1), count.s(2)])
    assert ran(bench, made, a=lambda ctx: ctx.actions["count"].set(n=7)).status == "completed"
    assert seen == [7, 7]


def test_every_change_is_in_the_journal_with_who_and_what(bench: Bench) -> None:
    result = ran(
        bench,
        workflow(s="a b", t="c"),
        a=lambda ctx: (ctx.actions["b"].disable(), ctx.stages["t"].add(*do("x"), after="c")),
    )
    first, second = result.plan.revisions
    assert (first.number, str(first.changes)) == (1, "")
    assert (second.number, second.actor) == (2, "action s/a")
    assert str(second.changes) == "+ t/x #6  behind c\n- disable s/b #3"


def test_searching_a_plan_of_ten_thousand_actions_takes_milliseconds(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Workflow("w")
    made.add_stage(Stage("s", do("me")))
    for number in range(10):
        stage = made.add_stage(f"t{number}")
        stage.add(*(one for n in range(1000) for one in do(f"a{n}", tags=["odd"] if n % 2 else [])))
    spent: list[float] = []

    def looks(ctx: ActionContext) -> None:
        for find in (
            lambda: ctx.actions.filter(tag="odd"),
            lambda: ctx.actions.filter(tag="odd", status="pending"),
            lambda: ctx.actions["a7"],
        ):
            begun = time.perf_counter()
            find()
            spent.append((time.perf_counter() - begun) * 1000)
        assert ctx.stages.filter(where=lambda one: one.id != "s").disable() == 10

    assert order_of(ran(bench, made, me=looks)) == ["me"]
    with capsys.disabled():
        print(f"\n10,000 actions: first filter {spent[0]:.0f} ms, next {spent[1]:.0f} ms, "
              f"by name {spent[2]:.1f} ms")  # fmt: skip
