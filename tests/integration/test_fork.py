"""A new run goes on from any action of an old one, with the store as it was then."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    ActionNotFoundError,
    Branch,
    DuplicateStageError,
    ForEach,
    ForkError,
    HistoryLostError,
    Middleware,
    Repeat,
    Retry,
    RunExistsError,
    RunNotFoundError,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
    condition,
    otherwise,
    when,
)
from gostage_core.forking.fork import Fork
from tests.support.noting import Recovers
from tests.support.watched import done, kinds, last, one_stage, states

if TYPE_CHECKING:
    from gostage_core import HookContext, Run, RunResult, ScopeOutcome
    from tests.support.watched import WatchedBench


@action
def note(ctx: ActionContext) -> str:
    ctx.store.append("done", ctx.action.name)
    ctx.store["last"] = ctx.action.name
    return ctx.action.name


@action
def tell(ctx: ActionContext) -> str:
    ctx.store.increment("count", 3)
    ctx.store.append("done", f"{ctx.item}")
    return f"{ctx.item}!"


@action
def shuffle(ctx: ActionContext) -> None:
    """Write, overwrite and delete, with metadata and a list that becomes a value again."""
    ctx.store.put("tagged", Decimal("1.5"), tags=["pii"], properties={"by": "x"}, ttl=3600)
    ctx.store.delete("gone")
    ctx.store["last"] = {"deep": [1, 2, {"x": None}]}
    ctx.store.append("parts", 1)
    ctx.store.append("parts", "two")


@action
def settle_parts(ctx: ActionContext) -> None:
    ctx.store["parts"] = len(ctx.store["parts"])
    ctx.store.delete("tagged")
    ctx.store["gone"] = "back"


@action
def until_fixed(ctx: ActionContext) -> None:
    if "fixed" not in ctx.store:
        raise ValueError("as it was told")
    ctx.store.append("done", ctx.action.name)


@action
def grows(ctx: ActionContext) -> None:
    ctx.store.append("done", ctx.action.name)
    ctx.add_action(*named("g1", "g2"))
    ctx.add_stage(Stage("grown", named("h1", "h2")))
    ctx.actions["off"].disable()


class Notes(Middleware):
    def before_stage(self, ctx: HookContext) -> None:
        ctx.store.append("hooks", f"before {ctx.stage.id}")

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        ctx.store.append("hooks", f"after {ctx.stage.id} {outcome.status}")


def named(*names: str, **options: Any) -> list[Any]:
    return [note.s().options(name=name, **options) for name in names]


def always() -> Any:
    @condition
    def yes(ctx: ActionContext) -> bool:
        return True

    return yes


def rich() -> Workflow:
    inner = one_stage(*named("c1"), Sleep(20), *named("c2"), id="inner")
    workflow = Workflow("rich").use(Notes())
    soft = until_fixed.s().options(name="soft", on_error="continue")
    first = [*named("a1"), ForEach("items", tell.s(), Sleep(20), *named("i")), soft, shuffle.s()]
    workflow.add_stage(
        Stage("a", [*first, settle_parts.s(), *named("a2", "off")], initial={"i": 1})
    )
    loop = Repeat(*named("r"), Sleep(20), *named("r2"), max_times=3, store_as="loop")
    side = [RunWorkflow(inner, take={"below": "done"}), *named("b1"), grows.s(), loop]
    workflow.add_stage(Stage("b", side, parallel=True))
    broken = [*named("w1"), until_fixed.s().options(name="broken"), *named("w2")]
    workflow.add_stage(Stage("w", broken).use(Recovers()))
    nested = ForEach(
        "more", Branch(when(always()).then(Repeat(tell.s(), max_times=2))), store_as="n"
    )
    flaky = note.s().options(name="flaky", retry=Retry(2, delay=20))
    workflow.add_stage(Stage("c", [nested, flaky, *named("end")]))
    return workflow


STORE = {"items": ["x", "y"], "more": [1, 2], "gone": "here", "last": None}


def finished(bench: WatchedBench, run: Run) -> RunResult:
    for _ in range(500):
        if run.status.is_terminal:
            return run.result()
        bench.one_step()
    raise AssertionError(f"it does not end: {run.why()}")


def begun(run: Run) -> list[str]:
    """The entries of the run's actions that have begun, in the order in which they did."""
    entries = [one.entry for one in run.journal() if one.kind == "action.started"]
    known = {one.entry for one in run.result().actions}
    return [entry for entry in dict.fromkeys(entries) if entry in known]


def contents(result: RunResult) -> dict[str, Any]:
    store = result.store.export()
    store.pop("hooks", None)
    return store


def statuses(result: RunResult) -> list[tuple[str, str]]:
    return [(one.path, str(one.status)) for one in result.actions]


def done_again(run: Run, result: RunResult) -> list[str]:
    """The paths of what a run has itself begun, in plan order."""
    mine = set(begun(run))
    return [one.path for one in result.actions if one.entry in mine]


def left_at(run: Run, entry: str) -> list[str]:
    """The paths of what a run had not ended when *entry* first began, and has begun."""
    journal = run.journal()
    at = next(
        i for i, one in enumerate(journal) if (one.kind, one.entry) == ("action.started", entry)
    )
    final = ("action.completed", "action.failed", "action.skipped")
    ended = {one.entry for one in journal[:at] if one.kind in final}
    mine = set(begun(run)) - ended
    return [one.path for one in run.result().actions if one.entry in mine]


def test_from_every_action_of_a_rich_plan_a_fork_does_what_the_run_did_from_there(
    watched_once: WatchedBench,
) -> None:
    run = watched_once.submit(rich(), store=STORE)
    result = finished(watched_once, run)
    assert result.status is RunStatus.COMPLETED
    entries = begun(run)
    assert len(entries) > 40
    for entry in entries:
        fork = run.fork(at=entry)
        again = finished(watched_once, fork)
        assert contents(again) == contents(result), entry
        assert statuses(again) == statuses(result), entry
        assert done_again(fork, again) == left_at(run, entry), entry
        fork.delete()


def test_a_fork_has_the_store_of_then_and_nothing_that_came_later(watched: WatchedBench) -> None:
    held = [*named("a"), shuffle.s(), Sleep(60), settle_parts.s(), *named("b")]
    run = watched.settled(*held, store={"gone": 1, "last": 2})
    finished(watched, run)
    fork = run.fork("shuffle")
    assert fork.store.export() == {"gone": 1, "last": "a", "done": ["a"]}
    later = run.fork("settle_parts")
    assert later.store["parts"] == [1, "two"]
    assert later.store.metadata("tagged").tags == {"pii"}
    assert later.store["tagged"] == Decimal("1.5")
    assert "gone" not in later.store
    assert run.store["parts"] == 2  # the old one is as it was


def test_values_may_be_given_in_place_of_those_of_then(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), until_fixed.s(), *named("b"))
    assert run.status is RunStatus.FAILED
    fork = run.fork(
        "until_fixed", store={"fixed": True, "done": ["mine"]}, reason="try", actor="ana"
    )
    watched.settle()
    assert fork.status is RunStatus.COMPLETED
    assert done(fork) == ["mine", "until_fixed", "b"]
    assert run.status is RunStatus.FAILED
    told = fork.journal()[0]
    assert (told.kind, told.actor, told.reason) == ("run.submitted", "ana", "try")
    assert (told.change["forked"], told.change["at"]) == (run.run_id, "s/until_fixed")


def test_the_plan_of_a_fork_may_be_changed_before_it_begins(watched: WatchedBench) -> None:
    run = watched.settled(*named("a", "b", "c"))

    def change(plan: Any) -> None:
        plan.actions["c"].disable()
        plan.stages["s"].add(*named("new"), after="b")

    fork = run.fork("b", edit=change, reason="without c", actor="ana")
    watched.settle()
    assert done(fork) == ["a", "b", "new"]
    revision = fork.plan.revisions[-1]
    assert (revision.number, revision.actor, revision.reason) == (2, "ana", "without c")


def test_a_change_that_the_plan_refuses_makes_no_run(watched: WatchedBench) -> None:
    run = watched.settled(*named("a", "b"))
    before = sorted(watched.run_ids())

    def twice(plan: Any) -> None:
        plan.add_stage(Stage("s", named("x")))

    with pytest.raises(DuplicateStageError):
        run.fork("b", edit=twice)
    with pytest.raises(RuntimeError):
        run.fork("b", edit=lambda _plan: (_ for _ in ()).throw(RuntimeError("mine")))
    assert sorted(watched.run_ids()) == before


def test_a_fork_is_asked_for_by_name_path_or_entry(watched: WatchedBench) -> None:
    run = watched.settled(*named("a", "b"), ForEach("items", tell.s()), store={"items": [1, 2]})
    entry = run.result().actions[1].entry
    for at in ("b", "s/b", entry, f"#{entry}"):
        fork = run.fork(at)
        watched.settle()
        assert done(fork) == ["a", "b", "1", "2"]
    with pytest.raises(ForkError, match=r"several actions are called so: s/ForEach\[0\]/tell"):
        run.fork("tell")
    with pytest.raises(ActionNotFoundError):
        run.fork("nothing")
    fork = run.fork("s/ForEach[1]/tell")
    watched.settle()
    assert sorted(done(fork)) == ["1", "2", "a", "b"]


def test_an_action_that_has_not_begun_is_no_place_to_go_on_from(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), Sleep("1d"), *named("b"))
    with pytest.raises(ForkError, match="that action has not begun"):
        run.fork("b")
    run.delete()
    with pytest.raises(RunNotFoundError):
        run.fork("a")


def test_a_fork_may_have_an_id_of_ones_own_and_takes_no_others(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"))
    assert run.fork("a", run_id="mine").run_id == "mine"
    with pytest.raises(RunExistsError):
        run.fork("a", run_id=run.run_id)


def test_a_fork_of_a_fork_knows_what_both_did(watched: WatchedBench) -> None:
    run = watched.settled(*named("a", "b", "c", "d"))
    one = run.fork("b", store={"mark": 1})
    watched.settle()
    two = one.fork("c")
    watched.settle()
    assert (done(two), two.store["mark"]) == (["a", "b", "c", "d"], 1)
    with pytest.raises(ForkError, match="has not begun"):
        two.fork("a")  # there it is taken as done


def test_forks_of_forks_know_what_was_off_or_taken_away(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), Sleep(60), *named("b", "c", "d", "e"))
    with run.edit(reason="changes") as plan:
        plan.actions["b"].disable()
        plan.actions["c"].remove()
    one = run.fork("a")
    assert states(one)["b"] == "pending"
    watched.later(60)
    two = run.fork("d")
    watched.settle()
    three = two.fork("d")
    assert states(three) == states(run) | {"d": "pending", "e": "pending"}
    assert [one.removed for one in three.plan.at(1).actions] == [
        False,
        False,
        False,
        True,
        False,
        False,
    ]
    watched.settle()
    four = three.fork("e")
    watched.settle()
    watched.later(60)
    assert done(one) == ["a", "b", "c", "d", "e"]
    assert done(two) == done(three) == done(four) == ["a", "d", "e"]
    assert states(four) == states(run)


def test_what_was_added_switched_off_stays_so_in_a_fork(watched: WatchedBench) -> None:
    @action
    def prepares(ctx: ActionContext) -> None:
        ctx.add_stage(Stage("spare", named("x")), Stage("used", named("y")))
        ctx.stages["spare"].disable()
        ctx.stages["used"].disable()

    @action
    def enables(ctx: ActionContext) -> None:
        ctx.stages["used"].enable()

    run = watched.settled(prepares.s(), *named("a"), enables.s(), *named("b"))
    assert done(run) == ["a", "b", "y"]
    for at in ("a", "enables", "b", "prepares", "y"):
        fork = run.fork(at)
        watched.settle()
        assert done(fork) == done(run), at
        assert fork.result().stages["spare"].status == "skipped"


def test_forks_of_forks_at_every_action_do_what_the_first_run_did(
    watched_once: WatchedBench,
) -> None:
    run = watched_once.submit(rich(), store=STORE)
    result = finished(watched_once, run)
    fork = run.fork(begun(run)[7])
    finished(watched_once, fork)
    for entry in begun(fork)[::3]:
        again = finished(watched_once, fork.fork(entry))
        assert contents(again) == contents(result), entry
        assert statuses(again) == statuses(result), entry


def test_a_run_that_goes_on_may_be_forked(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), Sleep("1d"), *named("b"))
    fork = run.fork("a")
    watched.settle()
    assert (run.status, fork.status) == (RunStatus.SLEEPING, RunStatus.SLEEPING)
    watched.later(86_400)
    assert done(run) == done(fork) == ["a", "b"]


def test_a_run_is_read_again_where_a_body_writes_to_its_store_meanwhile(
    watched: WatchedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = Fork._values

    @action
    def writes(ctx: ActionContext) -> None:
        if ctx.run_id != run.run_id:
            return  # in the fork

        def meanwhile(self: Fork, *args: Any) -> Any:
            reads.append("read")
            if len(reads) == 1:
                ctx.store.append("done", "meanwhile")
                ctx.checkpoint()
            return read(self, *args)

        monkeypatch.setattr(Fork, "_values", meanwhile)
        run.fork("writes", run_id="fork")

    run = watched.submit(one_stage(*named("a"), writes.s()))
    watched.settle()
    assert len(reads) == 2
    assert done(watched.runner.get("fork")) == ["a"]
    assert done(run) == ["a", "meanwhile"]


def test_a_paused_run_and_one_that_waits_may_be_forked(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), WaitForSignal("ok", store_as="got"), *named("b"))
    run.pause()
    fork = run.fork("ok")
    watched.settle()
    assert fork.status is RunStatus.WAITING
    fork.signal("ok", "for the fork")
    watched.settle()
    assert (fork.store["got"], done(fork)) == ("for the fork", ["a", "b"])
    assert run.status is RunStatus.PAUSED


def test_a_retried_run_may_be_forked_at_what_it_did_before_and_since(watched: WatchedBench) -> None:
    each = ForEach("items", tell.s(), until_fixed.s(), *named("x"), max_parallel=1)
    run = watched.settled(*named("a"), each, *named("b"), store={"items": [1, 2]})
    run.retry(store={"fixed": True})
    result = finished(watched, run)
    assert result.status is RunStatus.COMPLETED
    for entry in begun(run):
        fork = run.fork(entry, store={"fixed": True})
        again = finished(watched, fork)
        assert statuses(again) == statuses(result)
        assert done(again) == done(result)


def test_a_fork_of_what_was_skipped_in_a_retry_skips_it_too(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), until_fixed.s(), *named("b", "c"))
    run.retry(skip=["until_fixed", "b"])
    watched.settle()
    fork = run.fork("c")
    watched.settle()
    assert (done(fork), states(fork)) == (["a", "c"], states(run))


def test_a_repeat_goes_on_with_the_pass_that_it_is_forked_in(watched: WatchedBench) -> None:
    @action(retry=Retry(2, delay=20, jitter=0))
    def turn(ctx: ActionContext) -> None:
        ctx.store.append("done", f"{ctx.index}")

    fails_once = Repeat(*named("p"), turn.s(), until_fixed.s(), max_times=3)
    loop = fails_once.options(retry=Retry(2, delay=20, jitter=0))
    run = watched.submit(one_stage(loop))
    while "action.retrying" not in kinds(run):
        watched.one_step()
    run.pause()
    watched.state.client.hset(watched.state.keys.of("store", run.run_id), "fixed", "true")
    run.resume()
    result = finished(watched, run)
    assert result.status is RunStatus.COMPLETED
    for entry in begun(run)[4:]:  # in the second try
        fork = run.fork(entry, store={"fixed": True})
        again = finished(watched, fork)
        assert done(again) == done(result), entry


def test_what_had_not_been_added_is_added_again_by_what_is_done_again(
    watched: WatchedBench,
) -> None:
    run = watched.settled(*named("a"), grows.s(), *named("b", "off"))
    fork = run.fork("grows")
    watched.settle()
    assert done(fork) == done(run) == ["a", "grows", "g1", "g2", "b", "h1", "h2"]
    assert statuses(fork.result()) == statuses(run.result())
    later = run.fork("b")
    watched.settle()
    assert done(later) == done(run)


def test_what_an_operator_changed_later_is_as_it_was_then(watched: WatchedBench) -> None:
    run = watched.settled(*named("a"), Sleep(60), *named("b", "c", "d"))
    with run.edit(reason="changes") as plan:
        plan.actions["b"].disable()
        plan.actions["c"].remove()
        plan.stages["s"].add(*named("e"))
    watched.later(60)
    assert done(run) == ["a", "d", "e"]
    early, late = run.fork("a"), run.fork("d")
    watched.settle()
    watched.later(60)
    assert done(early) == ["a", "b", "c", "d"]
    assert done(late) == ["a", "d", "e"]


def test_a_run_that_was_compensated_may_be_forked_from_its_beginning(watched: WatchedBench) -> None:
    undo = note.s().options(name="undo")
    run = watched.settled(*named("a", compensate=undo), until_fixed.s(), *named("b"))
    assert done(run) == ["a", "undo"]
    fork = run.fork("a", store={"fixed": True})
    watched.settle()
    assert done(fork) == ["a", "until_fixed", "b"]
    assert "gostage.compensation" not in fork.result().stages


def test_a_fork_is_undone_as_far_as_it_did_things_itself(watched: WatchedBench) -> None:
    undo = note.s().options(name="undo")
    run = watched.settled(*named("a", "b", compensate=undo), until_fixed.s())
    fork = run.fork("b")
    watched.settle()
    assert fork.result().compensated is True
    assert [one.undoes for one in fork.result().actions if one.undoes] == ["s/b"]


def test_a_fork_stands_in_the_line_of_its_throttle(watched: WatchedBench) -> None:
    workflow = Workflow("w", throttle=Throttle(concurrency=1))
    workflow.add_stage(Stage("s", [*named("a"), Sleep(60), *named("b")]))
    run = watched.submit(workflow)
    watched.settle()
    fork = run.fork("a")
    watched.settle()
    assert fork.status is RunStatus.PENDING
    watched.later(60)
    assert (run.status, fork.status) == (RunStatus.COMPLETED, RunStatus.SLEEPING)


def test_a_store_that_is_not_kept_any_more_is_told_so(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(*named("a", "b", "c")))
    watched.state.client.hset(watched.state.keys.of("run", run.run_id), "most_past", 120)
    watched.settle()
    with pytest.raises(ForkError, match="raise GOSTAGE_MAX_PAST_BYTES"):
        run.fork("a")
    fork = run.fork("c")
    watched.settle()
    assert done(fork) == ["a", "b", "c"]


def test_a_history_that_is_not_kept_any_more_is_told_so(watched: WatchedBench) -> None:
    run = watched.submit(one_stage(*named("a", "b", "c")))
    watched.state.client.hset(watched.state.keys.of("run", run.run_id), "longest", 10)
    watched.settle()
    with pytest.raises(HistoryLostError, match="raise GOSTAGE_MAX_JOURNAL"):
        run.fork("c")


def test_a_fork_has_neither_the_deadline_nor_the_messages_nor_the_signals_of_its_run(
    watched: WatchedBench,
) -> None:
    @action
    def sends(ctx: ActionContext) -> None:
        ctx.send("hello", 1)

    run = watched.settled(sends.s(), *named("a"), deadline="1h", key="once")
    fork = run.fork("a")
    watched.settle()
    assert fork.summary.deadline is None
    assert not list(fork.messages())
    assert fork.summary.tags == run.summary.tags
    assert last(fork, "run.completed")


def test_a_branch_in_a_fork_is_the_one_that_was_chosen(watched: WatchedBench) -> None:
    @condition
    def early(ctx: ActionContext) -> bool:
        return "late" not in ctx.store

    branch = Branch(when(early).then(*named("a", "b")), otherwise(*named("c")))
    run = watched.settled(branch, *named("end"))
    fork = run.fork("b", store={"late": True})
    whole = run.fork("Branch", store={"late": True})
    watched.settle()
    assert done(fork) == ["a", "b", "end"]
    assert done(whole) == ["c", "end"]
