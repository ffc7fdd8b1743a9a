"""Whole runs in a test's own process: what executes them, and what acts on them from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    ConfigurationError,
    ForEach,
    Middleware,
    NoRetry,
    Retry,
    RunStatus,
    RunTimeoutError,
    RunWorkflow,
    Sleep,
    StageFilter,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.authoring.registry import registry
from gostage_core.settings import Settings
from gostage_core.testing import MemoryEngine, RunStuckError
from tests.support.parity import STORE, WORKFLOWS, in_one_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def engine(fresh_registry: None) -> Iterator[MemoryEngine]:
    with MemoryEngine() as engine:
        yield engine


@action
def greet(ctx: ActionContext, name: str = "World") -> None:
    ctx.store["greeting"] = f"Hello, {name}!"


@action(retry=Retry(2, delay=0))
def break_down(ctx: ActionContext) -> None:
    raise ConnectionError("the bank does not answer")


@action
def double(ctx: ActionContext) -> int:
    return int(ctx.item) * 2


def test_a_run_is_executed_to_its_end(engine: MemoryEngine) -> None:
    result = engine.execute(in_one_stage(greet.s(name="Ana")))
    assert result.status is RunStatus.COMPLETED
    assert result.store["greeting"] == "Hello, Ana!"
    assert [(one.name, one.attempt, one.worker) for one in result.actions] == [
        ("greet", 1, "worker-1/1")
    ]


def test_a_run_that_fails_is_a_result(engine: MemoryEngine) -> None:
    result = engine.execute(in_one_stage(break_down.s(), greet.s()))
    assert result.status is RunStatus.FAILED
    assert str(result.error) == "s/break_down: ConnectionError: the bank does not answer"
    assert result.actions[0].attempt == 2


def test_nothing_of_a_run_is_done_before_somebody_asks_for_it(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(greet.s()))
    assert run.status is RunStatus.PENDING
    engine.settle()
    assert run.status is RunStatus.COMPLETED
    assert run.wait().store["greeting"] == "Hello, World!"


def test_all_runs_settle_together(engine: MemoryEngine) -> None:
    runs = [engine.submit(in_one_stage(greet.s())) for _ in range(3)]
    engine.settle()
    assert {run.status for run in runs} == {RunStatus.COMPLETED}


def test_a_thousand_items_are_done_and_collected_in_order(engine: MemoryEngine) -> None:
    loop = in_one_stage(ForEach("items", double.s(), store_as="doubled"))
    result = engine.execute(loop, store={"items": list(range(1_000))})
    assert result.store["doubled"] == [2 * n for n in range(1_000)]


def test_child_runs_are_runs_of_the_same_engine(engine: MemoryEngine) -> None:
    result = engine.execute(in_one_stage(RunWorkflow(in_one_stage(greet.s()), take=["greeting"])))
    child = engine.runner.get(result.actions[0].child_run_id)
    assert child.status is RunStatus.COMPLETED
    assert result.store["greeting"] == "Hello, World!"


def test_a_signal_has_a_run_go_on(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(WaitForSignal("approval", bool, store_as="approved")))
    engine.settle()
    assert run.status is RunStatus.WAITING
    run.signal("approval", True)
    engine.settle()
    assert run.result().store["approved"] is True


def test_who_waits_for_a_signal_that_nobody_sends_is_told_so(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(greet.s(), WaitForSignal("approval")))
    with pytest.raises(RunStuckError) as caught:
        run.wait()
    assert str(caught.value) == (
        f"run '{run.run_id}' is waiting: s/approval waits for signal 'approval'; nothing that "
        f"falls due in this engine changes that. Send the signal, finish the task or resume the "
        f"run before it is waited for, or wait with timeout=…"
    )
    with pytest.raises(RunStuckError):
        engine.execute(in_one_stage(WaitForSignal("approval")))
    run.signal("approval")
    assert run.wait().status is RunStatus.COMPLETED


def test_that_other_runs_come_and_go_for_ever_changes_nothing_about_it(
    engine: MemoryEngine,
) -> None:
    engine.runner.schedules.add("often", in_one_stage(greet.s()), every="1m")
    run = engine.submit(in_one_stage(WaitForSignal("approval")))
    with pytest.raises(RunStuckError, match="waits for signal 'approval'"):
        run.wait()


def test_a_long_sleep_is_none_of_that(engine: MemoryEngine) -> None:
    engine.runner.schedules.add("often", in_one_stage(greet.s()), every="1m")
    result = engine.execute(in_one_stage(Sleep(days=1)))
    assert (result.status, result.duration) == (RunStatus.COMPLETED, 86_400)


def test_who_waits_for_an_action_that_nobody_knows_is_told_so(engine: MemoryEngine) -> None:
    with registry.isolated():

        @action("here.alone")
        def alone(ctx: ActionContext) -> None: ...

        workflow = in_one_stage(alone.s())
        runs = [engine.submit(one) for one in (workflow, in_one_stage(RunWorkflow(workflow)))]
    for run in runs:
        with pytest.raises(RunStuckError, match=r"no action is registered under 'here\.alone'"):
            run.wait()
        with pytest.raises(RunTimeoutError):
            run.wait(timeout="1h")


def test_who_waits_for_a_paused_run_is_told_so(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(greet.s()))
    run.pause("not yet", actor="ana")
    with pytest.raises(RunStuckError, match="is paused: by ana: not yet;"):
        run.wait()
    run.resume()
    assert run.wait().status is RunStatus.COMPLETED


def test_a_run_is_cancelled_edited_retried_and_forked(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(greet.s(), WaitForSignal("go"), break_down.s()))
    engine.settle()
    with run.edit(reason="the bank is closed", actor="ana") as plan:
        plan.actions["break_down"].disable()
    run.signal("go")
    assert run.wait().actions[2].status == "skipped"
    other = run.fork(at="greet")
    other.cancel("enough")
    assert other.wait().status is RunStatus.CANCELLED
    other.retry(skip=["go", "break_down"])
    assert other.wait().status is RunStatus.COMPLETED
    assert [one.status for one in engine.runner.list(status=RunStatus.COMPLETED)] == [
        RunStatus.COMPLETED
    ] * 2
    run.delete()
    assert len(engine.runner.list()) == 1


def test_a_submit_that_is_repeated_gives_the_same_run(engine: MemoryEngine) -> None:
    first, second = (engine.submit(in_one_stage(greet.s()), key="event-42") for _ in range(2))
    assert first.run_id == second.run_id
    prepared = engine.runner.prepare(in_one_stage(greet.s()), deadline="1h")
    engine.advance("59m")
    run = engine.runner.submit_prepared(prepared.text)
    assert engine.runner.submit_prepared(prepared.text).run_id == run.run_id
    run.pause()
    engine.advance("1m")
    assert run.result().error is not None


def test_a_throttle_lets_in_as_many_as_it_says(engine: MemoryEngine) -> None:
    workflow = Workflow("w", throttle=Throttle("narrow", concurrency=1))
    workflow.add_stage("s").add(WaitForSignal("go"))
    runs = [engine.submit(workflow) for _ in range(3)]
    engine.settle()
    assert [str(run.status) for run in runs] == ["waiting", "pending", "pending"]
    assert "waits for throttle 'narrow'" in str(runs[1].why())
    assert len(engine.runner.throttles["narrow"].inside) == 1
    for run in runs:
        run.signal("go")
    engine.settle()
    assert {run.status for run in runs} == {RunStatus.COMPLETED}


def test_middleware_of_the_engine_is_outermost(fresh_registry: None) -> None:
    order: list[str] = []

    class Around(Middleware):
        name: str

        def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
            order.append(self.name)
            return call_next()

    workflow = in_one_stage(greet.s()).use(Around(name="inner"))
    MemoryEngine(middleware=[Around(name="outer")]).execute(workflow)
    assert order == ["outer", "inner"]
    skipped = MemoryEngine(middleware=[StageFilter(ids=["other"])]).execute(workflow)
    assert skipped.actions[0].status == "skipped"


def test_what_is_to_run_in_a_process_of_its_own_runs_in_the_test(engine: MemoryEngine) -> None:
    @action(isolation="process", memory_mb=512)
    def tell(ctx: ActionContext) -> None:
        ctx.store["pid"] = os.getpid()

    assert engine.execute(in_one_stage(tell.s())).store["pid"] == os.getpid()


def test_a_body_may_wait_for_another_run(engine: MemoryEngine) -> None:
    @action
    def ask(ctx: ActionContext) -> None:
        ctx.store["heard"] = engine.execute(in_one_stage(greet.s())).store["greeting"]

    result = engine.execute(in_one_stage(ask.s()))
    assert result.store["heard"] == "Hello, World!"
    assert [one.kind for one in engine.runner.get(result.run_id).journal()].count(
        "action.started"
    ) == 1


def test_a_body_that_looks_is_told_at_once_that_its_run_is_to_end(engine: MemoryEngine) -> None:
    looks: list[bool] = []

    @action
    def work(ctx: ActionContext) -> None:
        looks.append(ctx.cancelled)
        engine.runner.get(ctx.run_id).cancel()
        looks.append(ctx.cancelled)

    assert engine.execute(in_one_stage(work.s(), greet.s())).status is RunStatus.CANCELLED
    assert looks == [False, True]


def test_a_person_who_interrupts_the_test_interrupts_no_run(engine: MemoryEngine) -> None:
    @action
    def hang(ctx: ActionContext) -> None:
        if ctx.store.get("hung", bool, default=False):
            return
        ctx.store["hung"] = True
        ctx.checkpoint()
        raise KeyboardInterrupt

    run = engine.submit(in_one_stage(hang.s()))
    with pytest.raises(KeyboardInterrupt):
        engine.settle()
    assert run.wait().status is RunStatus.COMPLETED


def test_a_body_that_ends_the_process_has_failed(engine: MemoryEngine) -> None:
    @action
    def leave(ctx: ActionContext) -> None:
        sys.exit(3)

    assert str(engine.execute(in_one_stage(leave.s())).error) == "s/leave: SystemExit: 3"


def test_another_thread_may_wait_while_this_one_has_the_run_go_on(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(greet.s(), WaitForSignal("go")))
    ended: list[RunStatus] = []
    waiter = threading.Thread(target=lambda: ended.append(run.wait().status), daemon=True)
    waiter.start()
    run.signal("go")
    engine.settle()
    waiter.join(timeout=30)
    assert ended == [RunStatus.COMPLETED]


def test_who_watches_a_run_has_it_go_on(engine: MemoryEngine) -> None:
    run = engine.submit(in_one_stage(greet.s(), Sleep(days=2), greet.s()))
    seen = [entry.kind for entry in run.watch()]
    assert (seen[0], seen[-1]) == ("run.submitted", "run.completed")


def test_a_result_is_put_onto_the_list_that_asked_for_it(engine: MemoryEngine) -> None:
    engine.submit(in_one_stage(greet.s()), reply_to="answers")
    engine.settle()
    (text,) = engine.world.state.client.lrange("answers", 0, -1)  # type: ignore[misc]
    assert json.loads(text)["store"]["greeting"] == "Hello, World!"


def test_settings_are_those_that_are_given_and_not_those_of_the_environment(
    fresh_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOSTAGE_NAMESPACE", "production")
    assert MemoryEngine().runner.settings.namespace == "gostage"
    small = MemoryEngine(settings=Settings(max_store_bytes=1024))

    @action
    def fill(ctx: ActionContext) -> None:
        ctx.store["much"] = "x" * 2_000

    assert small.execute(in_one_stage(fill.s())).error.type == "StoreFullError"  # type: ignore[union-attr]


def test_two_runs_of_the_same_leave_the_same_to_the_byte(fresh_registry: None) -> None:
    contents = []
    for _ in range(2):
        engine = MemoryEngine(seed=7)
        for build in WORKFLOWS.values():
            engine.execute(build(), store=STORE)
        engine.runner.schedules.add("nightly", in_one_stage(greet.s()), cron="@daily").trigger()
        engine.advance("2d")
        contents.append(engine.server.content())
    assert contents[0] == contents[1]


def test_another_seed_gives_other_ids(fresh_registry: None) -> None:
    ids = {MemoryEngine(seed=seed).submit(in_one_stage(greet.s())).run_id for seed in (1, 1, 2)}
    assert len(ids) == 2


PROGRAM = """
import hashlib
from gostage_core.testing import MemoryEngine
from tests.support.parity import STORE, WORKFLOWS

def plain(part):
    return sorted(map(plain, part), key=repr) if isinstance(part, frozenset) else (
        tuple(map(plain, part)) if isinstance(part, tuple) else part)

engine = MemoryEngine()
for build in WORKFLOWS.values():
    engine.execute(build(), store=STORE)
print(hashlib.sha256(repr(plain(engine.server.content())).encode()).hexdigest())
"""


def test_what_is_left_does_not_hang_on_the_process_either() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1
    assert len(told.pop().strip()) == 64


def test_without_lupa_the_error_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lupa.lua51", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'gostage\[testing\]'"):
        MemoryEngine()


def test_a_failure_that_is_not_tried_again_keeps_its_cause(engine: MemoryEngine) -> None:
    @action(retry=Retry(5))
    def decline(ctx: ActionContext) -> None:
        raise NoRetry("declined") from ValueError("code 51")

    error = engine.execute(in_one_stage(decline.s())).error
    assert error is not None
    assert error.cause is not None
    assert (error.attempt, error.cause.message) == (1, "code 51")


def test_a_definition_is_executed_like_a_workflow(engine: MemoryEngine) -> None:
    text = in_one_stage(greet.s()).to_json()
    assert engine.execute(text).status is RunStatus.COMPLETED
    assert engine.execute(Workflow.from_json(text)).status is RunStatus.COMPLETED
