"""Runs in each state that damage may find them in, with something of each kind in their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core import (
    Action,
    ActionContext,
    ForEach,
    Retry,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from gostage_core.testing.memory import MemoryClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core import Run
    from gostage_core.testing.memory.clock import Clock
    from tests.support.bench import Bench


class Trace(Action):
    """Leaves something in every part of a run's record."""

    fails: bool = False

    def execute(self, ctx: ActionContext) -> str:
        ctx.store.append("order", ctx.action.name)
        ctx.store.increment("count")
        ctx.store.put("labelled", ctx.attempt, tags=["t"], ttl=3600)
        ctx.store["once"] = ctx.once("done", lambda: 7)
        ctx.send("told", {"by": ctx.action.name})
        ctx.progress(0.5, "half")
        if self.fails:
            raise ValueError("as it was told")
        return ctx.action.name


@action
def undo(ctx: ActionContext) -> None:
    """Take something back."""
    ctx.store.append("undone", 1)


@action
def answered(ctx: ActionContext) -> None:
    """Do something once, and wait for a word from outside."""
    ctx.store["token"] = ctx.once("token", lambda: "abc")
    ctx.store["answer"] = ctx.wait_for("answer", int, timeout=3600)


def clock_of(bench: Bench) -> Clock:
    """The clock of a bench in memory."""
    assert isinstance(bench.state.client, MemoryClient)
    return bench.state.client.server.clock


def trace(name: str, *, fails: bool = False, **options: object) -> Action:
    return Trace(fails=fails).options(name=name, **options)  # type: ignore[arg-type]


LINE = Throttle("bank", concurrency=1)


def whole(*, fails: bool = False) -> Workflow:
    """A workflow whose second stage has an entry in each state that there is."""
    inner = Workflow("inner")
    inner.add_stage(Stage("s", [trace("below"), trace("below-too")]))
    made = Workflow("whole", name="Whole", tags=["w/t"])
    made.add_stage(
        Stage("one", [trace("first", compensate=undo.s()), trace("second", retry=Retry(2))])
    )
    sides = [
        answered.s(),
        WaitForSignal("later", dict, timeout=60, store_as="later"),
        Sleep(60),
        ForEach("items", trace("each"), trace("each-too")),
        RunWorkflow(inner),
        trace("lined", throttle=LINE, timeout=60),
        trace("held", timeout=60),
        trace("late", fails=fails),
    ]
    made.add_stage(Stage("two", sides, parallel=True, initial={"k": [1]}))
    made.add_stage(Stage("three", [trace("last", compensate=undo.s())]))
    return made


def submit(bench: Bench, made: Workflow) -> Run:
    return bench.submit(made, store={"items": [1, 2]}, tags=["t"], key="event", deadline=360_000)


def submit_plain(bench: Bench) -> Run:
    """Submit a run of two actions that has nothing to do with any other one."""
    made = Workflow("plain")
    made.add_stage(Stage("s", [trace("one"), trace("two")]))
    return bench.submit(made)


def middle(bench: Bench, *, fails: bool = False) -> Run:
    """Its second stage has begun: one runs at a worker that is dead, and the others wait."""
    other = Workflow("holder")
    other.add_stage(Stage("s", [trace("holds", throttle=LINE), trace("and-on")]))
    bench.submit(other)
    bench.die_at = Moment.CLAIMED
    bench.step(worker="holder")
    bench.died.clear()
    run = submit(bench, whole(fails=fails))
    for _ in range(2):
        bench.step()
    names = {one.entry: one.name for one in run.plan.actions}
    for message in list(bench.post.messages):
        name = names.get(message.entry) if message.run_id == run.run_id else ""
        if name in ("late", "each", "each-too", "below", ""):
            continue
        bench.post.messages.remove(message)
        if name == "held":
            bench.die_at = Moment.CLAIMED
        bench.deliver(message, "dead" if name == "held" else "w")
    run.signal("unwanted", {"a": 1}, id="early")
    return run


def paused(bench: Bench) -> Run:
    run = middle(bench)
    run.pause("later", actor="ana")
    return run


def stopping(bench: Bench) -> Run:
    """It is to end, and one of it runs on."""
    run = middle(bench)
    run.cancel("enough", grace=60)
    return run


def failed(bench: Bench) -> Run:
    run = middle(bench, fails=True)
    bench.bury()
    bench.drain(run)
    return run


def undoing(bench: Bench) -> Run:
    """What it had done is being undone."""
    run = middle(bench)
    bench.bury()
    run.cancel("enough")
    bench.pass_time()
    return run


def completed(bench: Bench) -> Run:
    run = middle(bench)
    bench.bury()
    run.signal("answer", 5)
    run.signal("later", {"b": 2})
    bench.rescuer.lost("holder")
    end(bench, run)
    return run


def end(bench: Bench, run: Run) -> None:
    """Deliver, and let minutes pass, until the run has ended before its deadline."""
    while not run.status.is_terminal:
        if bench.post.messages:
            bench.step()
        else:
            clock_of(bench).advance(120)
            bench.state.renew(["w"])
            bench.rescuer.tick()


def retried(bench: Bench) -> Run:
    made = Workflow("mended", tags=["w/t"])
    made.add_stage(Stage("one", [trace("first"), ForEach("items", trace("each", fails=True))]))
    made.add_stage(Stage("two", [trace("last")]))
    run = submit(bench, made)
    bench.drain(run)
    run.retry(reason="again", actor="ana", store={"more": 1})
    return run


def forked(bench: Bench) -> Run:
    run = completed(bench)
    return run.fork("second", reason="anew")


def held(bench: Bench) -> Run:
    """Its workflow's throttle has not let it in."""
    runs = []
    for _ in range(2):
        made = Workflow("narrow", tags=["w/t"], throttle=Throttle(concurrency=1))
        made.add_stage(Stage("one", [trace("first")]))
        runs.append(bench.submit(made, tags=["t"]))
    return runs[1]


def below(bench: Bench) -> Run:
    """The child of a run that waits for it."""
    run = middle(bench)
    child = next(one.child_run_id for one in run.plan.actions if one.child_run_id)
    return bench.runner.get(child)


STATES: dict[str, Callable[[Bench], Run]] = {
    made.__name__: made
    for made in (
        middle, paused, stopping, undoing, failed, completed, retried, forked, held, below
    )
}  # fmt: skip
