"""What actions made of others do in runs: side by side, by condition, repeated, as child runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Action,
    ActionContext,
    ActionStatus,
    Branch,
    ForEach,
    Limits,
    Repeat,
    Retry,
    RunStatus,
    RunWorkflow,
    Stage,
    Workflow,
    action,
    condition,
    otherwise,
    quorum,
    when,
)
from gostage_core.attempt import Moment
from gostage_core.authoring.conditions import conditions
from gostage_core.authoring.registry import registry
from gostage_workers import LocalCluster

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gostage_core import RunResult
    from tests.support.bench import Bench


@pytest.fixture(autouse=True)
def known(fresh_registry: None) -> None:
    """A few actions and conditions that the plans of these tests name."""
    fails_once: set[str] = set()

    @action("item")
    def item(ctx: ActionContext) -> Any:
        return ctx.item

    @action("mark")
    def mark(ctx: ActionContext, text: str = "") -> str:
        place = f"{text}{'' if ctx.index is None else ctx.index}"
        ctx.store.append("marks", place)
        return place

    @action("fail")
    def fail(ctx: ActionContext, at: int | None = None) -> int | None:
        if at is None or ctx.index == at:
            raise ValueError(f"no {ctx.index}")
        return ctx.index

    @action("fail_once")
    def fail_once(ctx: ActionContext) -> None:
        if ctx.run_id not in fails_once:
            fails_once.add(ctx.run_id)
            raise ValueError("not yet")

    @action("copy")
    def copy(ctx: ActionContext, key: str, to: str) -> None:
        ctx.store[to] = ctx.store[key]

    @action("count")
    def count(ctx: ActionContext) -> None:
        ctx.store.increment("n")

    @condition("over")
    def over(ctx: ActionContext, limit: int = 3) -> bool:
        return ctx.store.get("n", int, default=0) > limit

    @condition("even")
    async def even(ctx: ActionContext) -> bool:
        return bool(ctx.item % 2 == 0)

    @condition("never")
    def never(ctx: ActionContext) -> bool:
        return False


def do(id: str, **params: Any) -> Action:
    return registry.get(id)(**params)


def workflow(*actions: Action, id: str = "w", **head: Any) -> Workflow:
    made = Workflow(id, **head)
    made.add_stage(Stage("s", actions))
    return made


def drained(bench: Bench, *actions: Action, **store: Any) -> RunResult:
    return bench.drain(bench.submit(workflow(*actions), store=store))


def paths(result: RunResult, status: ActionStatus = ActionStatus.COMPLETED) -> list[str]:
    return [f"{one.within}/{one.name}" for one in result.actions if one.status is status]


def test_for_each_returns_results_in_the_order_of_its_items(bench: Bench) -> None:
    each = ForEach("items", do("mark", text="a"), do("item"), store_as="results")
    result = drained(bench, each, items=["x", (1, 2), None])
    assert result.status is RunStatus.COMPLETED
    assert result.store["results"] == ["x", (1, 2), None]
    assert result.store["marks"] == ["a0", "a1", "a2"]


def test_for_each_begins_no_more_items_than_it_may_at_a_time(bench: Bench) -> None:
    each = ForEach("items", do("mark", text="a"), do("mark", text="b"), max_parallel=2)
    run = bench.submit(workflow(each), store={"items": list(range(5))})
    bench.step()
    assert len(bench.post.messages) == 2
    at_a_time = []
    while not run.status.is_terminal:
        bench.step()
        at_a_time.append(len(bench.post.messages))
    assert max(at_a_time) == 2
    assert sorted(run.store["marks"]) == sorted(f"{t}{i}" for t in "ab" for i in range(5))


def test_for_each_with_one_at_a_time_is_a_loop(bench: Bench) -> None:
    seen = []

    @action
    def note(ctx: ActionContext, text: str) -> None:
        seen.append(f"{text}{ctx.item}")

    each = ForEach("items", note.s("a"), note.s("b"), max_parallel=1)
    assert drained(bench, each, items=[3, 1]).status is RunStatus.COMPLETED
    assert seen == ["a3", "b3", "a1", "b1"]


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ((2, 1), [2, 1]),
        ({"b": 1, "a": [2]}, [("b", 1), ("a", [2])]),
        ({"c", "a", "b"}, ["a", "b", "c"]),
        ([], []),
    ],
)
def test_for_each_takes_every_kind_of_collection(bench: Bench, items: Any, found: Any) -> None:
    result = drained(bench, ForEach("items", do("item"), store_as="results"), items=items)
    assert result.store["results"] == found


def test_for_each_keeps_to_the_collection_as_it_was_when_it_began(bench: Bench) -> None:
    @action
    def grow(ctx: ActionContext) -> None:
        ctx.store["items"] = [*ctx.store["items"], 9]

    each = ForEach("items", grow.s(), max_parallel=1, store_as="results")
    result = drained(bench, each, items=[1, 2])
    assert len(result.store["results"]) == 2
    assert result.store["items"] == [1, 2, 9, 9]


def test_for_each_of_a_missing_key_fails_at_its_place(bench: Bench) -> None:
    result = drained(bench, ForEach("items", do("item")).options(name="each"))
    assert str(result.error) == (
        "s/each: KeyNotFoundError: no key 'items' in the store; "
        "read it with default=… if it may be missing"
    )


def test_what_is_returned_inside_need_not_be_storable_where_nobody_keeps_it(bench: Bench) -> None:
    @action
    def opens(ctx: ActionContext) -> object:
        return object()

    assert drained(bench, ForEach("i", opens.s()), i=[1]).status is RunStatus.COMPLETED


def test_a_failure_inside_names_its_whole_path(bench: Bench) -> None:
    each = ForEach("items", do("fail", at=1)).options(name="each")
    result = drained(bench, each, items=[0, 1])
    assert result.status is RunStatus.FAILED
    assert str(result.error) == "s/each[1]/fail: ValueError: no 1"


def test_a_failure_lets_no_further_item_begin(bench: Bench) -> None:
    each = ForEach("items", do("fail", at=1), do("mark"), max_parallel=1)
    result = drained(bench, each, items=[0, 1, 2])
    assert result.status is RunStatus.FAILED
    assert result.store["marks"] == ["0"]


def test_wait_all_does_every_item_before_it_fails(bench: Bench) -> None:
    each = ForEach("items", do("fail", at=0), do("mark"), max_parallel=1, on_failure="wait_all")
    result = drained(bench, each, items=[0, 1, 2])
    assert str(result.error) == "s/ForEach[0]/fail: ValueError: no 0"
    assert result.store["marks"] == ["1", "2"]


def test_a_quorum_of_items_is_enough(bench: Bench) -> None:
    each = ForEach("items", do("fail", at=0), join=quorum(2), max_parallel=1, store_as="results")
    result = drained(bench, each, do("mark", text="after"), items=[0, 1, 2, 3])
    assert result.status is RunStatus.COMPLETED
    assert result.store["results"] == [None, 1, 2, None]
    assert result.store["marks"] == ["after"]


def test_a_quorum_that_cannot_be_reached_any_more_fails(bench: Bench) -> None:
    each = ForEach("items", do("mark"), do("fail"), join=quorum(2), max_parallel=1)
    result = drained(bench, each, items=[0, 1, 2])
    assert str(result.error) == "s/ForEach[0]/fail: ValueError: no 0"
    assert result.store["marks"] == ["0", "1"]


def test_an_action_inside_may_fail_and_its_item_go_on(bench: Bench) -> None:
    each = ForEach("items", do("fail", at=0).options(on_error="continue"), store_as="results")
    result = drained(bench, each, items=[0, 1])
    assert result.status is RunStatus.COMPLETED
    assert result.store["results"] == [None, 1]


def test_for_each_may_fail_and_the_run_go_on(bench: Bench) -> None:
    each = ForEach("items", do("fail")).options(on_error="continue")
    result = drained(bench, each, do("mark", text="after"), items=[0])
    assert result.status is RunStatus.COMPLETED
    assert paths(result, ActionStatus.FAILED) == ["/ForEach", "ForEach[0]/fail"]
    assert result.store["marks"] == ["after"]


def test_a_retry_does_all_items_anew(bench: Bench) -> None:
    each = ForEach("items", do("mark"), do("fail_once"), max_parallel=1, store_as="results")
    again = each.options(retry=Retry(2, delay=0.01))
    result = drained(bench, again, items=[0, 1])
    assert result.status is RunStatus.COMPLETED
    assert result.actions[0].attempt == 2
    assert sorted(result.store["marks"]) == ["0", "0", "1"]
    assert result.store["results"] == [None, None]


def test_an_action_inside_is_tried_again_by_itself(bench: Bench) -> None:
    each = ForEach("items", do("mark"), do("fail_once").options(retry=Retry(2, delay=0.01)))
    result = drained(bench, each, items=[0, 1])
    assert result.status is RunStatus.COMPLETED
    assert result.actions[0].attempt == 1
    assert sorted(result.store["marks"]) == ["0", "1"]


def test_what_an_item_adds_belongs_to_the_item(bench: Bench) -> None:
    @action
    def adds(ctx: ActionContext) -> None:
        ctx.add_action(do("mark", text=f"{ctx.item}-"))

    each = ForEach("items", adds.s(), do("mark", text="end"), max_parallel=1)
    result = drained(bench, each, items=["x", "y"])
    assert result.store["marks"] == ["x-0", "end0", "y-1", "end1"]


@pytest.mark.parametrize(("n", "path"), [(9, "Branch[over]/mark"), (1, "Branch[otherwise]/mark")])
def test_branch_does_one_of_its_cases(bench: Bench, n: int, path: str) -> None:
    branch = Branch(
        when("never").then(do("fail")),
        when("over", limit=5).then(do("mark", text="high")),
        otherwise(do("mark", text="low")),
        store_as="level",
    )
    result = drained(bench, branch, n=n)
    assert paths(result) == ["/Branch", path]
    assert result.store["level"] == ("high" if n == 9 else "low")


def test_branch_asks_once_and_keeps_to_its_choice(bench: Bench) -> None:
    asked = []

    @condition("asked")
    def ask(ctx: ActionContext) -> bool:
        asked.append(ctx.attempt)
        return len(asked) == 1

    result = drained(bench, Branch(when(ask).then(do("mark", text="x")), otherwise(do("fail"))))
    assert result.status is RunStatus.COMPLETED
    assert asked == [1]


def test_branch_that_nothing_holds_for_is_passed(bench: Bench) -> None:
    result = drained(bench, Branch(when("never").then(do("fail"))), do("mark", text="after"))
    assert result.status is RunStatus.COMPLETED
    assert result.store["marks"] == ["after"]


def test_branch_fails_with_its_condition(bench: Bench) -> None:
    @condition("odd")
    def odd(ctx: ActionContext) -> Any:
        return 3

    @condition("raises")
    def raises(ctx: ActionContext) -> bool:
        raise LookupError("lost")

    for asked, told in [
        (odd, "s/Branch: ConditionTypeError: condition 'odd' returned a value of type int"),
        (raises, "s/Branch: LookupError: lost"),
    ]:
        result = drained(bench, Branch(when(asked).then(do("mark"))))
        assert str(result.error).startswith(told)


def test_what_a_condition_writes_is_committed_with_its_choice(bench: Bench) -> None:
    @condition("writes")
    def writes(ctx: ActionContext) -> bool:
        ctx.store["seen"] = True
        return True

    assert drained(bench, Branch(when(writes).then(do("mark")))).store["seen"] is True


def test_repeat_makes_passes_until_its_condition_holds(bench: Bench) -> None:
    repeat = Repeat(do("count"), do("mark"), until=when("over", limit=2), store_as="last")
    result = drained(bench, repeat)
    assert result.status is RunStatus.COMPLETED
    assert result.store["n"] == 3
    assert result.store["marks"] == ["0", "1", "2"]
    assert result.store["last"] == "2"
    assert result.actions[0].attempt == 1


def test_repeat_without_a_condition_makes_its_number_of_passes(bench: Bench) -> None:
    assert drained(bench, Repeat(do("count"), max_times=4)).store["n"] == 4


def test_repeat_fails_when_its_condition_never_holds(bench: Bench) -> None:
    result = drained(bench, Repeat(do("count"), until="never", max_times=2))
    assert str(result.error) == (
        "s/Repeat: RepeatLimitError: repeated 2 times, and the condition 'never' never held; "
        "raise max_times if more passes are wanted"
    )
    assert result.store["n"] == 2


def test_a_failure_in_a_pass_ends_the_repeat(bench: Bench) -> None:
    result = drained(bench, Repeat(do("count"), do("fail", at=1), max_times=5))
    assert str(result.error) == "s/Repeat[1]/fail: ValueError: no 1"
    assert result.store["n"] == 2


def child(*actions: Action) -> Workflow:
    return workflow(*actions, id="child")


def test_a_child_run_is_given_values_and_values_are_taken_from_it(bench: Bench) -> None:
    inner = child(do("copy", key="in", to="out"), do("copy", key="fixed", to="extra"))
    runs = RunWorkflow(
        inner,
        give={"in": "order"},
        store={"fixed": {1, 2}},
        take={"result": "out", "extra": "extra"},
        store_as="child",
    )
    result = drained(bench, runs, order=(1, "x"))
    assert result.status is RunStatus.COMPLETED
    assert result.store["result"] == (1, "x")
    assert result.store["extra"] == {1, 2}
    assert "out" not in result.store
    below = bench._runner.get(result.store["child"]).result()
    assert below.status is RunStatus.COMPLETED
    assert below.store["out"] == (1, "x")
    assert "order" not in below.store


def test_a_failure_in_a_child_run_names_its_whole_path(bench: Bench) -> None:
    result = drained(bench, RunWorkflow(child(do("fail"))).options(name="sub"))
    assert str(result.error) == "s/sub/s/fail: ValueError: no None"


def test_a_child_run_that_bails_has_ended_well(bench: Bench) -> None:
    @action
    def bails(ctx: ActionContext) -> None:
        ctx.store["out"] = 1
        ctx.bail("enough")

    result = drained(bench, RunWorkflow(child(bails.s(), do("fail")), take=["out"]))
    assert result.status is RunStatus.COMPLETED
    assert result.store["out"] == 1


def test_a_child_run_that_is_cancelled_fails_its_action(bench: Bench) -> None:
    run = bench.submit(workflow(RunWorkflow(child(do("mark"))).options(name="sub")))
    bench.step()
    below = bench._runner.get(run.plan.actions[0].child_run_id)
    below.cancel()
    result = bench.drain(run)
    assert str(result.error) == (
        f"s/sub: ChildCancelledError: the child run {below.run_id!r} was cancelled"
    )


def test_a_key_that_a_child_run_does_not_leave_fails_its_action(bench: Bench) -> None:
    result = drained(bench, RunWorkflow(child(do("count")), take=["out"]))
    assert str(result.error).startswith("s/RunWorkflow: KeyNotFoundError: no key 'out' in the stor")


def test_a_retry_begins_another_child_run(bench: Bench) -> None:
    @action
    def second(ctx: ActionContext) -> None:
        if not ctx.run_id.endswith("-1"):
            raise ValueError("no")

    runs = RunWorkflow(child(second.s()), store_as="child").options(retry=Retry(2, delay=0.01))
    result = drained(bench, runs)
    assert result.status is RunStatus.COMPLETED
    assert bench._runner.get(result.store["child"]).status is RunStatus.COMPLETED


def test_child_runs_side_by_side_do_not_mix(bench: Bench) -> None:
    inner = child(do("count"), do("mark"))
    each = ForEach("items", RunWorkflow(inner, give=["n"]), store_as="children")
    result = drained(bench, each, items=list("abc"), n=5)
    assert len(set(result.store["children"])) == 3
    for id in result.store["children"]:
        below = bench._runner.get(id)
        assert (below.store["n"], below.store["marks"]) == (6, [""])
    assert result.store["n"] == 5


def test_child_runs_nest_no_deeper_than_the_run_allows(bench: Bench) -> None:
    @action
    def deeper(ctx: ActionContext) -> None:
        ctx.add_action(RunWorkflow(child(do("mark"))))

    made = workflow(RunWorkflow(child(deeper.s())), limits=Limits(max_child_depth=1))
    result = bench.drain(bench.submit(made))
    assert result.error is not None
    assert result.error.type == "PlanLimitError"
    assert result.error.path == "s/RunWorkflow/s/RunWorkflow"


def test_results_of_nested_loops_are_nested_lists(bench: Bench) -> None:
    @action
    def times(ctx: ActionContext, by: str) -> int:
        return int(ctx.item) * ctx.store.get(by, int)

    @action
    def spread(ctx: ActionContext) -> None:
        ctx.store[f"row{ctx.index}"] = list(ctx.item)

    result = drained(
        bench,
        ForEach("rows", spread.s()),
        ForEach("rows", ForEach("row0", times.s("by")), store_as="table"),
        rows=[[1, 2], [3]],
        by=10,
    )
    assert result.store["table"] == [[10, 20], [10, 20]]


def test_three_kinds_nest_in_each_other(bench: Bench) -> None:
    each = ForEach(
        "items",
        Branch(
            when("even").then(Repeat(do("mark", text="even"), do("item"), max_times=2)),
            otherwise(do("mark", text="odd"), do("item")),
        ),
        store_as="results",
    )
    result = drained(bench, each, items=[3, 4])
    assert result.status is RunStatus.COMPLETED
    assert result.store["results"] == [3, 4]
    # Of the innermost that numbers: the pass of the repeat, else the item.
    assert sorted(result.store["marks"]) == ["even0", "even1", "odd0"]
    within = {one.within for one in result.actions}
    assert "ForEach[1]/Branch[even]/Repeat[0]" in within


def test_a_failure_three_deep_names_its_whole_path(bench: Bench) -> None:
    inner = child(Repeat(Branch(when("never").then(), otherwise(do("fail"))), max_times=1))
    result = drained(bench, ForEach("items", RunWorkflow(inner)), items=[0])
    assert str(result.error) == (
        "s/ForEach[0]/RunWorkflow/s/Repeat[0]/Branch[otherwise]/fail: ValueError: no 0"
    )


def every_kind() -> Workflow:
    inner = child(ForEach("items", do("mark"), store_as="out"))
    return workflow(
        ForEach("items", Branch(when("even").then(do("mark", text="e"))), store_as="a"),
        Repeat(do("count"), until="over", store_as="b"),
        RunWorkflow(inner, give=["items"], take={"c": "out"}),
    )


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("step", range(1, 22, 4))
def test_a_death_at_any_moment_changes_nothing(bench: Bench, moment: Moment, step: int) -> None:
    run = bench.submit(every_kind(), store={"items": [1, 2]})
    for _ in range(step):
        if bench.post.messages:
            bench.step()
    bench.die_at = moment
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED
    assert result.store["a"] == [None, "e1"]
    assert result.store["n"] == 4
    assert result.store["c"] == ["0", "1"]
    assert result.store["marks"] == ["e1"]


@pytest.mark.parametrize(
    "forget", [lambda: registry._things.pop("count"), lambda: conditions._things.pop("over")]
)
def test_a_worker_that_does_not_know_what_is_inside_leaves_it_to_one_that_does(
    bench: Bench, forget: Callable[[], object]
) -> None:
    run = bench.submit(workflow(Repeat(do("count"), until="over")))
    with registry.isolated(), conditions.isolated():
        forget()
        ended = bench.step(worker="old")
    assert ended is not None
    assert ended.word == "released"
    assert bench.drain(run).status is RunStatus.COMPLETED


def test_a_parallel_stage_waits_for_all_or_for_a_quorum(bench: Bench) -> None:
    members = [do("fail"), do("mark", text="a"), do("mark", text="b")]
    waits = Workflow("waits")
    waits.add_stage(Stage("s", members, parallel=True, max_parallel=1, on_failure="wait_all"))
    result = bench.drain(bench.submit(waits))
    assert result.status is RunStatus.FAILED
    assert result.store["marks"] == ["a", "b"]
    enough = Workflow("enough")
    enough.add_stage(Stage("s", members, parallel=True, max_parallel=1, join=quorum(1)))
    result = bench.drain(bench.submit(enough))
    assert result.status is RunStatus.COMPLETED
    assert result.store["marks"] == ["a"]


PROGRAM = """
from gostage_core import Branch, ForEach, Repeat, RunWorkflow, Workflow, action, condition
from gostage_core import otherwise, when

@action
def double(ctx) -> int:
    return ctx.item * 2

@action
def count(ctx) -> None:
    ctx.store.increment("n")

@action(store_as="total")
def add_up(ctx) -> int:
    return sum(ctx.store["doubled"])

@condition("enough")
def enough(ctx, n: int) -> bool:
    return ctx.store["n"] >= n

@condition
async def is_large(ctx) -> bool:
    return ctx.item > 2

inner = Workflow("inner")
inner.add_stage("s").add(
    ForEach("items", Branch(when(is_large).then(double.s()), otherwise(double.s())),
            max_parallel=2, store_as="doubled"),
    add_up.s(),
)
outer = Workflow("outer")
outer.add_stage("s").add(
    Repeat(count.s(), until=when("enough", n=2)),
    RunWorkflow(inner, give=["items"], take=["total", "doubled"], store_as="child"),
)
"""


def test_real_workers_do_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "composed.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    import composed

    try:
        with LocalCluster(workers=2, modules=["composed"]) as cluster:
            result = cluster.runner.execute(composed.outer, store={"items": [1, 2, 3]}, timeout=60)
            below = cluster.runner.get(result.store["child"]).result()
    finally:
        del sys.modules["composed"]
    assert result.status is RunStatus.COMPLETED
    assert result.store["doubled"] == [2, 4, 6]
    assert result.store["total"] == 12
    assert result.store["n"] == 2
    assert below.status is RunStatus.COMPLETED
