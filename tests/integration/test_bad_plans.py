"""Plans and bodies that cannot work: a clear error each, and the run whole that it happens to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

import pytest

from gostage_core import (
    Action,
    ActionContext,
    ActionNotFoundError,
    ActionStatus,
    Addition,
    Branch,
    DuplicateStageError,
    ForEach,
    HookContext,
    InvalidWorkflowError,
    Limits,
    Middleware,
    PlanConflictError,
    PlanLimitError,
    Repeat,
    Runner,
    RunStatus,
    RunWorkflow,
    ScopeOutcome,
    Settings,
    Stage,
    StageFilter,
    StageFinishedError,
    StageNotFoundError,
    UnknownActionError,
    UnknownConditionError,
    ValueTooLargeError,
    Workflow,
    action,
    condition,
    when,
)
from gostage_core.authoring.middleware import middlewares
from tests.support.bench import Bench
from tests.support.scripted import Do, Script, check_history, do, script, statuses, workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import Failure, Run
    from gostage_core.planning.plan_edit import PlanEdit


@pytest.fixture(autouse=True)
def told(fresh_registry: None) -> Iterator[Script]:
    script.clear()
    with middlewares.isolated():
        yield script
    script.clear()


def bench_with(settings: Settings, **changed: int) -> Bench:
    return Bench(settings.model_copy(update=changed))


def failed(bench: Bench, made: Workflow, **store: Any) -> tuple[Run, Failure]:
    """Execute a workflow that is to fail; the run must be whole, and another one go its way."""
    run = bench.submit(made, store=store)
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED, "it was to fail"
    assert result.error is not None
    check_whole(bench, run)
    return run, result.error


def check_whole(bench: Bench, run: Run) -> None:
    """Check that nothing of an ended run is left to be done, and that others are not harmed."""
    client, keys = bench.state.client, bench.state.keys
    check_history(bench.state, run)
    ends = [entry.kind for entry in run.journal() if entry.kind == f"run.{run.status.value}"]
    assert ends == [run.journal()[-1].kind]
    live = {ActionStatus.RUNNING, ActionStatus.SLEEPING, ActionStatus.WAITING}
    assert not [one.path for one in run.plan.actions if one.status in live]
    bench.pass_time()
    bench.post.messages.clear()
    timers = cast("list[bytes]", client.zrange(keys.of("wake"), 0, -1))
    assert not [timer for timer in timers if timer.decode().startswith(f"{run.run_id} ")]
    assert not client.exists(keys.of("live", run.run_id))
    script.clear()
    assert bench.drain(bench.submit(workflow(s="other"))).status is RunStatus.COMPLETED


class Hostile(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("not even my message")


# Edits that cannot be


NOT_THERE: list[tuple[Callable[[PlanEdit], object], type[Exception], str]] = [
    (lambda plan: plan.actions["x"], ActionNotFoundError, "no action 'x' in the plan"),
    (lambda plan: plan.stages["x"], StageNotFoundError, "no stage 'x' in the plan"),
    (
        lambda plan: plan.stages["t"].add(*do("new"), after="x"),
        ActionNotFoundError,
        "no action 'x' in stage 't'",
    ),
    (
        lambda plan: plan.stages["t"].add(*do("new"), after="b"),
        ActionNotFoundError,
        "no action 'b' in stage 't'",
    ),
    (
        lambda plan: plan.add_stage(Stage("new"), after="x"),
        StageNotFoundError,
        "no stage 'x' in the plan",
    ),
    (lambda plan: plan.add_stage(Stage("t")), DuplicateStageError, "'t'"),
    (lambda plan: plan.add_stage(cast("Any", "new")), InvalidWorkflowError, r"takes Stage\(...\)"),
    (
        lambda plan: plan.stages["t"].add(cast("Any", "new")),
        InvalidWorkflowError,
        "stage 't': an action is wanted, not str",
    ),
    (lambda plan: plan.stages["t"].add(cast("Any", Do)), InvalidWorkflowError, "Do is a class"),
    (lambda plan: plan.stages["s"].add(*do("new"), after="a"), PlanConflictError, "gone past 'a'"),
]


@pytest.mark.parametrize(("does", "error", "told"), NOT_THERE)
def test_an_edit_that_cannot_be_applies_nothing_of_it(
    bench: Bench, does: Callable[[PlanEdit], object], error: type[Exception], told: str
) -> None:
    run = bench.submit(workflow(s="a b", t="c"))
    bench.step()

    def change(plan: PlanEdit) -> None:
        plan.actions["b"].disable()
        plan.stages["t"].add(*do("d"))
        does(plan)

    with pytest.raises(error, match=told), run.edit("why") as plan:
        change(plan)
    assert run.plan.revision == 1
    assert bench.drain(run).store["order"] == ["a", "b", "c"]
    check_whole(bench, run)


@pytest.mark.parametrize(("does", "error", "told"), [*NOT_THERE[:4], *NOT_THERE[7:9]])
def test_an_action_that_changes_what_is_not_there_fails_and_changes_nothing(
    bench: Bench, does: Callable[[Any], object], error: type[Exception], told: str
) -> None:
    def changes(ctx: ActionContext) -> None:
        ctx.store["lost"] = 1
        ctx.actions["b"].disable()
        ctx.add_stage(Stage("n", do("n1")))
        does(ctx)

    script["a"] = changes
    run, failure = failed(bench, workflow(s="a b", t="c"))
    assert failure.type == error.__name__
    assert told.replace("\\", "") in failure.message
    assert failure.path == "s/a"
    assert statuses(run) == {
        "s": "failed", "t": "pending", "s/a": "failed", "s/b": "pending", "t/c": "pending",
    }  # fmt: skip
    assert run.plan.revision == 1
    assert run.store.export() == {}


@pytest.mark.parametrize(
    "edits", [["disable", "99"], ["remove", "-1"], ["add", "99", "", 0], ["add", "1", "5", 0]]
)
def test_a_forged_edit_of_entries_that_are_not_there_is_refused(
    bench: Bench, edits: list[object]
) -> None:
    run = bench.submit(workflow(s="a b", t="c"))
    answer = bench.state.edit(
        run.run_id, nonce="n", revision=1, details='{"actor":"x"}', edits=[1, *edits]
    )
    assert answer.word == "conflict"
    assert run.plan.revision == 1
    assert bench.drain(run).store["order"] == ["a", "b", "c"]


def test_an_action_that_adds_to_a_finished_stage_fails_and_changes_nothing(bench: Bench) -> None:
    def adds(ctx: ActionContext) -> None:
        ctx.add_action(*do("lost"))
        ctx.stages["s"].add(*do("x"))

    script["b"] = adds
    run, failure = failed(bench, workflow(s="a", t="b c"))
    assert failure.type == StageFinishedError.__name__
    assert failure.message == "stage 's' has finished; nothing can be added to it"
    assert [one.name for one in run.plan.actions] == ["a", "b", "c"]


def test_a_stage_that_ends_before_an_edit_of_it_is_applied_refuses_it(bench: Bench) -> None:
    run = bench.submit(workflow(s="a", t="b"))
    edit = run.edit("why")
    plan = edit.__enter__()
    plan.stages["s"].add(*do("x"))
    bench.step()
    with pytest.raises(StageFinishedError, match="'s' has finished"):
        edit.__exit__(None, None, None)
    assert bench.drain(run).store["order"] == ["a", "b"]
    check_whole(bench, run)


def test_of_two_stages_of_one_id_that_are_added_side_by_side_the_later_is_refused(
    bench: Bench,
) -> None:
    def adds_late(ctx: ActionContext) -> None:
        ctx.store["lost"] = 1
        ctx.add_stage(Stage("n", do("x")))
        bench.step(worker="other")

    script.update(a=adds_late, b=lambda ctx: ctx.add_stage(Stage("n", do("y"))))
    made = Workflow("w")
    made.add_stage(Stage("p", do("a", "b"), parallel=True))
    run, failure = failed(bench, made)
    assert (failure.type, failure.path) == (DuplicateStageError.__name__, "p/a")
    assert [one.name for one in run.plan.actions] == ["a", "b", "y"]
    assert "lost" not in run.store


# Plans without end, and guard rails


def test_a_workflow_that_runs_itself_within_itself_ends_at_the_depth_that_is_allowed(
    bench: Bench,
) -> None:
    inner = Workflow("circle")

    @action("again")
    def again(ctx: ActionContext) -> None:
        ctx.store["seen"] = ctx.run_id
        ctx.add_action(RunWorkflow(inner))

    inner.add_stage("s").add(again.s())
    run, failure = failed(bench, inner)
    most = Limits().max_child_depth
    assert failure.type == "PlanLimitError"
    assert f"max_child_depth allows {most}" in failure.message
    assert failure.path == "/".join(["s/RunWorkflow"] * (most + 1))
    runs = bench._runner.list(workflow="circle")
    refused = [(e.entry, e.change["limit"]) for e in innermost(bench, run).journal()
               if e.kind == "plan.refused"]  # fmt: skip
    assert refused == [("3", "max_child_depth")]
    assert len(runs) == most + 1
    assert {one.status for one in runs} == {RunStatus.FAILED}
    for one in runs:
        assert bench._runner.get(one.run_id).store["seen"] == one.run_id
        check_whole(bench, bench._runner.get(one.run_id))


def innermost(bench: Bench, run: Run) -> Run:
    """The last of the runs that each wait for the next."""
    child = run.plan.actions[-1].child_run_id
    return innermost(bench, bench._runner.get(child)) if child else run


def adds_actions(ctx: ActionContext) -> None:
    ctx.store["lost"] = 1
    ctx.add_action(*do("x", "y", "z"))


def adds_stages(ctx: ActionContext) -> None:
    ctx.store["lost"] = 1
    ctx.add_stage(*(Stage(id, do("x")) for id in "XYZ"))


def adds_to_a_stage(ctx: ActionContext) -> None:
    ctx.store["lost"] = 1
    ctx.stages["t"].add(*do("x", "y", "z"))


@pytest.mark.parametrize(
    ("limits", "adds", "told"),
    [
        (Limits(max_added_actions=2), adds_actions, "max_added_actions allows 2"),
        (Limits(max_added_actions=2), adds_to_a_stage, "max_added_actions allows 2"),
        (Limits(max_added_actions=2), adds_stages, "max_added_actions allows 2"),
        (Limits(max_added_stages=2), adds_stages, "max_added_stages allows 2"),
        (Limits(max_depth=0), adds_actions, "max_depth allows 0, not 1"),
        (Limits(max_depth=0), adds_stages, "max_depth allows 0, not 1"),
        (Limits(may_add=()), adds_actions, "may_add allows s/a to add nothing"),
        (Limits(may_add=()), adds_stages, "may_add allows s/a to add nothing"),
        (Limits(may_add=()), adds_to_a_stage, "may_add allows s/a to add nothing"),
        (
            Limits(may_add=(Addition(ids=("*",), by=("t/*",)),)),
            adds_actions,
            "may_add allows s/a to add nothing",
        ),
    ],
)
def test_an_action_that_exceeds_a_guard_rail_fails_and_adds_nothing(
    bench: Bench, limits: Limits, adds: Callable[[ActionContext], None], told: str
) -> None:
    script["a"] = adds
    made = Workflow("w", limits=limits)
    made.add_stage(Stage("s", do("a", "b")))
    made.add_stage(Stage("t", do("c")))
    run, failure = failed(bench, made)
    assert failure.type == PlanLimitError.__name__
    assert told in failure.message
    assert failure.path == "s/a"
    assert [one.name for one in run.plan.actions] == ["a", "b", "c"]
    assert list(run.plan.stages) == ["s", "t"]
    assert run.store.export() == {}
    (refused,) = [entry for entry in run.journal() if entry.kind == "plan.refused"]
    assert (refused.actor, refused.change["limit"]) == ("action s/a", told.split()[0])
    assert told in refused.reason


def test_what_is_added_may_reach_a_guard_rail_and_counts_over_the_whole_run(bench: Bench) -> None:
    def adds_one(ctx: ActionContext) -> None:
        ctx.add_action(*do("x"))

    script.update(a=adds_one, b=adds_one, c=adds_one)
    made = Workflow("w", limits=Limits(max_added_actions=2))
    made.add_stage(Stage("s", do("a", "b")))
    run = bench.submit(made)
    assert bench.drain(run).store["order"] == ["a", "x", "b", "x"]
    check_whole(bench, run)
    script.update(a=adds_one, b=adds_one, c=adds_one)
    made.stages["s"].add(*do("c"))
    run, failure = failed(bench, made)
    assert "max_added_actions allows 2" in failure.message
    assert failure.path == "s/c"
    assert len(run.plan.actions) == 5


# Conditions


def raises(error: Callable[[], BaseException]) -> Callable[[ActionContext], bool]:
    def ask(ctx: ActionContext) -> bool:
        ctx.store["lost"] = 1
        raise error()

    return ask


def returns(value: object) -> Callable[[ActionContext], bool]:
    def ask(ctx: ActionContext) -> bool:
        ctx.store["lost"] = 1
        return cast("bool", value)

    return ask


@pytest.mark.parametrize("asked_by", ["Branch", "Repeat", "StageFilter"])
@pytest.mark.parametrize(
    ("ask", "type", "told"),
    [
        (raises(lambda: LookupError("lost")), "LookupError", "lost"),
        (raises(lambda: SystemExit(3)), "SystemExit", "3"),
        (raises(Hostile), "Hostile", ""),
        (returns(None), "ConditionTypeError", "condition 'ask' returned a value of type NoneType"),
        (returns(1), "ConditionTypeError", "condition 'ask' returned a value of type int"),
        (returns("yes"), "ConditionTypeError", "condition 'ask' returned a value of type str"),
    ],
)
def test_a_condition_that_does_not_answer_fails_whoever_asks(
    bench: Bench, asked_by: str, ask: Callable[[ActionContext], bool], type: str, told: str
) -> None:
    condition("ask")(ask)
    composed: dict[str, Action] = {
        "Branch": Branch(when("ask").then(*do("x"))),
        "Repeat": Repeat(*do("x"), until="ask", max_times=3),
    }
    made = workflow(s=[composed.get(asked_by, *do("y"))], t="z")
    if asked_by == "StageFilter":
        made.stages["s"].use(StageFilter(condition="ask"))
    run, failure = failed(bench, made)
    assert failure.type == type
    assert told in failure.message
    place = "before_stage" if asked_by == "StageFilter" else asked_by
    assert failure.path == f"s/{place}"
    assert run.store.export() == ({"order": ["x"]} if asked_by == "Repeat" else {})
    assert statuses(run)["t/z"] == "pending"


def test_a_condition_that_nothing_registered_is_refused_with_its_place(bench: Bench) -> None:
    with pytest.raises(UnknownConditionError, match="'nowhere'"):
        when("nowhere")
    entries = [
        {"action": "gostage.Branch", "params": {"cases": [{"when": "nowhere"}]}},
        {"action": "gostage.Repeat", "params": {"actions": [{"action": "x"}], "until": "nowhere"}},
    ]
    for entry in entries:
        document = {"id": "w", "stages": [{"id": "s", "actions": [entry]}]}
        with pytest.raises(UnknownActionError, match=r"stages\[0\]\.actions\[0\]\.params\."):
            bench.submit(cast("Any", document))
    assert bench._runner.list() == []


# Middleware


class Breaking(Middleware, id="breaking"):
    """Raises in one of its hooks."""

    at: str
    what: str

    def _reach(self, at: str) -> None:
        if at == self.at:
            raise {"ValueError": ValueError, "SystemExit": SystemExit, "Hostile": Hostile}[
                self.what
            ]("boom")

    def attempt_limit(self, ctx: ActionContext) -> float | None:
        self._reach("attempt_limit")
        return None

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        self._reach("around_action, before")
        value = call_next()
        self._reach("around_action, after")
        return value

    def before_stage(self, ctx: HookContext) -> None:
        ctx.store["before_stage"] = 1
        self._reach("before_stage")

    async def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        ctx.store["after_stage"] = 1
        self._reach("after_stage")

    async def before_run(self, ctx: HookContext) -> None:
        ctx.store["before_run"] = 1
        self._reach("before_run")

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        ctx.store["after_run"] = 1
        self._reach("after_run")


ENTERED = {"before_run", "before_stage"}
LEFT = {"after_stage", "after_run"}


@pytest.mark.parametrize("what", ["ValueError", "SystemExit", "Hostile"])
@pytest.mark.parametrize(
    ("at", "path", "kept"),
    [
        ("before_run", "before_run", set()),
        ("before_stage", "s/before_stage", {"before_run", "after_run"}),
        ("attempt_limit", "s/a", ENTERED | LEFT),
        ("around_action, before", "s/a", ENTERED | LEFT),
        ("around_action, after", "s/a", ENTERED | LEFT),
        ("after_stage", "s/after_stage", {*ENTERED, "order", "after_run"}),
        ("after_run", "after_run", {*ENTERED, "order", "after_stage"}),
    ],
)
def test_a_middleware_that_raises_in_a_hook_fails_the_run_and_keeps_nothing_of_that_hook(
    bench: Bench, at: str, what: str, path: str, kept: set[str]
) -> None:
    run, failure = failed(bench, workflow(s="a").use(Breaking(at=at, what=what)))
    assert failure.path == path
    assert failure.type == what
    if what == "ValueError":
        assert "boom" in failure.message
    assert set(run.store.keys()) == kept


@pytest.mark.parametrize("what", ["ValueError", "Hostile"])
@pytest.mark.parametrize(
    "at", ["before_run", "before_stage", "around_action, after", "after_stage", "after_run"]
)
def test_who_stands_outside_is_told_of_a_hook_that_raises(bench: Bench, at: str, what: str) -> None:
    watched: list[tuple[str, str]] = []

    class Watching(Middleware, id="watching"):
        def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            assert outcome.error is not None
            watched.append((outcome.status, outcome.error.type))

    failed(bench, workflow(s="a").use(Watching(), Breaking(at=at, what=what)))
    assert watched == [("failed", what)]


# Messages


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"a": {1}}, "payload['a'] is of type set"),
        (b"x", "payload is of type bytes"),
        ([object()], "payload[0] is of type object"),
        ({"a": [float("nan")]}, "payload['a'][0] is nan"),
        ({1: "x"}, "a key of payload is of type int"),
        (CIRCLE, ""),
        (lambda: None, "payload is of type function"),
    ],
)
@pytest.mark.parametrize("sender", ["action", "hook", "condition"])
def test_a_message_that_is_no_json_fails_who_sends_it(
    bench: Bench, sender: str, payload: Any, told: str
) -> None:
    @condition("sends")
    def sends(ctx: ActionContext) -> bool:
        ctx.send("wrong", payload)
        return True

    class Sends(Middleware):
        def before_stage(self, ctx: HookContext) -> None:
            ctx.send("wrong", payload)

    made = workflow(s="a", t="b")
    if sender == "hook":
        made.stages["t"].use(Sends())
    elif sender == "condition":
        made.stages["t"].add(Branch(when("sends").then(*do("x"))))
    else:
        script["b"] = lambda ctx: ctx.send("wrong", payload)
    run, failure = failed(bench, made)
    assert failure.type == "NotStorableError"
    assert "cannot send message 'wrong'" in failure.message
    assert told in failure.message
    assert list(run.messages()) == []
    assert run.store["order"][0] == "a"


def test_a_message_of_ten_megabytes_is_refused_unless_the_setting_is_larger(
    bench: Bench, settings: Settings
) -> None:
    def sends(ctx: ActionContext) -> None:
        ctx.send("large", "x" * 10_000_000)

    script["a"] = sends
    run, failure = failed(bench, workflow(s="a b"))
    assert failure.type == "ValueTooLargeError"
    assert "the payload of message 'large' is 10,000,0" in failure.message
    assert "GOSTAGE_MAX_MESSAGE_BYTES" in failure.message
    assert list(run.messages()) == []
    assert [one.status.value for one in run.plan.actions] == ["failed", "pending"]

    given = settings.model_dump(exclude={"max_message_bytes"})
    larger = Settings.from_env({"GOSTAGE_MAX_MESSAGE_BYTES": "16000000"}, **given)
    other = Bench(larger)
    script["a"] = sends
    run = other.submit(workflow(s="a b"))
    assert other.drain(run).store["order"] == ["a", "b"]
    assert [len(message.payload) for message in run.messages()] == [10_000_000]
    check_whole(other, run)
    other.close()


# Actions made of others


@dataclasses.dataclass
class Parcel:
    """Something that is one thing."""

    weight: int = 1


@pytest.mark.parametrize("value", [5, "text", b"bytes", None, True, 1.5, Parcel()])
def test_a_loop_over_what_is_no_collection_fails_and_begins_nothing(
    bench: Bench, value: Any
) -> None:
    each = ForEach("items", *do("x"), store_as="out").options(name="each")
    run, failure = failed(bench, workflow(s=[*do("a"), each, *do("b")]), items=value)
    assert (failure.type, failure.path) == ("StoreTypeError", "s/each")
    assert "'items'" in failure.message
    assert "a list, tuple, set or dict" in failure.message
    assert type(value).__name__ in failure.message
    assert [one.name for one in run.plan.actions] == ["a", "each", "b"]
    assert run.store.export() == {"items": value, "order": ["a"]}


def test_a_child_run_whose_values_are_missing_is_not_begun(bench: Bench) -> None:
    runs = RunWorkflow(inner_of("x"), give=["there", "missing"], store_as="id")
    run, failure = failed(bench, workflow(s=[runs.options(name="sub"), *do("b")]), there=1)
    assert (failure.type, failure.path) == ("KeyNotFoundError", "s/sub")
    assert "no key 'missing' in the store" in failure.message
    assert run.plan.actions[0].child_run_id == ""
    assert bench._runner.list(workflow="child") == []
    assert run.store.export() == {"there": 1}


def test_what_a_child_run_leaves_is_taken_as_a_whole_or_not_at_all(bench: Bench) -> None:
    runs = RunWorkflow(inner_of("x"), take={"one": "order", "two": "missing"}, store_as="id")
    run, failure = failed(bench, workflow(s=[runs.options(name="sub"), *do("b")]))
    child = bench._runner.get(run.plan.actions[0].child_run_id)
    assert (failure.type, failure.path) == ("KeyNotFoundError", "s/sub")
    assert f"no key 'missing' in the store of the child run {child.run_id!r}" in failure.message
    assert child.status is RunStatus.COMPLETED
    assert run.store.export() == {}
    check_whole(bench, child)


def inner_of(*names: str) -> Workflow:
    made = Workflow("child")
    made.add_stage(Stage("s", do(*names)))
    return made


# Sizes


LIMIT = 20_000


def test_a_workflow_that_is_too_large_is_refused_before_anything_is_kept(
    settings: Settings,
) -> None:
    bench = bench_with(settings, max_plan_bytes=LIMIT)
    with pytest.raises(ValueTooLargeError, match=r"'w' is .* bytes.*GOSTAGE_MAX_PLAN_BYTES"):
        bench.submit(workflow(s=do(*"x" * 200)))
    runner = Runner(settings=bench.settings)
    assert runner.list() == []
    runner.close()
    bench.close()


def add_large_stage(ctx: ActionContext) -> None:
    ctx.add_stage(Stage("n", do(*"x" * 300)))


def add_many_actions(ctx: ActionContext) -> None:
    ctx.add_action(*do(*"x" * 300))


def add_to_stage(ctx: ActionContext) -> None:
    ctx.stages["t"].add(*do(*"x" * 300))


def add_large_child(ctx: ActionContext) -> None:
    ctx.add_action(RunWorkflow(inner_of(*"x" * 300)))


@pytest.mark.parametrize("adds", [add_large_stage, add_many_actions, add_to_stage, add_large_child])
def test_an_action_that_adds_too_many_bytes_fails_and_adds_nothing(
    settings: Settings, adds: Callable[[ActionContext], None]
) -> None:
    bench = bench_with(settings, max_plan_bytes=LIMIT)
    script["a"] = adds
    run, failure = failed(bench, workflow(s="a b", t="c"))
    assert failure.type == "ValueTooLargeError"
    assert "what 'a' adds to the plan is" in failure.message
    assert "GOSTAGE_MAX_PLAN_BYTES" in failure.message
    assert [one.name for one in run.plan.actions] == ["a", "b", "c"]
    assert run.plan.revision == 1
    bench.close()


def test_an_edit_that_adds_too_many_bytes_is_refused(settings: Settings) -> None:
    bench = bench_with(settings, max_plan_bytes=LIMIT)
    run = bench.submit(workflow(s="a b"))
    told = "what the edit adds to the plan is .* bytes.*GOSTAGE_MAX_PLAN_BYTES"

    def change(plan: PlanEdit) -> None:
        plan.actions["b"].disable()
        plan.stages["s"].add(*do(*"x" * 300))

    with pytest.raises(ValueTooLargeError, match=told), run.edit("why") as plan:
        change(plan)
    assert run.plan.revision == 1
    assert bench.drain(run).store["order"] == ["a", "b"]
    check_whole(bench, run)
    bench.close()


def test_a_loop_over_so_many_items_that_the_plan_grows_too_large_begins_none(
    settings: Settings,
) -> None:
    bench = bench_with(settings, max_plan_bytes=LIMIT)
    each = ForEach("items", *do("x")).options(name="each")
    run, failure = failed(bench, workflow(s=[each, *do("b")]), items=list(range(1000)))
    assert (failure.type, failure.path) == ("ValueTooLargeError", "s/each")
    assert "what 'each' waits for is" in failure.message
    assert "GOSTAGE_MAX_PLAN_BYTES" in failure.message
    assert [one.name for one in run.plan.actions] == ["each", "b"]
    assert "order" not in run.store
    bench.close()
