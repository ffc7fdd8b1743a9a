"""What holds of every run: its plan is its own, its statuses are final, nothing of it is lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Action,
    ActionContext,
    ActionStatus,
    Branch,
    ForEach,
    HookContext,
    Middleware,
    Repeat,
    Retry,
    Runner,
    RunStateError,
    RunStatus,
    RunWorkflow,
    ScopeOutcome,
    Stage,
    Workflow,
    action,
    condition,
    otherwise,
    when,
)
from gostage_core.attempt import Moment
from gostage_core.authoring.middleware import middlewares
from tests.support.bench import Message
from tests.support.eventually import eventually
from tests.support.scripted import Script, check_history, do, script, statuses, workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core import Run, RunResult
    from tests.support.bench import Bench

ENDS = {"run.completed", "run.failed", "run.bailed", "run.cancelled"}


@pytest.fixture(autouse=True)
def told(fresh_registry: None) -> Iterator[Script]:
    script.clear()
    with middlewares.isolated():
        yield script
    script.clear()


@contextmanager
def another_process(bench: Bench) -> Iterator[Runner]:
    """A runner that shares nothing with the bench but the server."""
    runner = Runner(settings=bench.settings)
    yield runner
    runner.close()


def order_of(result: RunResult) -> list[str]:
    assert result.status is RunStatus.COMPLETED, result.error
    return result.store.get("order", list[str])


def fails(ctx: ActionContext) -> None:
    raise ValueError("boom")


def bails(ctx: ActionContext) -> None:
    ctx.bail("enough")


# A plan belongs to its run


def test_what_a_run_changes_of_its_plan_is_in_no_other_run(bench: Bench) -> None:
    made = workflow(s="a b", t="c", u="e")
    before = made.to_json()
    first = bench.submit(made)
    second = bench.submit(made)

    def changes(ctx: ActionContext) -> None:
        if ctx.run_id == first.run_id:
            ctx.add_action(*do("d"))
            ctx.add_stage(Stage("n", do("n1")))
            ctx.actions["b"].disable()
            ctx.actions["c"].remove()
            ctx.stages["u"].add(*do("f"))
            ctx.actions["e"].set(n=7)

    script["a"] = changes
    changed, unchanged = bench.drain(first), bench.drain(second)
    later = bench.drain(bench.submit(made))
    assert order_of(changed) == ["a", "d", "n1", "e", "f"]
    assert order_of(unchanged) == order_of(later) == ["a", "b", "c", "e"]
    assert [result.plan.revision for result in (changed, unchanged, later)] == [2, 1, 1]
    assert made.to_json() == before


def test_a_workflow_that_is_built_further_changes_no_run_that_was_submitted(bench: Bench) -> None:
    class Refuse(Middleware):
        def before_run(self, ctx: HookContext) -> None:
            raise AssertionError("it was used later")

    made = workflow(s="a", t="b")
    run = bench.submit(made)
    made.stages["t"].add(*do("c"))
    made.add_stage(Stage("late", do("d")))
    made.use(Refuse())
    assert order_of(bench.drain(run)) == ["a", "b"]


def test_a_run_keeps_to_what_its_actions_were_when_it_was_submitted(bench: Bench) -> None:
    tries: list[int] = []

    def pay_with(retry: Retry | None, tag: str) -> Action:
        @action("pay", retry=retry, tags=[tag], store_as=f"paid.{tag}")
        def pay(ctx: ActionContext) -> str:
            tries.append(ctx.attempt)
            if ctx.attempt < 3:
                raise OSError("not yet")
            return ctx.action.tags[0]

        return pay.s()

    made = workflow(s=[pay_with(Retry(3, delay=0), "old")])
    run = bench.submit(made)
    pay_with(None, "new")
    result = bench.drain(run)
    assert result.status is RunStatus.COMPLETED
    assert tries == [1, 2, 3]
    assert result.store.export() == {"paid.old": "old"}


def test_what_is_called_alike_or_is_the_same_object_has_an_id_and_a_status_of_its_own(
    bench: Bench,
) -> None:
    (one,) = do("x")
    keys: list[str] = []
    script["x"] = lambda ctx: keys.append(ctx.idempotency_key)
    run = bench.submit(workflow(s=[one, one], t=[one, one]))
    planned = [action.entry for action in run.plan.actions]
    assert len(set(planned)) == 4
    bench.step()
    with run.edit("no longer wanted") as plan:
        assert plan.stages["t"].actions.filter(name="x").remove() == 2
        plan.stages["t"].add(one)
        plan.stages["s"].add(one)
    result = bench.drain(run)
    assert [(action.entry, action.status.value) for action in result.actions] == [
        (planned[0], "completed"),
        (planned[1], "completed"),
        (result.actions[2].entry, "completed"),
        (planned[2], "removed"),
        (planned[3], "removed"),
        (result.actions[5].entry, "completed"),
    ]
    assert len({action.entry for action in result.actions}) == 6
    assert len(set(keys)) == 4


def test_added_stages_nest_depth_first_and_may_follow_the_last_one(bench: Bench) -> None:
    script["a"] = lambda ctx: ctx.add_stage(Stage("D1", do("d1")), Stage("D2", do("d2")))
    script["d1"] = lambda ctx: ctx.add_stage(Stage("D1x", do("d1x")))
    script["z"] = lambda ctx: ctx.add_stage(Stage("last", do("end")))
    result = bench.drain(bench.submit(workflow(A="a", Z="z")))
    assert order_of(result) == ["a", "d1", "d1x", "d2", "z", "end"]
    assert list(result.stages) == ["A", "D1", "D1x", "D2", "Z", "last"]


# An attempt leaves all that it did, or nothing


def test_an_attempt_past_its_timeout_leaves_nothing_of_what_it_changed(bench: Bench) -> None:
    def overruns(ctx: ActionContext) -> None:
        ctx.store["lost"] = 1
        ctx.add_action(*do("d"))
        ctx.add_stage(Stage("n", do("n1")))
        ctx.actions["b"].disable()
        eventually(lambda: ctx.cancelled)

    script["a"] = overruns
    slow = do("a")[0].options(timeout=0.05, on_error="continue")
    run = bench.submit(workflow(s=[slow, *do("b")], t="c"))
    result = bench.drain(run)
    assert order_of(result) == ["b", "c"]
    assert statuses(run) == {
        "s": "completed", "t": "completed", "s/a": "failed", "s/b": "completed", "t/c": "completed",
    }  # fmt: skip
    assert "lost" not in result.store
    assert result.plan.revision == 1


def test_a_hook_that_raises_leaves_nothing_of_what_it_changed(bench: Bench) -> None:
    class Breaks(Middleware):
        def before_stage(self, ctx: HookContext) -> None:
            ctx.store["lost"] = 1
            ctx.add_stage(Stage("n", do("n1")))
            raise ValueError("boom")

    class Mends(Middleware):
        def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            outcome.recover()

    made = workflow(s="a").use(Mends())
    made.stages["s"].use(Breaks())
    result = bench.drain(bench.submit(made))
    assert result.status is RunStatus.COMPLETED
    assert result.store.export() == {}
    assert list(result.stages) == ["s"]
    assert result.plan.revision == 1


# Where everything stands


def test_where_each_action_stands_can_be_read_by_any_process(bench: Bench) -> None:
    seen: set[ActionStatus] = set()

    @action
    def looks(ctx: ActionContext) -> None:
        with another_process(bench) as runner:
            seen.update(one.status for one in runner.get(ctx.run_id).plan.actions)

    def changes(ctx: ActionContext) -> None:
        ctx.actions["off"].disable()
        ctx.actions["gone"].remove()

    script.update(a=changes, b=fails, flaky=fails, last=bails)
    made = workflow(s="a off gone")
    flaky = do("flaky")[0].options(retry=Retry(2, delay=60), on_error="continue")
    failing = do("b")[0].options(on_error="continue")
    made.add_stage(Stage("p", [flaky, failing, ForEach("items", looks.s())], parallel=True))
    made.add_stage(Stage("q", do("last", "never"), parallel=True))
    run = bench.submit(made, store={"items": [1]})
    bench.drain(run)
    with another_process(bench) as runner:
        seen.update(one.status for one in runner.get(run.run_id).plan.actions)
    assert seen == set(ActionStatus)


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_a_run_that_is_to_end_begins_nothing_more_though_its_body_does_not_look(
    bench: Bench, ending: str
) -> None:
    def is_interrupted(ctx: ActionContext) -> None:
        if ending == "cancelled":
            run.cancel()
        else:
            bench.pass_time()  # the deadline comes

    script["a"] = is_interrupted
    run = bench.submit(workflow(s="a b", t="c"), deadline=3600)
    result = bench.drain(run)
    assert result.status.value == ending
    assert result.store["order"] == ["a"]
    assert statuses(run)["s/a"] == "completed"
    told = result.error and result.error.type
    assert told == (None if ending == "cancelled" else "DeadlineExceededError")


def test_a_run_that_is_cancelled_between_two_tries_tries_no_more(bench: Bench) -> None:
    script["a"] = fails
    run = bench.submit(workflow(s=[do("a")[0].options(retry=Retry(5, delay=60)), *do("b")]))
    bench.step()
    assert statuses(run)["s/a"] == "sleeping"
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    bench.pass_time()
    assert not bench.post.messages
    assert statuses(run)["s/a"] == "cancelled"
    assert run.plan.actions[0].attempt == 1


def test_a_run_that_is_cancelled_begins_no_further_item_pass_or_child(bench: Bench) -> None:
    def cancels(ctx: ActionContext) -> None:
        if ctx.run_id.startswith(run.run_id):
            run.cancel()

    @condition("never")
    def never(ctx: ActionContext) -> bool:
        return False

    script["a"] = cancels
    for composed in (
        ForEach("items", *do("a", "b"), max_parallel=1),
        Repeat(*do("a", "b"), max_times=3),
        Branch(when("never").then(), otherwise(*do("a", "b"))),
    ):
        run = bench.submit(workflow(s=[composed, *do("c")]), store={"items": [1, 2]})
        result = bench.drain(run)
        assert result.status is RunStatus.CANCELLED
        assert result.store["order"] == ["a"]
    run = bench.submit(workflow(s=[RunWorkflow(workflow(s="a b")), *do("c")]))
    result = bench.drain(run)
    below = bench._runner.get(run.plan.actions[0].child_run_id).result()
    assert (result.status, below.status) == (RunStatus.CANCELLED, RunStatus.CANCELLED)
    assert below.store["order"] == ["a"]
    assert "order" not in result.store


# How a run ended


def ended(bench: Bench, ending: str) -> Run:
    """A run that has ended so; its store has a value of each action that was done."""
    script["b"] = {"failed": fails, "bailed": bails}.get(ending, lambda ctx: None)
    run = bench.submit(workflow(s="a b", t="c"), deadline=3600)
    match ending:
        case "cancelled":
            bench.step()
            run.cancel(reason="changed my mind")
        case "past its deadline":
            bench.step()
            bench.post.messages.clear()
            bench.pass_time()
        case "poisoned":
            bench.step()
            for _ in range(bench.settings.max_losses):
                bench.die_at = Moment.BODY_DONE
                bench.step(worker="victim")
                bench.bury()
    bench.drain(run)
    return run


ENDINGS = {
    "completed": "completed",
    "failed": "failed",
    "bailed": "bailed",
    "cancelled": "cancelled",
    "past its deadline": "failed",
    "poisoned": "failed",
}


@pytest.mark.parametrize(("ending", "status"), ENDINGS.items())
def test_any_number_of_readers_are_told_the_same_of_a_run_whenever_they_ask(
    bench: Bench, ending: str, status: str
) -> None:
    run = ended(bench, ending)

    def reads(_: int) -> tuple[Any, ...]:
        with another_process(bench) as runner:
            result = runner.get(run.run_id).wait(timeout=30)
        error = result.error and (result.error.path, result.error.type, result.error.message)
        paths = [(one.path, one.status, one.attempt, one.ended_at) for one in result.actions]
        return (
            result.status, error, result.bail_reason, result.duration, result.store.export(), paths,
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(reads, range(8)))
    assert answers == answers[:1] * 8
    told, error, reason, _, store, _ = answers[0]
    assert told == status
    assert (error is not None) == (status == "failed")
    assert (reason == "enough") == (status == "bailed")
    assert store["order"][0] == "a"


def test_all_who_wait_for_a_run_are_told_of_its_end(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b"))
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(run.wait, 60) for _ in range(4)]
        bench.drain(run)
        results = [one.result() for one in waiting]
    assert [order_of(result) for result in results] == [["a", "b"]] * 4


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ended_run_stays_as_it_is_whatever_is_asked_of_it(bench: Bench, ending: str) -> None:
    run = ended(bench, ending)
    late = [*bench.post.messages, *(Message(run.run_id, one.entry) for one in run.plan.actions)]
    bench.post.messages.clear()
    status, journal, store = run.status, run.journal(), run.store.export()
    if status is RunStatus.CANCELLED:
        run.cancel()
    else:
        with pytest.raises(RunStateError, match=f"is {status} already"):
            run.cancel()
    with pytest.raises(RunStateError, match=f"is {status} already"), run.edit("too late"):
        raise AssertionError("the block must not begin")
    for message in late:
        bench.state.rouse(run.run_id, message.entry, "", "{}")
        bench.deliver(message, worker="late")
    bench.pass_time()
    assert (run.status, run.journal(), run.store.export()) == (status, journal, store)
    assert not bench.post.messages


@pytest.mark.parametrize(("ending", "status"), ENDINGS.items())
def test_the_journal_tells_of_an_end_once_and_when_it_has_come(
    bench: Bench, ending: str, status: str
) -> None:
    run = ended(bench, ending)
    told = [entry.kind for entry in run.watch() if entry.kind in ENDS]
    assert told == [f"run.{status}"]
    assert run.journal()[-1].kind == f"run.{status}"


def test_what_the_journal_tells_of_is_done_at_every_step(bench: Bench) -> None:
    run = bench.submit(workflow(s="a b", t="c"))
    expected = {"action.completed": ActionStatus.COMPLETED, "action.started": ActionStatus.RUNNING}
    seen: Counter[str] = Counter()

    def check() -> None:
        last = run.journal()[-1]
        if last.kind in expected:
            plan = {one.entry: one.status for one in run.plan.actions}
            assert plan[last.entry] is expected[last.kind]
        seen[last.kind] += 1
        assert (last.kind in ENDS) == run.status.is_terminal

    script["b"] = lambda ctx: check()
    for _ in run.changes(timeout=60):
        check()
        if run.status.is_terminal:
            break
        bench.step()
    assert seen["action.started"] == 1
    assert seen["run.completed"] == 1


def test_a_child_run_that_failed_can_be_looked_at_like_any_run(bench: Bench) -> None:
    @action
    def breaks(ctx: ActionContext) -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    inner = workflow(s=[*do("a"), breaks.s()])
    run = bench.submit(workflow(s=[RunWorkflow(inner).options(name="sub")]))
    result = bench.drain(run)
    child = bench._runner.get(run.plan.actions[0].child_run_id)
    below = child.result()
    assert below.status is RunStatus.FAILED
    assert below.store["order"] == ["a"]
    assert [one.status.value for one in below.actions] == ["completed", "failed"]
    check_history(bench.state, child)
    for error, path in ((below.error, "s/breaks"), (result.error, "s/sub/s/breaks")):
        assert error is not None
        assert (error.path, error.type, error.message) == (path, "ValueError", "outer")
        assert error.attempt == 1
        assert "in breaks" in error.traceback
        assert error.cause is not None
        assert (error.cause.type, error.cause.message) == ("KeyError", "'inner'")


# Messages


def test_each_run_numbers_its_own_messages_from_one(bench: Bench) -> None:
    script["a"] = script["b"] = lambda ctx: ctx.send("note", ctx.action.name)
    runs = [bench.submit(workflow(s="a b")) for _ in range(2)]
    for run in runs:
        bench.drain(run)
    for run in runs:
        told = [(m.context.sequence, m.payload, m.context.run_id) for m in run.messages()]
        assert told == [(1, "a", run.run_id), (2, "b", run.run_id)]


PAYLOAD = {"key": "k", "value": None, "level": [1, {"a": 0.5}], "extra": True, "type": "x", "ü": ""}


def test_a_message_is_the_same_whoever_sends_it(bench: Bench) -> None:
    @condition("asks")
    def asks(ctx: ActionContext) -> bool:
        ctx.send("from condition", PAYLOAD)
        return True

    class Sends(Middleware):
        def before_run(self, ctx: HookContext) -> None:
            ctx.send("from hook", PAYLOAD)

        def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
            if ctx.action.name == "a":
                ctx.send("from around", PAYLOAD)
            return call_next()

    script["a"] = lambda ctx: ctx.send("from action", PAYLOAD)
    script["i"] = lambda ctx: ctx.send("from item", PAYLOAD)
    script["c"] = lambda ctx: ctx.send("from child", PAYLOAD)
    script["late"] = lambda ctx: ctx.send("from added", PAYLOAD)
    script["adds"] = lambda ctx: ctx.add_action(*do("late"))
    made = workflow(
        s=[
            *do("a"),
            ForEach("items", *do("i")),
            Branch(when("asks").then()),
            RunWorkflow(workflow(t="c")),
            *do("adds"),
        ]
    )
    run = bench.submit(made.use(Sends()), store={"items": [1]})
    bench.drain(run)
    messages = list(run.messages())
    assert [message.type for message in messages] == [
        "from hook", "from around", "from action", "from item", "from condition", "from child",
        "from added",
    ]  # fmt: skip
    assert [message.payload for message in messages] == [PAYLOAD] * 7
    assert [message.context.sequence for message in messages] == list(range(1, 8))


# What is tried again, lost or doubled


def test_every_try_at_an_item_or_a_pass_has_one_idempotency_key_and_no_other_entry_has_it(
    bench: Bench,
) -> None:
    keys: dict[tuple[str, int | None], list[str]] = {}

    @action(retry=Retry(2, delay=0))
    def takes(ctx: ActionContext, where: str) -> None:
        keys.setdefault((where, ctx.index), []).append(ctx.idempotency_key)
        if ctx.attempt == 1:
            raise OSError("once")

    run = bench.submit(
        workflow(
            s=[
                takes.s("plain"),
                takes.s("again"),
                ForEach("items", takes.s("item"), max_parallel=1),
                Repeat(takes.s("pass"), max_times=2),
                RunWorkflow(workflow(s=[takes.s("child")])),
            ]
        ),
        store={"items": [1, 1]},
    )
    done: set[tuple[str, str]] = set()
    while not run.status.is_terminal:
        if not bench.post.messages:
            bench.bury()
            bench.pass_time()
            continue
        message = bench.post.messages[0]
        place = message.run_id, message.entry
        bench.die_at = None if place in done else Moment.BODY_DONE
        if bench.step(worker="victim") is None:
            done.add(place)
    assert run.status is RunStatus.COMPLETED
    assert sorted(keys, key=str) == [
        ("again", None), ("child", None), ("item", 0), ("item", 1), ("pass", 0), ("pass", 1),
        ("plain", None),
    ]  # fmt: skip
    assert {len(of_one) for of_one in keys.values()} == {3}, "one fails, one is lost, one counts"
    assert {len(set(of_one)) for of_one in keys.values()} == {1}
    assert len({of_one[0] for of_one in keys.values()}) == 7


def every_kind() -> Workflow:
    """A workflow with everything that hands over to something else."""

    @condition("three")
    def three(ctx: ActionContext) -> bool:
        return ctx.store.get("n", int, default=0) >= 3

    @action(retry=Retry(2, delay=60))
    def flaky(ctx: ActionContext) -> None:
        if ctx.attempt == 1:
            raise OSError("once")

    @action
    def count(ctx: ActionContext) -> None:
        ctx.store.increment("n")

    class Counts(Middleware):
        def before_stage(self, ctx: HookContext) -> None:
            ctx.store.increment("entered")

        def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
            ctx.store.increment("left")

    def adds(ctx: ActionContext) -> None:
        ctx.add_action(*do("added"))
        ctx.add_stage(Stage("new", do("staged")))

    script["a"] = adds
    inner = workflow(s=[ForEach("items", *do("i")), *do("j")])
    made = workflow(
        s=[*do("a"), flaky.s(), Repeat(count.s(), until="three")],
        t=[
            ForEach("items", Branch(when("three").then(*do("x", "y")))),
            RunWorkflow(inner, give=["items"], take={"below": "order"}),
        ],
    )
    made.add_stage(Stage("p", do("p1", "p2"), parallel=True, max_parallel=1))
    return made.use(Counts())


def check_every_kind(run: Run) -> None:
    result = run.result()
    assert result.status is RunStatus.COMPLETED, result.error
    order = result.store["order"]
    assert order[:3] == ["a", "added", "staged"]
    assert Counter(order) == Counter(a=1, added=1, staged=1, x=2, y=2, p1=1, p2=1)
    assert sorted(result.store["below"]) == ["i", "i", "j"]
    assert [result.store[key] for key in ("n", "entered", "left")] == [3, 4, 4]


def test_a_run_completes_though_every_message_of_it_is_lost(bench: Bench) -> None:
    run = bench.submit(every_kind(), store={"items": [1, 2]})
    for _ in range(200):
        if run.status.is_terminal:
            break
        bench.post.messages.clear()
        bench.pass_time()
        again = bench.post.messages.copy()
        for message in again:
            bench.deliver(message)
    check_every_kind(run)
    check_history(bench.state, run)


def test_a_run_ends_the_same_though_every_message_comes_again_and_again(bench: Bench) -> None:
    run = bench.submit(every_kind(), store={"items": [1, 2]})
    seen = []
    for _ in range(500):
        if run.status.is_terminal:
            break
        if not bench.post.messages:
            bench.pass_time()
            continue
        message = bench.post.messages.popleft()
        seen.append(message)
        bench.deliver(message)
        bench.deliver(message, worker="other")
        bench.deliver(seen[0], worker="late")
    check_every_kind(run)
    for message in seen:
        bench.deliver(message, worker="late")
    check_every_kind(run)
    check_history(bench.state, run)
