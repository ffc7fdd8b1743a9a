"""What the engine promises of middleware: order, failures, scratch, crashes, added stages."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Action,
    ActionContext,
    ActionStatus,
    ForEach,
    HookContext,
    Logging,
    Middleware,
    Notification,
    Retry,
    Runner,
    RunStatus,
    RunWorkflow,
    ScopeOutcome,
    Stage,
    StageFilter,
    StoreInjection,
    TimeLimit,
    Timing,
    Workflow,
)
from gostage_core.attempt import Moment
from gostage_core.authoring.middleware import middlewares
from tests.support.command import ROOT, SECONDS, Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gostage_core.result import RunResult
    from tests.support.bench import Bench

EXAMPLE = ROOT / "gostage_workers" / "examples" / "middleware.py"

trail: list[str] = []

COMPLETED, FAILED = ActionStatus.COMPLETED, ActionStatus.FAILED
SKIPPED, CANCELLED = ActionStatus.SKIPPED, ActionStatus.CANCELLED


@pytest.fixture(autouse=True)
def _fresh(fresh_registry: None) -> Iterator[None]:
    trail.clear()
    with middlewares.isolated():
        yield


class Do(Action, id="do"):
    """Notes its name, and does what it is told to."""

    what: str = ""

    def execute(self, ctx: ActionContext) -> str:
        trail.append(ctx.action.name)
        if self.what == "fail":
            raise ValueError("boom")
        if self.what == "bail":
            ctx.bail("enough")
        if self.what == "add stage":
            ctx.add_stage(Stage("added", [do("x")]))
        if self.what == "add action":
            ctx.add_action(do("x"))
        return ctx.action.name


def do(name: str, what: str = "", **options: Any) -> Action:
    return Do(what=what).options(name=name, **options)


class Note(Middleware, id="note"):
    """Notes each of its hooks, and does in one of them what it is told to."""

    name: str
    at: str = ""
    does: str = ""

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        trail.append(f"{self.name}>")
        try:
            return call_next()
        finally:
            trail.append(f"<{self.name}")

    async def before_stage(self, ctx: HookContext) -> None:
        trail.append(f"{self.name}+{ctx.stage.id}")
        ctx.scratch["name"] = f"{self.name} {ctx.stage.id}"
        await asyncio.sleep(0)
        self._do("before_stage", ctx)

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        trail.append(f"{self.name}-{ctx.stage.id} {outcome.status}")
        assert ctx.scratch["name"] == f"{self.name} {ctx.stage.id}"
        self._do("after_stage", ctx, outcome)

    def before_run(self, ctx: HookContext) -> None:
        trail.append(f"{self.name}+run")
        ctx.scratch["name"] = f"{self.name} run"
        self._do("before_run", ctx)

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        trail.append(f"{self.name}-run {outcome.status}")
        assert ctx.scratch["name"] == f"{self.name} run"
        self._do("after_run", ctx, outcome)

    def _do(self, hook: str, ctx: HookContext, outcome: ScopeOutcome | None = None) -> None:
        ctx.store.increment(f"{hook} of {self.name}")
        if hook != self.at:
            return
        match self.does:
            case "raise":
                raise LookupError(f"no {self.name}")
            case "skip":
                ctx.skip("closed")
            case "recover":
                assert outcome is not None
                outcome.recover()
            case "add":
                if "added" not in ctx.store:
                    ctx.store["added"] = True
                    ctx.add_stage(Stage("extra", [do("e")]))


def note(name: str, at: str = "", does: str = "") -> Note:
    return Note(name=name, at=at, does=does)


def shop(*first: Action, around: Middleware | None = None) -> Workflow:
    """A workflow of two stages, `one` with some actions and `two` with one."""
    workflow = Workflow("shop")
    stage = workflow.add_stage(Stage("one", first or [do("a"), do("b")]))
    if around is not None:
        stage.use(around)
    workflow.add_stage(Stage("two", [do("z")]))
    return workflow


def run(bench: Bench, workflow: Workflow) -> RunResult:
    return bench.drain(bench.submit(workflow))


def statuses(result: RunResult) -> dict[str, ActionStatus]:
    return {action.path: action.status for action in result.actions}


def test_the_first_is_the_outermost_across_runner_workflow_and_stage(bench: Bench) -> None:
    runner = Runner(settings=bench.settings, middleware=[note("r1"), note("r2")])
    runner._coordinator = bench.post  # type: ignore[assignment]
    workflow = Workflow("shop").use(note("w1")).use(note("w2"))
    workflow.add_stage(Stage("one", [do("a")])).use(note("s1"), note("s2"))
    result = bench.drain(runner.submit(workflow))
    runner.close()
    assert result.status is RunStatus.COMPLETED
    names = ["r1", "r2", "w1", "w2"]
    inner = [*names, "s1", "s2"]
    assert trail == [
        *(f"{name}+run" for name in names),
        *(f"{name}+one" for name in inner),
        *(f"{name}>" for name in inner),
        "a",
        *(f"<{name}" for name in reversed(inner)),
        *(f"{name}-one completed" for name in reversed(inner)),
        *(f"{name}-run completed" for name in reversed(names)),
    ]


def test_a_stage_without_actions_runs_its_hooks(bench: Bench) -> None:
    workflow = Workflow("shop")
    workflow.add_stage(Stage("empty")).use(note("s"))
    result = run(bench, workflow)
    assert result.stages["empty"].status is COMPLETED
    assert trail == ["s+empty", "s-empty completed"]


def test_what_a_hook_writes_is_committed_once(bench: Bench) -> None:
    result = run(bench, shop().use(note("w")))
    assert result.store.export() == {
        "before_run of w": 1,
        "before_stage of w": 2,
        "after_stage of w": 2,
        "after_run of w": 1,
    }


def test_a_stage_that_fails_runs_its_hooks_with_the_error(bench: Bench) -> None:
    seen: list[ScopeOutcome] = []

    class See(Middleware):
        def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            seen.append(outcome)

        def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            seen.append(outcome)

    result = run(bench, shop(do("a", "fail"), do("b")).use(See()))
    assert result.status is RunStatus.FAILED
    assert [outcome.status for outcome in seen] == ["failed", "failed"]
    assert [str(outcome.error) for outcome in seen] == ["one/a: ValueError: boom"] * 2
    assert str(result.error) == "one/a: ValueError: boom"


def test_a_stage_may_be_recovered_and_the_run_goes_on(bench: Bench) -> None:
    workflow = shop(do("a", "fail"), do("b"), around=note("s", "after_stage", "recover"))
    result = run(bench, workflow.use(note("w")))
    assert result.status is RunStatus.COMPLETED
    assert result.error is None
    assert statuses(result) == {"one/a": FAILED, "one/b": SKIPPED, "two/z": COMPLETED}
    assert result.stages["one"].status is COMPLETED
    failed = result.actions[0]
    assert (failed.handled_by, str(failed.error)) == ("note", "one/a: ValueError: boom")
    assert result.actions[1].handled_by == ""
    assert "w-one completed" in trail
    assert "w-run completed" in trail


def test_a_run_may_be_recovered(bench: Bench) -> None:
    result = run(bench, shop(do("a", "fail")).use(note("w", "after_run", "recover")))
    assert result.status is RunStatus.COMPLETED
    assert statuses(result) == {"one/a": FAILED, "two/z": SKIPPED}
    assert result.stages["one"].status is FAILED
    assert result.actions[0].handled_by == "note"


def test_the_journal_says_which_middleware_skipped_or_recovered_and_why(bench: Bench) -> None:
    workflow = shop(do("a", "fail"), around=note("s", "after_stage", "recover"))
    workflow.stages["two"].use(note("s", "before_stage", "skip"))
    run_ = bench.submit(workflow)
    bench.drain(run_)
    told = [
        (entry.change["verdict"], entry.actor, entry.reason)
        for entry in run_.journal()
        if "verdict" in entry.change
    ]
    assert told == [
        ("recover", "middleware note", "recovered from one/a: ValueError: boom"),
        ("skip", "middleware note", "closed"),
    ]


def test_a_stage_side_by_side_may_be_recovered(bench: Bench) -> None:
    workflow = Workflow("shop")
    stage = Stage("one", [do("a", "fail"), do("b")], parallel=True)
    workflow.add_stage(stage).use(note("s", "after_stage", "recover"))
    workflow.add_stage(Stage("two", [do("z")]))
    result = run(bench, workflow)
    assert result.status is RunStatus.COMPLETED
    assert result.stages["one"].status is COMPLETED
    assert result.actions[0].handled_by == "note"
    assert trail[-1] == "z"


def test_a_stage_may_be_skipped(bench: Bench) -> None:
    workflow = shop(around=note("s", "before_stage", "skip")).use(note("w"))
    result = run(bench, workflow)
    assert result.status is RunStatus.COMPLETED
    assert statuses(result) == {"one/a": SKIPPED, "one/b": SKIPPED, "two/z": COMPLETED}
    assert result.stages["one"].status is SKIPPED
    assert trail[:5] == ["w+run", "w+one", "s+one", "s-one skipped", "w-one skipped"]


def test_the_actions_of_a_skipped_stage_side_by_side_do_not_begin(bench: Bench) -> None:
    workflow = Workflow("shop")
    stage = Stage("one", [do("a"), do("b")], parallel=True)
    workflow.add_stage(stage).use(note("s", "before_stage", "skip"))
    result = run(bench, workflow)
    assert set(statuses(result).values()) == {SKIPPED}
    assert trail == ["s+one", "s-one skipped"]


def test_scratch_is_found_again_by_another_worker(bench: Bench) -> None:
    run_ = bench.submit(shop(around=note("s")))
    turn = 0
    while not run_.status.is_terminal:
        turn += 1
        bench.step(f"worker {turn}")
    assert run_.result().status is RunStatus.COMPLETED
    assert "s-one completed" in trail


@pytest.mark.parametrize(
    ("at", "a"), [("before_stage", ActionStatus.PENDING), ("after_stage", COMPLETED)]
)
def test_a_hook_of_a_stage_that_raises_fails_stage_and_run(
    bench: Bench, at: str, a: ActionStatus
) -> None:
    result = run(bench, shop(around=note("s", at, "raise")).use(note("w")))
    assert result.status is RunStatus.FAILED
    assert str(result.error) == f"one/{at}: LookupError: no s; raised by {at} of note"
    assert result.stages["one"].status is FAILED
    assert statuses(result) == {"one/a": a, "one/b": a, "two/z": ActionStatus.PENDING}
    assert trail[-2:] == ["w-one failed", "w-run failed"]
    assert f"{at} of s" not in result.store


@pytest.mark.parametrize("at", ["before_run", "after_run"])
def test_a_hook_of_a_run_that_raises_fails_the_run(bench: Bench, at: str) -> None:
    result = run(bench, shop().use(note("o"), note("w", at, "raise")))
    assert result.status is RunStatus.FAILED
    assert str(result.error) == f"{at}: LookupError: no w; raised by {at} of note"
    assert ("a" in trail) is (at == "after_run")
    assert trail[-1] == "o-run failed"
    assert f"{at} of w" not in result.store


def test_an_error_of_a_hook_may_be_recovered_further_outside(bench: Bench) -> None:
    for at in ("before_stage", "after_stage"):
        recovering = note("w", "after_stage", "recover")
        workflow = Workflow("shop")
        stage = workflow.add_stage(Stage("one", [do("a")]))
        stage.use(recovering, note("s", at, "raise"))
        workflow.add_stage(Stage("two", [do("z")]))
        result = run(bench, workflow)
        assert result.status is RunStatus.COMPLETED
        assert statuses(result)["two/z"] is COMPLETED
        assert result.stages["one"].status is (SKIPPED if at == "before_stage" else COMPLETED)


def test_an_error_before_a_run_may_be_recovered_further_outside(bench: Bench) -> None:
    workflow = shop().use(note("w", "after_run", "recover"), note("x", "before_run", "raise"))
    result = run(bench, workflow)
    assert result.status is RunStatus.COMPLETED
    assert set(statuses(result).values()) == {SKIPPED}
    assert trail == ["w+run", "x+run", "w-run failed"]


def test_the_run_may_recover_from_a_hook_of_a_stage(bench: Bench) -> None:
    workflow = shop(around=note("s", "after_stage", "raise"))
    result = run(bench, workflow.use(note("w", "after_run", "recover")))
    assert result.status is RunStatus.COMPLETED
    assert result.stages["one"].status is FAILED


def test_around_action_sees_every_attempt_and_only_the_last_one_counts(bench: Bench) -> None:
    class Counting(Middleware):
        def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
            trail.append(f"attempt {ctx.attempt}")
            ctx.store.increment("attempts")
            return call_next()

    retry = Retry(max_attempts=3, delay=0)
    result = run(bench, shop(do("a", "fail", retry=retry, on_error="continue")).use(Counting()))
    assert result.status is RunStatus.COMPLETED
    assert [line for line in trail if "attempt" in line] == [
        "attempt 1",
        "attempt 2",
        "attempt 3",
        "attempt 1",
    ]
    assert result.store["attempts"] == 1


def test_around_action_may_swallow_an_error_or_answer_in_place_of_the_body(bench: Bench) -> None:
    class Fallback(Middleware):
        def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
            if ctx.action.name == "b":
                return "cached"
            try:
                return call_next()
            except ValueError as error:
                return f"instead of {error}"

    workflow = shop(do("a", "fail", store_as="a"), do("b", "fail", store_as="b"))
    result = run(bench, workflow.use(Fallback()))
    assert result.status is RunStatus.COMPLETED
    assert (result.store["a"], result.store["b"]) == ("instead of boom", "cached")
    assert "b" not in trail


def test_what_a_loop_runs_is_wrapped_and_the_loop_itself_once_a_turn(bench: Bench) -> None:
    workflow = Workflow("shop")
    workflow.add_stage(Stage("one", [ForEach("items", do("pack"), store_as="packed")]))
    workflow.use(note("w"))
    result = bench.drain(bench.submit(workflow, store={"items": [1, 2]}))
    assert result.status is RunStatus.COMPLETED
    assert result.store["packed"] == ["pack", "pack"]
    inside = [line for line in trail if "run" not in line and "one" not in line]
    assert inside == ["w>", "<w", *["w>", "pack", "<w"] * 2, "w>", "<w"]


def test_what_is_added_while_it_runs_is_wrapped_too(bench: Bench) -> None:
    workflow = Workflow("shop").use(note("w"))
    workflow.add_stage(Stage("one", [do("a", "add stage"), do("b", "add action")]))
    run(bench, workflow)
    assert trail == [
        *("w+run", "w+one", "w>", "a", "<w", "w>", "b", "<w", "w>", "x", "<w", "w-one completed"),
        *("w+added", "w>", "x", "<w", "w-added completed", "w-run completed"),
    ]


@pytest.mark.parametrize(
    ("at", "order"),
    [
        ("before_run", ["extra", "one", "two"]),
        ("before_stage", ["one", "extra", "two"]),
        ("after_stage", ["one", "extra", "two"]),
    ],
)
def test_a_hook_adds_stages_where_its_scope_lies(bench: Bench, at: str, order: list[str]) -> None:
    result = run(bench, shop().use(note("w", at, "add")))
    assert result.status is RunStatus.COMPLETED
    assert list(result.stages) == order
    assert statuses(result)["extra/e"] is COMPLETED
    assert "w+extra" in trail
    began = {"a": "one", "e": "extra", "z": "two"}
    assert [began[line] for line in trail if line in began] == order


def test_a_stage_that_a_hook_adds_after_the_last_one_runs(bench: Bench) -> None:
    workflow = Workflow("shop").use(note("w", "after_stage", "add"))
    workflow.add_stage(Stage("one", [do("a")]))
    result = run(bench, workflow)
    assert result.status is RunStatus.COMPLETED
    assert trail[-5:] == ["w>", "e", "<w", "w-extra completed", "w-run completed"]


@pytest.mark.parametrize("moment", [Moment.CLAIMED, Moment.BODY_DONE, Moment.COMMITTED])
@pytest.mark.parametrize("position", range(5))
def test_a_hook_whose_worker_dies_commits_once(bench: Bench, moment: Moment, position: int) -> None:
    workflow = Workflow("shop").use(note("w"))
    workflow.add_stage(Stage("one", [do("a")]))
    run_ = bench.submit(workflow)
    for _ in range(position):
        bench.step()
    bench.die_at = moment
    result = bench.drain(run_)
    assert result.status is RunStatus.COMPLETED
    assert result.store.export() == {
        f"{hook} of w": 1 for hook in ("before_run", "before_stage", "after_stage", "after_run")
    }


def test_a_worker_that_does_not_know_a_middleware_leaves_the_work_to_others(
    bench: Bench,
) -> None:
    run_ = bench.submit(shop().use(note("w")))
    with middlewares.isolated():
        del middlewares._things["note"]
        bench.step()
    assert trail == []
    result = bench.drain(run_)
    assert result.status is RunStatus.COMPLETED
    assert result.plan.hooks[0].status is COMPLETED


def test_a_run_that_is_cancelled_runs_the_hooks_after_it(bench: Bench) -> None:
    run_ = bench.submit(shop().use(note("w")))
    for _ in range(3):
        bench.step()
    run_.cancel(reason="changed my mind")
    result = bench.drain(run_)
    assert result.status is RunStatus.CANCELLED
    assert trail[-2:] == ["w-one cancelled", "w-run cancelled"]


def test_a_run_that_bails_runs_the_hooks_after_it(bench: Bench) -> None:
    result = run(bench, shop(do("a", "bail")).use(note("w")))
    assert result.status is RunStatus.BAILED
    assert trail[-2:] == ["w-one bailed", "w-run bailed"]


def test_a_stage_that_is_disabled_runs_no_hooks(bench: Bench) -> None:
    class Close(Action):
        def execute(self, ctx: ActionContext) -> None:
            ctx.stages["two"].disable()

    result = run(bench, shop(Close()).use(note("w")))
    assert result.stages["two"].status is SKIPPED
    assert not any("two" in line for line in trail)


class UntilCancelled(Action, id="until-cancelled"):
    def execute(self, ctx: ActionContext) -> None:
        while not ctx.cancelled:
            time.sleep(0.01)


def test_a_limit_on_attempts_is_enforced(bench: Bench) -> None:
    class Brief(Middleware):
        def attempt_limit(self, ctx: ActionContext) -> float | None:
            return 0.05

    result = run(bench, shop(UntilCancelled()).use(Brief()))
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"


def test_past_its_time_limit_a_stage_ends_what_runs_and_begins_nothing(bench: Bench) -> None:
    waiting = UntilCancelled().options(on_error="continue")
    result = run(bench, shop(waiting, do("b"), around=TimeLimit(0.05)))
    assert result.status is RunStatus.FAILED
    running, behind = result.stages["one"].actions
    assert running.error is not None
    assert running.error.message.startswith("not done within its timeout of 0.0")
    assert str(result.error) == (
        "one/b: ActionTimeoutError: not begun: TimeLimit leaves no time for it"
    )
    assert behind.status is FAILED
    assert trail == []
    assert list(result.store.keys()) == []


def test_within_its_time_limit_a_run_completes_and_leaves_no_key(bench: Bench) -> None:
    result = run(bench, shop(around=TimeLimit("1h")).use(TimeLimit("2h")))
    assert result.status is RunStatus.COMPLETED
    assert list(result.store.keys()) == []


def test_what_comes_with_gostage_works_together(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gostage.action")
    workflow = Workflow("shop").use(
        Logging(), Timing(), Notification(), StoreInjection({"x": 1}), StageFilter(any_tags=["run"])
    )
    workflow.add_stage(Stage("one", [do("a")], tags=["run"])).use(StoreInjection({"x": 2}))
    workflow.add_stage(Stage("two", [do("b")]))
    run_ = bench.submit(workflow)
    result = bench.drain(run_)
    assert result.status is RunStatus.COMPLETED
    assert statuses(result) == {"one/a": COMPLETED, "two/b": SKIPPED}
    assert result.store["x"] == 2
    timed = sorted(result.store.export().keys() - {"x"})
    assert timed == ["timing", "timing.one", "timing.one/a", "timing.two"]
    assert [(message.type, message.payload.get("status")) for message in run_.messages()] == [
        ("run.started", None),
        ("stage.started", None),
        ("stage.ended", "completed"),
        ("stage.started", None),
        ("stage.ended", "skipped"),
        ("run.ended", "completed"),
    ]
    logged = [record.getMessage().split(" after ")[0] for record in caplog.records]
    assert logged[1:4] == ["stage one begins", "action a begins, attempt 1", "action a completed"]
    assert "stage two skipped" in logged


def test_a_child_run_is_wrapped_in_what_its_own_workflow_uses(bench: Bench) -> None:
    child = Workflow("child").use(note("c"))
    child.add_stage(Stage("below", [do("d")]))
    workflow = Workflow("shop").use(note("w"))
    workflow.add_stage(Stage("one", [RunWorkflow(child)]))
    result = run(bench, workflow)
    assert result.status is RunStatus.COMPLETED
    assert trail == [
        *("w+run", "w+one", "w>", "<w"),
        *("c+run", "c+below", "c>", "d", "<c", "c-below completed", "c-run completed"),
        *("w>", "<w", "w-one completed", "w-run completed"),
    ]


def test_the_example_runs_with_workers_of_its_own(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    ended = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=tmp_path,
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.stderr == ""
    lines = [line.partition(" in ")[0] for line in ended.stdout.splitlines()]
    assert lines == [
        "rates: completed",
        "adverts: completed",
        "accounts: skipped",
        (
            "completed: asked 1 time; 3 orders, but adverts/advertise: "
            "ConnectionError: the agency does not answer"
        ),
    ]
