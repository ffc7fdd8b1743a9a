"""A run that failed or was cancelled goes on where it ended, and does nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    ActionNotFoundError,
    Branch,
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
    StoreFullError,
    Throttle,
    Workflow,
    action,
    condition,
    otherwise,
    when,
)
from gostage_core.attempt import Moment
from tests.support.noting import Recovers, note
from tests.support.watched import done, kinds, last, one_stage, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core import HookContext, Run, ScopeOutcome
    from tests.support.watched import WatchedBench

HOOKS: dict[str, Callable[[], object]] = {}


@action
def until_fixed(ctx: ActionContext) -> str:
    """Fail until the store says that it is fixed."""
    ctx.store.append("tries", ctx.attempt)
    if "fixed" not in ctx.store:
        raise ValueError("as it was told")
    ctx.store.append("done", ctx.action.name)
    return "fixed"


@action
def tell(ctx: ActionContext) -> str:
    """Do an item, which fails until it is fixed where it is a bad one."""
    if ctx.item in ctx.store.get("bad", list, default=[]):
        raise ValueError(f"{ctx.item} is bad")
    ctx.store.append("done", ctx.item)
    return f"{ctx.item}!"


@action
def meanwhile(ctx: ActionContext) -> None:
    HOOKS["now"]()


FIXED: dict[str, Any] = {"fixed": True, "bad": []}


def named(*names: str) -> list[Any]:
    return [note.s().options(name=name) for name in names]


def retried(bench: WatchedBench, run: Run, **options: Any) -> Run:
    """Retry a failed run, and let it go as far as it can."""
    assert run.status is RunStatus.FAILED, run.why()
    run.retry(**{"store": FIXED, **options})
    bench.settle()
    return run


def test_a_failed_run_goes_on_at_the_action_that_failed(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("one", named("a", "b")))
    workflow.add_stage(Stage("two", [*named("c"), until_fixed.s(), *named("d")]))
    workflow.add_stage(Stage("three", named("e")))
    run = watched.submit(workflow)
    watched.settle()
    assert done(run) == ["a", "b", "c"]
    run.retry(store=FIXED, reason="the service is back", actor="ana")
    assert run.status is RunStatus.RUNNING
    watched.settle()
    assert done(run) == ["a", "b", "c", "until_fixed", "d", "e"]
    result = run.result()
    assert (result.status, result.error, run.summary.ended_at is None) == ("completed", None, False)
    told = last(run, "run.retried")
    assert (told.actor, told.reason) == ("ana", "the service is back")
    assert {one.name: one.attempt for one in result.actions}["until_fixed"] == 2


def test_a_retry_is_refused_where_there_is_nothing_to_retry(watched: WatchedBench) -> None:
    run = watched.settled(Sleep(60))
    only = "only runs that failed or were cancelled are retried"
    with pytest.raises(RunStateError, match=f"is sleeping; {only}"):
        run.retry()
    watched.later(60)
    with pytest.raises(RunStateError, match=f"is completed; {only}"):
        run.retry()
    with pytest.raises(RunStateError, match=f"is completed; {only}"):
        run.retry(skip=["Sleep"])
    run.delete()
    with pytest.raises(RunNotFoundError):
        run.retry()


def test_a_run_may_fail_and_be_retried_again_and_again(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), until_fixed.s(), *named("b"))
    for count in range(2, 5):
        retried(watched, run, store={})
        assert run.status is RunStatus.FAILED
        assert "tries" not in run.store
        assert run.result().actions[1].attempt == count
    retried(watched, run)
    assert done(run) == ["a", "until_fixed", "b"]
    assert run.store["tries"] == [5]


def test_actions_begin_with_all_their_tries(watched: WatchedBench) -> None:
    flaky = until_fixed.s().options(retry=Retry(3, delay=1, jitter=0))
    run = watched.settled(flaky)
    for _ in range(3):
        watched.later(5)
    assert run.result().actions[0].attempt == 3
    run.retry()
    for _ in range(3):
        watched.later(5)
    assert run.status is RunStatus.FAILED
    assert run.result().actions[0].attempt == 6


def test_values_are_written_before_anything_begins(watched: WatchedBench) -> None:
    run = watched.settled(until_fixed.s(), store={"url": "old"})
    retried(watched, run, store={"fixed": 1, "url": "new", "more": {"a": [1]}})
    assert (run.store["url"], run.store["more"]) == ("new", {"a": [1]})


def test_values_that_the_store_has_no_room_for_change_nothing(watched: WatchedBench) -> None:
    run = watched.settled(until_fixed.s())
    watched.state.client.hset(watched.state.keys.of("run", run.run_id), "most_bytes", 2048)
    with pytest.raises(StoreFullError):
        run.retry(store={"much": "x" * 4096})
    assert run.status is RunStatus.FAILED
    assert "much" not in run.store


def test_what_is_skipped_is_not_done_and_counts_as_skipped(watched: WatchedBench) -> None:
    run = watched.settled(until_fixed.s(), *named("a", "b", "c"))
    run.retry(skip=["until_fixed", "s/b", run.result().actions[3].entry])
    watched.settle()
    assert done(run) == ["a"]
    assert states(run) == {
        "until_fixed": "skipped", "a": "completed", "b": "skipped", "c": "skipped"
    }  # fmt: skip
    assert last(run, "run.retried").change["skipped"]


@pytest.mark.parametrize(
    ("name", "why"), [("nothing", "$"), ("a", " is left"), ("s/a", " is left")]
)
def test_what_is_not_there_or_is_done_cannot_be_skipped(
    watched: WatchedBench, name: str, why: str
) -> None:
    run = watched.settled(*named("a"), until_fixed.s())
    with pytest.raises(ActionNotFoundError, match=f"no action '{name}' in the plan{why}"):
        run.retry(skip=[name])
    assert run.status is RunStatus.FAILED


@pytest.mark.parametrize("on_failure", ["fail_fast", "wait_all"])
@pytest.mark.parametrize("most", [None, 1, 2])
def test_of_a_for_each_only_the_items_are_done_again_that_were_not_done(
    watched: WatchedBench, on_failure: Any, most: int | None
) -> None:
    each = ForEach("items", tell.s(), on_failure=on_failure, max_parallel=most, store_as="all")
    run = watched.settled(each, *named("end"), store={"items": list("abcd"), "bad": ["b", "d"]})
    before = [word for word in done(run) if word != "end"]
    retried(watched, run)
    assert sorted(done(run)) == ["a", "b", "c", "d", "end"]
    assert set(before) <= {"a", "c"}
    assert run.store["all"] == ["a!", "b!", "c!", "d!"]


def test_of_an_item_only_what_was_not_done_is_done_again(watched: WatchedBench) -> None:
    each = ForEach("items", *named("first"), tell.s(), *named("last"))
    run = watched.settled(each, store={"items": ["a", "b"], "bad": ["b"]})
    retried(watched, run)
    assert sorted(done(run)) == ["a", "b", "first", "first", "last", "last"]


@pytest.mark.parametrize("failing", [0, 1, 3])
def test_a_repeat_goes_on_with_the_pass_that_failed(watched: WatchedBench, failing: int) -> None:
    @action
    def turn(ctx: ActionContext) -> int | None:
        if ctx.index == failing and "fixed" not in ctx.store:
            raise ValueError("here")
        ctx.store.append("done", f"{ctx.index}")
        return ctx.index

    run = watched.settled(Repeat(*named("x"), turn.s(), max_times=4, store_as="value"))
    retried(watched, run, store={})
    assert run.status is RunStatus.FAILED
    retried(watched, run)
    assert done(run) == ["x", "0", "x", "1", "x", "2", "x", "3"]
    assert run.store["value"] == 3


def test_a_branch_goes_on_with_the_case_that_was_chosen(watched: WatchedBench) -> None:
    @condition
    def first(ctx: ActionContext) -> bool:
        return "fixed" not in ctx.store

    run = watched.settled(
        Branch(
            when(first).then(*named("a"), until_fixed.s(), *named("b")), otherwise(*named("other"))
        )
    )
    retried(watched, run)
    assert done(run) == ["a", "until_fixed", "b"]


def test_what_is_nested_in_one_another_goes_on_at_its_innermost(watched: WatchedBench) -> None:
    innermost = ForEach("items", *named("x"), until_fixed.s(), *named("y"))
    middle = Repeat(*named("p"), Branch(when(always()).then(innermost)), *named("q"), max_times=2)
    child = one_stage(*named("c"), middle, *named("d"), id="child")
    outer = ForEach("one", RunWorkflow(child, give=["items"], take=["done"]))
    run = watched.settled(outer, *named("end"), store={"items": [1], "one": [1]})
    below = watched.child(run)
    assert done(below) == ["c", "p", "x"]
    with pytest.raises(RunStateError, match=f"is the child of run '{run.run_id}'; retry that one"):
        below.retry()
    watched.state.client.hset(watched.state.keys.of("store", below.run_id), "fixed", "true")
    retried(watched, run)
    assert done(below) == ["c", *"px", "until_fixed", *"yqpx", "until_fixed", *"yqd"]
    assert watched.child(run).run_id == below.run_id
    assert run.status is RunStatus.COMPLETED


def always() -> Any:
    @condition
    def yes(ctx: ActionContext) -> bool:
        return True

    return yes


def test_a_child_run_has_all_its_tries_again_as_runs_of_their_own(watched: WatchedBench) -> None:
    child = one_stage(*named("c"), until_fixed.s(), id="child")
    run = watched.settled(RunWorkflow(child).options(retry=Retry(2, delay=1, jitter=0)))
    watched.later(2)
    second = watched.child(run)
    retried(watched, run)
    assert watched.child(run).run_id == second.run_id  # reopened first
    watched.later(2)
    third = watched.child(run)
    assert third.run_id not in (second.run_id, run.run_id)
    assert (done(third), run.status) == (["c"], RunStatus.FAILED)


def test_the_child_runs_of_every_try_are_forgotten_with_their_run(watched: WatchedBench) -> None:
    child = one_stage(RunWorkflow(one_stage(until_fixed.s(), id="below")), id="child")
    run = watched.settled(RunWorkflow(child).options(retry=Retry(3, delay=1, jitter=0)))
    for _ in range(3):
        watched.later(2)
    assert run.status is RunStatus.FAILED
    assert len(watched.run_ids()) == 7
    run.delete()
    assert not watched.run_ids()


def test_a_child_run_that_completed_is_not_begun_again(watched: WatchedBench) -> None:
    child = one_stage(*named("c"), id="child")
    run = watched.settled(RunWorkflow(child, take=["missing"]))
    assert "missing" in str(run.result().error)
    below = watched.child(run)
    watched.state.client.hset(watched.state.keys.of("store", below.run_id), "missing", "1")
    retried(watched, run)
    assert (run.status, run.store["missing"], done(below)) == ("completed", 1, ["c"])


def test_a_child_run_that_was_deleted_is_begun_anew(watched: WatchedBench) -> None:
    child = one_stage(*named("c"), until_fixed.s(), id="child")
    run = watched.settled(RunWorkflow(child, give=["fixed"]), store={"fixed": False})
    run = watched.settled(RunWorkflow(child))
    watched.child(run).delete()
    retried(watched, run)
    assert done(watched.child(run)) == ["c"]


def test_a_child_run_has_the_new_deadline_of_the_run_above_it(watched: WatchedBench) -> None:
    seen: list[object] = []

    @action
    def looks(ctx: ActionContext) -> None:
        seen.append(ctx.deadline)

    child = one_stage(until_fixed.s(), looks.s(), Sleep("1d"), id="child")
    run = watched.settled(RunWorkflow(child), deadline=60)
    watched.later(120)
    run.retry(skip=[], deadline="2h")
    watched.settle()
    below = watched.child(run)
    assert below.summary.deadline == run.summary.deadline


@pytest.mark.parametrize("parallel", [True, False])
def test_a_stage_goes_on_with_what_was_cut_off_or_never_begun(
    watched: WatchedBench, parallel: bool
) -> None:
    actions = [*named("a", "b"), until_fixed.s(), *named("c", "d")]
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions, parallel=parallel, max_parallel=1 if parallel else None))
    run = watched.submit(workflow)
    watched.settle()
    assert done(run) == ["a", "b"]
    retried(watched, run)
    assert done(run) == ["a", "b", "until_fixed", "c", "d"]


def test_a_quorum_counts_what_had_completed(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    members = [*named("a"), until_fixed.s(), until_fixed.s().options(name="u2"), Sleep("1d")]
    workflow.add_stage(Stage("s", members, parallel=True, join=3))
    workflow.add_stage(Stage("t", named("end")))
    run = watched.submit(workflow)
    watched.settle()
    retried(watched, run)
    assert run.status is RunStatus.COMPLETED
    assert sorted(done(run)) == ["a", "end", "u2", "until_fixed"]
    assert states(run)["Sleep"] == "cancelled"


def test_failures_that_were_passed_over_stay_so(watched: WatchedBench) -> None:
    soft = until_fixed.s().options(name="soft", on_error="continue")
    each = ForEach("items", soft, *named("x")).options(on_error="continue")
    run = watched.settled(soft, each, *named("a"), until_fixed.s(), store={"items": [1]})
    assert done(run) == ["x", "a"]
    retried(watched, run)
    assert done(run) == ["x", "a", "until_fixed"]
    assert states(run)["soft"] == "failed"


def test_a_scope_that_was_recovered_is_not_opened_again(watched: WatchedBench) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("one", [*named("a"), until_fixed.s(), *named("b")]).use(Recovers()))
    workflow.add_stage(Stage("two", [until_fixed.s()]))
    run = watched.submit(workflow)
    watched.settle()
    retried(watched, run)
    assert done(run) == ["a", "until_fixed"]
    assert states(run)["b"] == "skipped"


class Notes(Middleware):
    """Notes its hooks, and fails in one of them until it is fixed."""

    fails: str = ""

    def before_run(self, ctx: HookContext) -> None:
        self._note(ctx, "before_run")

    def before_stage(self, ctx: HookContext) -> None:
        self._note(ctx, "before_stage")

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        self._note(ctx, "after_stage", outcome.status)

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        self._note(ctx, "after_run", outcome.status)

    def _note(self, ctx: HookContext, hook: str, *more: str) -> None:
        if hook == self.fails and "fixed" not in ctx.store:
            raise ValueError(hook)
        ctx.store.append("hooks", " ".join((hook, *more)))


@pytest.mark.parametrize("hook", ["before_run", "before_stage", "after_stage", "after_run"])
def test_a_run_whose_hook_failed_goes_on_with_that_hook(watched: WatchedBench, hook: str) -> None:
    run = watched.submit(one_stage(*named("a", "b")).use(Notes(fails=hook)))
    watched.settle()
    retried(watched, run)
    assert (run.status, done(run)) == (RunStatus.COMPLETED, ["a", "b"])
    hooks = run.store["hooks"]
    assert [one for one in hooks if one.startswith("before")] == ["before_run", "before_stage"]
    assert hooks[-2:] == ["after_stage completed", "after_run completed"]


def test_what_a_quorum_left_out_stays_out_when_the_hook_behind_it_is_done_again(
    watched: WatchedBench,
) -> None:
    members = [*named("a"), Sleep("1d"), *named("b")]
    workflow = Workflow("w")
    stage = Stage("s", members, parallel=True, max_parallel=2, join=1)
    workflow.add_stage(stage).use(Notes(fails="after_stage"))
    run = watched.submit(workflow)
    watched.settle()
    retried(watched, run)
    assert (run.status, done(run)) == (RunStatus.COMPLETED, ["a"])
    assert states(run)["Sleep"] == "cancelled"
    assert run.store["hooks"] == ["before_stage", "after_stage completed"]


def test_hooks_behind_what_failed_are_asked_again_and_those_before_it_are_not(
    watched: WatchedBench,
) -> None:
    run = watched.submit(one_stage(*named("a"), until_fixed.s()).use(Notes()))
    watched.settle()
    assert run.store["hooks"][-2:] == ["after_stage failed", "after_run failed"]
    retried(watched, run)
    assert run.store["hooks"] == [
        "before_run", "before_stage", "after_stage failed", "after_run failed",
        "after_stage completed", "after_run completed",
    ]  # fmt: skip


def test_what_was_changed_in_the_plan_stays_changed(watched: WatchedBench) -> None:
    @action
    def grows(ctx: ActionContext) -> None:
        ctx.add_action(*named("added"))
        ctx.actions["off"].disable()
        ctx.add_stage(Stage("more", named("later")))

    run = watched.settled(grows.s(), until_fixed.s(), *named("off", "on"))
    retried(watched, run)
    assert done(run) == ["added", "until_fixed", "on", "later"]


def test_a_failed_run_may_be_edited_once_it_goes_on(watched: WatchedBench) -> None:
    run = watched.settled(until_fixed.s(), *named("a", "b"))
    run.retry(store=FIXED)
    run.pause()
    with run.edit(reason="leave it out") as plan:
        plan.actions["a"].disable()
    run.resume()
    watched.settle()
    assert done(run) == ["until_fixed", "b"]


def test_a_deadline_that_has_passed_is_dropped_and_a_new_one_counts_from_now(
    watched: WatchedBench,
) -> None:
    run = watched.settled(Sleep("2h"), deadline=60)
    watched.later(60)
    run.retry()
    watched.later(3600)
    assert run.status is RunStatus.SLEEPING
    run.cancel()
    run.retry(deadline=30)
    watched.later(31)
    assert run.status is RunStatus.FAILED


def test_a_deadline_that_has_not_passed_holds_on(watched: WatchedBench) -> None:
    run = watched.settled(until_fixed.s(), Sleep("2h"), deadline="1h")
    run.retry(store=FIXED)
    watched.settle()
    watched.later(3600)
    assert "DeadlineExceededError" in str(run.result().error)


def test_a_retried_run_stands_in_the_line_of_its_throttle(watched: WatchedBench) -> None:
    def workflow(*actions: Any) -> Workflow:
        made = Workflow("w", throttle=Throttle(concurrency=1))
        made.add_stage(Stage("s", actions))
        return made

    run = watched.submit(workflow(until_fixed.s()))
    watched.settle()
    other = watched.submit(workflow(Sleep(60)))
    watched.settle()
    run.retry(store=FIXED)
    watched.settle()
    assert run.status is RunStatus.WAITING
    assert "waits for throttle 'w'" in str(run.why())
    watched.later(60)
    assert (other.status, run.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED)


@pytest.mark.parametrize("moment", list(Moment))
def test_a_worker_may_die_in_a_retried_run(watched: WatchedBench, moment: Moment) -> None:
    run = watched.settled(*named("a"), until_fixed.s(), *named("b"))
    run.retry(store=FIXED)
    watched.die_at = moment
    watched.settle()
    assert done(run) == ["a", "until_fixed", "b"]


def test_a_run_may_be_retried_after_it_was_cancelled_at_any_step(
    watched_once: WatchedBench,
) -> None:
    """Whatever it did before, it does what it does when nobody cancels it: each thing once."""
    whole = watched_once.submit(rich(), store=STORE)
    steps = 0
    while not whole.status.is_terminal:
        watched_once.one_step()
        steps += 1
    wanted = sorted(done(whole))
    for count in range(steps):
        run = watched_once.submit(rich(), store=STORE)
        for _ in range(count):
            watched_once.one_step()
        run.cancel()
        watched_once.settle()
        run.retry()
        while not run.status.is_terminal:
            watched_once.one_step()
        assert run.status is RunStatus.COMPLETED, run.why()
        assert sorted(done(run)) == wanted
        run.delete()


STORE = {"items": ["x", "y"], "more": [1, 2, 3]}


def rich() -> Workflow:
    inner = one_stage(*named("c1"), Sleep(20), *named("c2"), id="inner")
    workflow = Workflow("rich").use(Notes())
    workflow.add_stage(
        Stage("a", [*named("a1"), ForEach("items", tell.s(), Sleep(20)), *named("a2")])
    )
    side = [RunWorkflow(inner), *named("b1"), Repeat(*named("r"), Sleep(20), max_times=3)]
    workflow.add_stage(Stage("b", side, parallel=True, max_parallel=2))
    nested = ForEach("more", Branch(when(always()).then(Repeat(*named("n"), max_times=2))))
    workflow.add_stage(Stage("c", [nested, *named("end")]))
    return workflow


def test_runs_that_answer_a_query_are_counted_and_retried_together(watched: WatchedBench) -> None:
    child = one_stage(until_fixed.s(), id="child")
    plain = [watched.submit(one_stage(until_fixed.s()), tags=[tag]) for tag in ("x", "x", "y")]
    watched.submit(one_stage(RunWorkflow(child)), tags=["x"])
    watched.submit(one_stage(*named("a")), tags=["x"])
    undone = note.s().options(compensate=note.s())
    watched.submit(one_stage(undone, until_fixed.s()), tags=["x"])  # nothing is left of it
    watched.settle()
    batch = watched.runner.retry(tag="x", store=FIXED, reason="fixed", actor="ana")
    assert len(batch) == 3
    stolen = plain[0]
    stolen.retry(store=FIXED)
    watched.settle()
    outcomes = {one.run_id: one.error for one in batch.apply()}
    watched.settle()
    assert [run for run, error in outcomes.items() if error] == [stolen.run_id]
    assert isinstance(outcomes[stolen.run_id], RunStateError)
    assert len(watched.runner.list(tag="y", status=RunStatus.FAILED)) == 1


def test_a_retry_forgets_nothing_of_what_was(watched: WatchedBench) -> None:
    run = watched.settled(until_fixed.s())
    run.retry(store=FIXED)
    watched.settle()
    ends = [kind for kind in kinds(run) if kind in ("run.failed", "run.retried", "run.completed")]
    assert ends == ["run.failed", "run.retried", "run.completed"]
    failed = last(run, "action.failed")
    assert failed.change["message"] == "as it was told"
    assert "action.reopened" in kinds(run)
