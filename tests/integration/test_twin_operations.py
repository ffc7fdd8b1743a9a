"""Every operation, and every script, leaves the same in memory as on the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import Action, ActionContext, Retry, Sleep, Stage, Throttle, Workflow, action
from gostage_core.attempt import Moment
from gostage_core.authoring.waits import Delivery
from gostage_core.errors import CorruptRunError
from gostage_core.settings import Settings
from gostage_core.state import scripts
from tests.support.bench import Bench

if TYPE_CHECKING:
    from gostage_core.state.operations import State
    from tests.support.twin import Twin


class Busy(Action):
    """Does what an action may do with its store, and tells of it."""

    def execute(self, ctx: ActionContext) -> None:
        ctx.store.put("count", 2**62, tags=["large"], ttl=3600)
        ctx.store.increment("tries", 1)
        ctx.store.append("log", {"at": "busy"})
        ctx.checkpoint()
        ctx.progress(0.5, "half of it")
        ctx.send("found", {"files": 12})
        assert ctx.store.get("count", int) == 2**62
        if "given" in ctx.store:
            ctx.store.delete("given")


class Wait(Action):
    """Waits for a parcel."""

    def execute(self, ctx: ActionContext) -> Delivery | None:
        return None if ctx.phase else Delivery("parcel", 60)


class Fail(Action):
    """Fails once."""

    def execute(self, ctx: ActionContext) -> None:
        if ctx.attempt == 1:
            raise ValueError("é")


@action
def undo(ctx: ActionContext) -> None:
    """Takes back what was charged."""
    ctx.store["charged"] = 0


@action(compensate=undo.s(), throttle=Throttle("bank", concurrency=1, rate=5, per=60))
def charge(ctx: ActionContext) -> None:
    """Charges once, when somebody agrees."""
    ctx.store["charged"] = ctx.once("charge", lambda: 7)
    ctx.store["agreed"] = ctx.wait_for("agreed", bool, timeout=60)


def test_every_operation_leaves_the_same(twin: Twin, fresh_registry: None) -> None:
    bench = Bench(Settings(namespace="twin"), twin)
    live_and_end(bench, twin)
    go_another_way(bench)
    keep_a_schedule(bench)
    overrun(bench)
    assert {scripts.digest(name) for name in scripts.names()} <= twin.ran
    bench.close()


def live_and_end(bench: Bench, twin: Twin) -> None:
    state, keys = bench.state, bench.state.keys
    workflow = Workflow("w", tags=["a/b"])
    workflow.add_stage(Stage("s", [Busy(), Wait(), Fail().options(retry=Retry(2, delay=1))]))
    options = {"store": {"given": [1, None]}, "tags": ["t"]}
    run = bench.submit(workflow, key="event", reply_to="replies", **options)
    bench.submit(workflow, key="event")
    bench.die_at = Moment.CLAIMED
    bench.step("dead")
    bench.bury()
    waits, fails = "3", "4"
    bench.step()
    bench.step()
    state.deliver(run.run_id, waits, "parcel", "x")
    with run.edit(reason="later") as plan:
        plan.stages["s"].add(Busy())
    given = claimed(state, run.run_id, waits)
    state.release(given, delay=2, reason='{"type":"Asked","message":"é"}')
    state.note(run.run_id, nonce="n", kind="told", entry=fails, details='{"x":1}')
    assert bench.drain(run).store["log"] == [{"at": "busy"}] * 2
    state.ask(run.run_id, "asked")
    bench.pass_time()
    state.reply(run.run_id, '{"status":"completed"}')
    assert twin.llen("replies") == twin.llen("asked") == 1
    other = bench.submit(workflow, deadline=3600)
    twin.hset(keys.of("run", other.run_id), "bytes", "many")
    with pytest.raises(CorruptRunError):
        claimed(state, other.run_id, "2")
    twin.hset(keys.of("run", other.run_id), "bytes", 0)
    other.cancel()
    for one in (run, other):
        state.purge(one.run_id)


def go_another_way(bench: Bench) -> None:
    """Hold, signal, break and mend runs that share a throttle."""
    workflow = Workflow("charges")
    workflow.add_stage("s").add(charge.s(), Fail().options(name="fails"))
    runs = [bench.submit(workflow, concurrency_key=key) for key in "ab"]
    for _ in range(2):
        bench.step()
    runs[1].pause("later", actor="ana")
    runs[0].why()
    bench.runner.throttles.set("bank", concurrency=2)
    runs[1].resume()
    for run in runs:
        run.signal("agreed", payload=True)
    assert all(bench.drain(run).compensated for run in runs)
    failing = Workflow("failing")
    failing.add_stage("s").add(Fail().options(name="fails"))
    failed = bench.submit(failing)
    bench.post.messages.clear()  # lost: looked for, and sent again
    assert bench.drain(failed).status == "failed"
    failed.retry(skip=["fails"], store={"charged": 1})
    assert bench.drain(failed).status == "completed"
    forked = runs[1].fork("fails", edit=lambda plan: plan.actions["fails"].disable())
    assert bench.drain(forked).status == "completed"


def keep_a_schedule(bench: Bench) -> None:
    """Add a schedule, pause it, and have it submit what it is for."""
    workflow = Workflow("often")
    workflow.add_stage("s").add(undo.s())
    schedule = bench.runner.schedules.add("often", workflow, every=3600)
    schedule.pause()
    schedule.resume()
    assert bench.drain(schedule.trigger()).status == "completed"


def overrun(bench: Bench) -> None:
    """Let an action pass its deadline, give up the one behind it, and do that after all."""
    late = Workflow("late")
    late.add_stage("s").add(Sleep(60).options(deadline=1, on_error="continue"), undo.s())
    run = bench.submit(late)
    bench.step()
    while not bench.post.messages:
        bench.rescuer.tick()
    behind = bench.post.messages.popleft().entry
    bench.state.abandon(claimed(bench.state, run.run_id, behind), "p", "1")
    assert bench.drain(run).status == "completed"


def claimed(state: State, run_id: str, entry: str) -> Any:
    return state.claim(run_id, entry, nonce="n", process="p", slot="1", mark="queue")
