"""Faults that a workflow engine has easily, each shown to be absent from this one."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydantic import Field, PrivateAttr

from gostage_core import (
    Action,
    ActionContext,
    ActionStatus,
    Branch,
    ForEach,
    HookContext,
    Message,
    Middleware,
    Repeat,
    Retry,
    RunStatus,
    RunWorkflow,
    ScopeOutcome,
    Stage,
    StoreInjection,
    Workflow,
    action,
    condition,
    otherwise,
    when,
)
from gostage_core.attempt import Moment
from gostage_core.authoring.middleware import middlewares
from gostage_workers import LocalCluster
from tests.support.scripted import Script, check_history, do, script, statuses, workflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import RunResult
    from tests.support.bench import Bench


@pytest.fixture(autouse=True)
def told(fresh_registry: None) -> Iterator[Script]:
    script.clear()
    with middlewares.isolated():
        yield script
    script.clear()


def ran(bench: Bench, made: Workflow, **store: Any) -> RunResult:
    run = bench.submit(made, store=store)
    result = bench.drain(run)
    check_history(bench.state, run)
    return result


def order_of(result: RunResult) -> list[str]:
    assert result.status is RunStatus.COMPLETED, result.error
    return result.store.get("order", list[str])


class Recovering(Middleware):
    """Has its stage go on after a failure."""

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        if outcome.error is not None:
            outcome.recover()


# Plans that change


def test_a_run_goes_on_running_and_keeps_its_times_while_its_plan_grows(bench: Bench) -> None:
    script["a"] = lambda ctx: ctx.add_stage(Stage("n", do("x"), tags=["new"]))
    run = bench.submit(workflow(s="a", t="b"), tags=["mine"])
    bench.step()
    before = run.summary
    seen = []
    script["x"] = lambda ctx: seen.append(run.summary)
    assert order_of(bench.drain(run)) == ["a", "x", "b"]
    assert seen == [before]
    assert before.status is RunStatus.RUNNING
    assert before.began_at is not None
    assert run.summary.submitted_at == before.submitted_at
    assert run.summary.tags == ("mine",)


def test_what_was_added_is_found_by_those_who_come_later(bench: Bench) -> None:
    found: list[object] = []

    def adds(ctx: ActionContext) -> None:
        ctx.add_action(*do("x", tags=["late"]))
        ctx.stages["t"].add(*do("y", tags=["late"]))
        ctx.add_stage(Stage("n", do("z", tags=["late"]), tags=["late"]))

    def looks(ctx: ActionContext) -> None:
        found.extend((ctx.actions.filter(tag="late").names, ctx.stages.filter(tag="late").ids))
        assert ctx.actions.filter(tag="late", status="pending").disable() == 2

    script.update(a=adds, b=looks)
    assert order_of(ran(bench, workflow(s="a b", t="c"))) == ["a", "x", "b", "c"]
    assert found == [["x", "z", "y"], ["n"]]


def test_what_is_added_in_several_calls_comes_in_the_order_of_the_calls(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        for name in ("x", "y"):
            ctx.add_action(*do(name))
            ctx.add_stage(Stage(name.upper(), do(f"{name}1")))
            ctx.stages["t"].add(*do(f"{name}2"))

    script["a"] = adds
    result = ran(bench, workflow(s="a b", t="c"))
    assert order_of(result) == ["a", "x", "y", "b", "x1", "y1", "c", "x2", "y2"]


def test_a_choice_by_tag_reaches_what_is_there_and_not_what_is_added_later(bench: Bench) -> None:
    script["a"] = lambda ctx: ctx.actions.filter(tag="io").disable()
    script["b"] = lambda ctx: ctx.add_action(*do("x", tags=["io"]))
    made = workflow(s=[*do("a", "b"), *do("c", tags=["io"])])
    assert order_of(ran(bench, made)) == ["a", "b", "x"]


def test_all_that_was_disabled_can_be_enabled_at_once_while_the_run_goes_on(bench: Bench) -> None:
    def disables(ctx: ActionContext) -> None:
        assert ctx.actions.filter(name_contains="x").disable() == 2
        assert ctx.stages.filter(tag="late").disable() == 1

    def enables(ctx: ActionContext) -> None:
        assert ctx.actions.filter(status="skipped", name_contains="x").enable() == 1
        assert ctx.stages.filter(status="skipped").enable() == 1

    script.update(a=disables, b=enables)
    made = workflow(s="a x1 b x2")
    made.add_stage(Stage("t", do("c"), tags=["late"]))
    result = ran(bench, made)
    assert order_of(result) == ["a", "b", "x2", "c"]
    assert [one.status.value for one in result.actions][1] == "skipped"


def test_removing_by_name_takes_what_is_to_come_and_not_what_has_ended(bench: Bench) -> None:
    removed: list[int] = []
    script["y"] = lambda ctx: removed.append(ctx.actions["x"].remove())
    run = bench.submit(workflow(s="x y", t="x z"))
    assert order_of(bench.drain(run)) == ["x", "y", "z"]
    assert removed == [1]
    assert [one.status.value for one in run.plan.actions] == [
        "completed", "completed", "removed", "completed",
    ]  # fmt: skip


def test_who_tries_to_remove_itself_and_adds_something_skips_nothing(bench: Bench) -> None:
    def replaces(ctx: ActionContext) -> None:
        assert ctx.actions["a"].remove() == 0
        assert ctx.stages["s"].remove() == 0
        ctx.add_action(*do("x"))
        ctx.add_stage(Stage("n", do("y")))

    script["a"] = replaces
    result = ran(bench, workflow(s="a b c"))
    assert order_of(result) == ["a", "x", "b", "c", "y"]
    assert list(result.stages) == ["s", "n"]


def test_stages_that_were_added_before_a_failure_run_when_it_is_recovered(bench: Bench) -> None:
    def fails(ctx: ActionContext) -> None:
        ctx.add_stage(Stage("lost", do("l")))
        raise ValueError("boom")

    script.update(a=lambda ctx: ctx.add_stage(Stage("n", do("x"))), b=fails)
    made = workflow(s="a b", t="c")
    made.stages["s"].use(Recovering())
    result = ran(bench, made)
    assert order_of(result) == ["a", "x", "c"]
    assert list(result.stages) == ["s", "n", "t"]


def test_what_a_run_that_failed_had_added_is_in_no_later_run(bench: Bench) -> None:
    def fails(ctx: ActionContext) -> None:
        raise ValueError("boom")

    script.update(a=lambda ctx: ctx.add_stage(Stage("n", do("x"))), b=fails)
    made = workflow(s="a b", t="c")
    assert ran(bench, made).status is RunStatus.FAILED
    script.clear()
    result = ran(bench, made)
    assert order_of(result) == ["a", "b", "c"]
    assert list(result.stages) == ["s", "t"]


def test_a_loop_that_is_done_anew_does_not_keep_what_its_items_added(bench: Bench) -> None:
    trail: list[str] = []

    def adds(ctx: ActionContext) -> None:
        trail.append("g")
        ctx.add_action(*do("dyn"))

    def fails_once(ctx: ActionContext) -> None:
        trail.append("f")
        if trail.count("f") == 1:
            raise OSError("once")

    script.update(g=adds, dyn=lambda ctx: trail.append("dyn"), f=fails_once)
    each = ForEach("items", *do("g", "f"), max_parallel=1).options(retry=Retry(2, delay=0))
    result = ran(bench, workflow(s=[each, *do("z")]), items=[1])
    assert result.status is RunStatus.COMPLETED
    assert trail == ["g", "dyn", "f", "g", "dyn", "f"]


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("step", range(4))
def test_what_was_added_and_then_disabled_stays_so_when_workers_die(
    bench: Bench, moment: Moment, step: int
) -> None:
    def adds(ctx: ActionContext) -> None:
        ctx.add_action(*do("x", "y"))
        ctx.add_stage(Stage("n", do("n1")), Stage("m", do("m1")))

    def disables(ctx: ActionContext) -> None:
        assert ctx.actions["y"].disable() == 1
        assert ctx.stages["n"].disable() == 1

    script.update(a=adds, x=disables)
    run = bench.submit(workflow(s="a b"))
    for _ in range(step):
        bench.step()
    bench.die_at = moment
    result = bench.drain(run)
    check_history(bench.state, run)
    assert order_of(result) == ["a", "x", "b", "m1"]
    assert {path: status for path, status in statuses(run).items() if status == "skipped"} == {
        "s/y": "skipped", "n": "skipped", "n/n1": "skipped",
    }  # fmt: skip


# Contexts, actions and their parameters


def test_a_context_that_was_kept_tells_of_its_own_action(bench: Bench) -> None:
    kept: list[ActionContext] = []
    script.update(dict.fromkeys("abc", kept.append))
    result = ran(bench, workflow(s="a b", t="c"))
    assert order_of(result) == ["a", "b", "c"]
    assert [(ctx.action.name, ctx.stage.id) for ctx in kept] == [("a", "s"), ("b", "s"), ("c", "t")]
    assert len({ctx.idempotency_key for ctx in kept}) == 3


def test_an_action_keeps_nothing_between_its_tries_and_its_places(bench: Bench) -> None:
    seen: list[int] = []

    class Counting(Action, retry=Retry(2, delay=0)):
        values: list[int] = Field(default_factory=lambda: [1])
        _calls: int = PrivateAttr(default=0)

        def execute(self, ctx: ActionContext) -> None:
            self._calls += 1
            self.values.append(self._calls)
            seen.append(len(self.values) + self._calls)
            if ctx.attempt == 1:
                raise OSError("once")

    one = Counting()
    assert ran(bench, workflow(s=[one, one], t=[one])).status is RunStatus.COMPLETED
    assert seen == [3] * 6
    assert one.values == [1]


def test_two_uses_of_an_action_have_parameters_of_their_own(bench: Bench) -> None:
    seen: list[tuple[str, int]] = []

    @action("charge")
    def charge(ctx: ActionContext, amount: int = 1) -> None:
        seen.append((ctx.action.name, amount))

    made = workflow(s=[charge.s(5), charge.s(), charge.s(7).options(name="other")])
    result = ran(bench, made)
    assert seen == [("charge", 5), ("charge", 1), ("other", 7)]
    assert result.store.export() == {}, "parameters are not values of the store"


def test_a_condition_reads_writes_and_sends_like_an_action(bench: Bench) -> None:
    @condition("busy")
    def busy(ctx: ActionContext) -> bool:
        ctx.send("asked", ctx.action.name)
        ctx.store.increment("asked")
        return len(ctx.actions.filter(status="pending")) == 1 and ctx.stage.id == "s"

    run = bench.submit(workflow(s=[Branch(when("busy").then(*do("a"))), *do("z")]))
    assert order_of(bench.drain(run)) == ["a", "z"]
    assert run.store["asked"] == 1
    assert [message.payload for message in run.messages()] == ["Branch"]


# Loops, branches and child runs


def test_an_outer_item_is_there_again_when_an_inner_loop_has_ended(bench: Bench) -> None:
    seen: list[object] = []
    script.update(dict.fromkeys("abc", lambda ctx: seen.append((ctx.item, ctx.index))))
    outer = ForEach("outer", *do("a"), ForEach("inner", *do("b")), *do("c"), max_parallel=1)
    ran(bench, workflow(s=[outer]), outer=["x", "y"], inner=[1])
    assert seen == [
        ("x", 0), (1, 0), ("x", 0),
        ("y", 1), (1, 0), ("y", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("step", range(0, 14, 2))
def test_two_loops_with_the_same_inside_do_not_share_their_progress(
    bench: Bench, step: int
) -> None:
    @condition("yes")
    def yes(ctx: ActionContext) -> bool:
        return True

    def same() -> Action:
        return Repeat(Branch(when("yes").then(*do("x", "y"))), max_times=2)

    run = bench.submit(workflow(s=[same(), same()]))
    for _ in range(step):
        bench.step()
    bench.die_at = Moment.BODY_DONE
    assert order_of(bench.drain(run)) == ["x", "y"] * 4


def test_a_run_may_end_early_from_anywhere_and_keeps_what_was_written(bench: Bench) -> None:
    @condition("yes")
    def yes(ctx: ActionContext) -> bool:
        return True

    @condition("bails")
    def bails_itself(ctx: ActionContext) -> bool:
        ctx.store["asked"] = True
        ctx.bail("enough")
        return True

    def bails(ctx: ActionContext) -> None:
        ctx.store["seen"] = True
        ctx.bail("enough")

    script["a"] = bails
    for composed, key in [
        (ForEach("items", *do("a", "b"), max_parallel=1), "seen"),
        (Repeat(*do("a", "b"), max_times=2), "seen"),
        (Branch(when("yes").then(*do("a")), otherwise(*do("b"))), "seen"),
        (Branch(when("bails").then(*do("b"))), "asked"),
    ]:
        result = ran(bench, workflow(s=[*do("first"), composed, *do("z")]), items=[1, 2])
        assert result.status is RunStatus.BAILED, result.error
        assert (result.bail_reason, result.error) == ("enough", None)
        assert result.store["order"] == (["first", "a"] if key == "seen" else ["first"])
        assert result.store[key] is True
        assert result.actions[-1].status in (ActionStatus.PENDING, ActionStatus.CANCELLED)


def test_an_action_of_a_child_run_is_tried_as_often_as_its_own_policy_says(bench: Bench) -> None:
    tries: list[int] = []

    def flaky(ctx: ActionContext) -> None:
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            raise OSError("not yet")

    script["a"] = flaky
    inner = workflow(s=[do("a")[0].options(retry=Retry(3, delay=0))])
    assert ran(bench, workflow(s=[RunWorkflow(inner)])).status is RunStatus.COMPLETED
    assert tries == [1, 2, 3]


def test_a_workflow_that_runs_within_another_is_left_as_it_was(bench: Bench) -> None:
    inner = workflow(s="a")
    inner.stages["s"].use(StoreInjection({"injected": 1}))
    document = inner.definition().model_dump(mode="json")
    before, text = repr(document), inner.to_json()
    script["a"] = lambda ctx: ctx.add_stage(Stage("n", do("x")))
    composed = [
        RunWorkflow(inner, give=["given"], store={"own": [1]}, take=["order"], store_as="c1"),
        RunWorkflow(document, give=["given"], store={"own": [2]}, store_as="c2"),
    ]
    result = ran(bench, workflow(s=composed), given=5)
    children = [bench._runner.get(result.store[key]).result() for key in ("c1", "c2")]
    assert [child.store["own"] for child in children] == [[1], [2]]
    assert [child.store["injected"] for child in children] == [1, 1]
    assert [order_of(child) for child in children] == [["a", "x"]] * 2
    assert (repr(document), inner.to_json()) == (before, text)
    assert "own" not in result.store
    assert "own" not in bench.drain(bench.submit(inner)).store


def test_hooks_and_handlers_do_not_multiply_with_the_number_of_child_runs(bench: Bench) -> None:
    heard: list[Message] = []
    entered: list[str] = []

    class Counts(Middleware):
        def before_run(self, ctx: HookContext) -> None:
            entered.append(f"+{ctx.run_id}")

        def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            entered.append(f"-{ctx.run_id}")

    script["a"] = lambda ctx: ctx.send("note", ctx.index)
    inner = workflow(s="a").use(Counts())
    bench._runner.on("note", workflow="w")(heard.append)
    each = ForEach("items", RunWorkflow(inner), max_parallel=1, store_as="children")
    result = ran(bench, workflow(s=[each]), items=[1, 2, 3])
    assert bench._runner.drain()
    children = result.store["children"]
    assert entered == [f"{sign}{child}" for child in children for sign in "+-"]
    assert [message.context.run_id for message in heard] == children


def test_handlers_are_told_apart_though_names_have_colons(bench: Bench) -> None:
    heard: dict[str, list[str]] = {"a": [], "a:b": []}
    bench._runner.on("note", workflow="a", stage="b:c")(lambda m: heard["a"].append(m.payload))
    bench._runner.on("note", workflow="a:b", stage="c")(lambda m: heard["a:b"].append(m.payload))
    script["x"] = lambda ctx: ctx.send("note", f"{ctx.workflow.id} {ctx.stage.id}")
    for workflow_id, stage_id in (("a", "b:c"), ("a:b", "c")):
        made = Workflow(workflow_id)
        made.add_stage(Stage(stage_id, do("x")))
        bench.drain(bench.submit(made))
    assert bench._runner.drain()
    assert heard == {"a": ["a b:c"], "a:b": ["a:b c"]}


# Values that stages and middleware bring


def test_values_that_middleware_injects_are_there_when_the_stage_begins(bench: Bench) -> None:
    seen: list[object] = []
    script["a"] = lambda ctx: seen.append((ctx.store.get("x", default=0), ctx.store["y"]))
    made = workflow(s="a", t="a")
    made.use(StoreInjection({"y": "run"}))
    made.stages["t"].use(StoreInjection({"x": "stage"}))
    before = made.to_json()
    ran(bench, made)
    ran(bench, made)
    assert seen == [(0, "run"), ("stage", "run")] * 2
    assert made.to_json() == before


def test_values_of_a_stage_keep_the_tags_of_the_keys_that_they_overwrite(bench: Bench) -> None:
    def tags(ctx: ActionContext) -> None:
        ctx.store.put("k", "old", tags=["pii"], properties={"source": "crm"})

    script["a"] = tags
    made = workflow(s="a")
    made.add_stage(Stage("t", do("b"), initial={"k": "new"}))
    store = ran(bench, made).store
    assert store["k"] == "new"
    assert store.metadata("k").tags == {"pii"}
    assert store.metadata("k").properties == {"source": "crm"}


def test_values_of_a_stage_that_is_skipped_are_not_written(bench: Bench) -> None:
    script["a"] = lambda ctx: ctx.stages["off"].disable()
    made = workflow(s="a")
    made.add_stage(Stage("off", do("x"), initial={"k": 1}))
    made.add_stage(Stage("gone", do("y"), initial={"k": 2}))
    script["b"] = lambda ctx: ctx.stages["gone"].remove()
    made.stages["s"].add(*do("b"))
    assert "k" not in ran(bench, made).store


def test_the_values_of_a_result_are_copies(bench: Bench) -> None:
    result = ran(bench, workflow(s="a"), values={"list": [1]})
    result.store["values"]["list"].append(2)
    result.store.export()["values"]["list"].append(3)
    assert result.store["values"] == {"list": [1]}


def test_a_value_whose_time_is_over_is_no_conflict(bench: Bench) -> None:
    def writes(ctx: ActionContext) -> None:
        ctx.store.put("k", "old", ttl=3600)
        ctx.store.put("l", "old", ttl=3600)

    def merges(ctx: ActionContext) -> None:
        assert ctx.store.merge({"k": "new"}, on_conflict="skip") == []
        assert ctx.store.merge({"l": "new"}, on_conflict="error") == []

    script.update(a=writes, b=merges)
    run = bench.submit(workflow(s="a b"))
    bench.step()
    meta = bench.state.keys.of("meta", run.run_id)
    for key in ("k", "l"):
        created, updated, _, rest = cast("bytes", bench.state.client.hget(meta, key)).split(b"|", 3)
        bench.state.client.hset(meta, key, b"|".join((created, updated, b"1", rest)))
    assert order_of(bench.drain(run)) == ["a", "b"]
    assert (run.store["k"], run.store["l"]) == ("new", "new")


def test_changing_a_field_of_a_value_shows_in_when_it_was_updated(bench: Bench) -> None:
    script["a"] = lambda ctx: ctx.store.put("user", {"city": "Rome"}, tags=["pii"])
    script["b"] = lambda ctx: ctx.store.update("user", "city", "Paris")
    run = bench.submit(workflow(s="a b"))
    bench.step()
    meta = bench.state.keys.of("meta", run.run_id)
    _, _, rest = cast("bytes", bench.state.client.hget(meta, "user")).split(b"|", 2)
    bench.state.client.hset(meta, "user", b"|".join((b"1", b"1", rest)))
    before = run.store.metadata("user")
    bench.drain(run)
    after = run.store.metadata("user")
    assert run.store["user"] == {"city": "Paris"}
    assert after.created_at == before.created_at
    assert after.tags == {"pii"}
    assert after.updated_at is not None
    assert before.updated_at is not None
    assert after.updated_at > before.updated_at


# Bodies in processes of their own

PROGRAM = """
from gostage_core import ForEach, Stage, Workflow, action

@action(isolation="process")
def pack(ctx) -> list:
    before = ctx.store.get("last", default=None)
    ctx.store["last"] = ctx.item
    if "doomed" in ctx.store:
        ctx.store.delete("doomed")
    ctx.send("packed", {"index": ctx.index})
    return [ctx.index, ctx.item, before]

@action(isolation="process")
def change(ctx) -> None:
    assert "doomed" not in ctx.store
    assert ctx.actions.filter(tag="late").disable() == 1
    ctx.stages["next"].add(note.s("added"))

@action
def note(ctx, text: str) -> None:
    ctx.store.append("notes", text)

packing = Workflow("packing")
packing.add_stage("pack").add(
    ForEach("items", pack.s(), max_parallel=1, store_as="packed"),
    change.s(),
    note.s("late").options(tags=["late"]),
)
packing.add_stage("next").add(note.s("planned"))
"""


def test_an_item_in_a_process_of_its_own_lacks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows its index, sees what the one before it wrote, may delete, send and change plans."""
    (tmp_path / "packing.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    packing = import_module("packing")
    try:
        with LocalCluster(workers=1, modules=["packing"]) as cluster:
            store = {"items": ["x", (2, 3)], "doomed": 1}
            run = cluster.runner.submit(packing.packing, store=store)
            result = run.wait(timeout=60)
            messages = [message.payload for message in run.messages()]
    finally:
        del sys.modules["packing"]
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["packed"] == [[0, "x", None], [1, (2, 3), "x"]]
    assert "doomed" not in result.store
    assert result.store["notes"] == ["planned", "added"]
    assert messages == [{"index": 0}, {"index": 1}]
