"""Workflows of every kind, and what a run of one leaves that must be the same wherever it ran."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from gostage_core import (
    ActionContext,
    Branch,
    ForEach,
    HookContext,
    Middleware,
    NoRetry,
    Repeat,
    Retry,
    RunWorkflow,
    ScopeOutcome,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
    condition,
    otherwise,
    quorum,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core import Run


@action(store_as="total")
def add_up(ctx: ActionContext, amount: Decimal) -> Decimal:
    ctx.store.increment("hits")
    ctx.store.append("log", ctx.action.name)
    ctx.send("added", {"amount": str(amount)})
    return amount * 2


@action
def note(ctx: ActionContext, text: str = "") -> str:
    ctx.store.append("log", text or f"{ctx.action.name}:{ctx.index}")
    return f"{ctx.idempotency_key.rpartition(':')[2]}"


@action(retry=Retry(3, delay=1, jitter=0))
def stumble(ctx: ActionContext, tries: int) -> None:
    ctx.store.append("log", f"try {ctx.attempt}")
    ctx.once("first", lambda: ctx.attempt)
    if ctx.attempt < tries:
        raise ConnectionError("not yet")


@action
def break_down(ctx: ActionContext) -> None:
    ctx.store["never"] = 1
    raise NoRetry("broken") from ValueError("the cause")


@action
async def think(ctx: ActionContext) -> None:
    ctx.store["thought"] = ctx.once("thought", lambda: 7)
    ctx.checkpoint()


@action
def grow(ctx: ActionContext, generations: int) -> None:
    ctx.store.append("log", generations)
    if generations:
        ctx.add_action(grow.s(generations=generations - 1), note.s(text="added"))
        ctx.add_stage(Stage(f"later-{generations}", [note.s(text=f"later {generations}")]))


@action
def rearrange(ctx: ActionContext) -> None:
    ctx.stages["off"].disable()
    ctx.actions.filter(tag="optional").remove()


@action
def give_up(ctx: ActionContext) -> None:
    ctx.store["seen"] = True
    ctx.bail("nothing to do")


@action
def ask(ctx: ActionContext) -> None:
    ctx.store["answer"] = ctx.wait_for("question", int, timeout="1h")


@condition("parity.is_rich")
def is_rich(ctx: ActionContext) -> bool:
    return bool(ctx.store.get("total", Decimal) > 10)


@condition("parity.is_enough")
def is_enough(ctx: ActionContext) -> bool:
    return ctx.store.get("hits", int, default=0) >= 3


class Rescue(Middleware):
    """Handles what fails in its stage."""

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        ctx.store.append("log", f"around {ctx.action.name}")
        return call_next()

    def before_stage(self, ctx: HookContext) -> None:
        ctx.store["entered"] = ctx.stage.id

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        if outcome.status == "failed":
            outcome.recover()


def in_one_stage(*actions: Any, **options: Any) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions, **options))
    return workflow


def _two_stages() -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage("pay", initial={"currency": "EUR"}).add(
        add_up.s(amount=Decimal(3)), think.s()
    )
    workflow.add_stage(Stage("tell", [note.s(), note.s()], parallel=True))
    return workflow


def _rescued() -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage("risky").add(note.s(), break_down.s(), note.s()).use(Rescue())
    workflow.add_stage("calm").add(note.s(text="after"))
    return workflow


def _rearranged() -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage("first").add(rearrange.s(), note.s().options(tags=["optional"]), note.s())
    workflow.add_stage("off").add(note.s(text="never"))
    return workflow


def _undone() -> Workflow:
    undo = note.s(text="undone")
    return in_one_stage(
        note.s(text="done").options(compensate=undo), note.s(), break_down.s(), note.s()
    )


WORKFLOWS: Final[dict[str, Callable[[], Workflow]]] = {
    "two stages": _two_stages,
    "an empty loop": lambda: in_one_stage(ForEach("nothing", note.s(), store_as="got")),
    "a loop": lambda: in_one_stage(
        ForEach("items", note.s(), note.s(text="b"), max_parallel=2, store_as="got")
    ),
    "a branch": lambda: in_one_stage(
        add_up.s(amount=Decimal(7)),
        Branch(when("parity.is_rich").then(note.s(text="rich")), otherwise(note.s(text="poor"))),
    ),
    "a repeat": lambda: in_one_stage(
        Repeat(add_up.s(amount=Decimal(1)), until="parity.is_enough", max_times=9)
    ),
    "a child run": lambda: in_one_stage(
        RunWorkflow(_two_stages(), give={"b": "items"}, take=["total"])
    ),
    "a child that fails": lambda: in_one_stage(RunWorkflow(in_one_stage(break_down.s()))),
    "retries": lambda: in_one_stage(stumble.s(tries=3), note.s()),
    "too many retries": lambda: in_one_stage(stumble.s(tries=9), note.s()),
    "a failure beside others": lambda: in_one_stage(
        note.s(), break_down.s(), note.s(), parallel=True, on_failure="wait_all", join=quorum(2)
    ),
    "a failure that goes on": lambda: in_one_stage(
        break_down.s().options(on_error="continue"), note.s()
    ),
    "a failure that is handled": _rescued,
    "a failure that is undone": _undone,
    "an early end": lambda: in_one_stage(give_up.s(), note.s()),
    "growth": lambda: in_one_stage(grow.s(generations=3), note.s(text="last")),
    "growth side by side": lambda: in_one_stage(
        grow.s(generations=2), grow.s(generations=0), parallel=True, max_parallel=1
    ),
    "a plan that is rearranged": _rearranged,
    "sleep": lambda: in_one_stage(Sleep(hours=5), note.s()),
    "a signal that does not come": lambda: in_one_stage(
        WaitForSignal("go", timeout="2d", on_timeout=[note.s(text="late")], store_as="late")
    ),
    "a question without an answer": lambda: in_one_stage(note.s(), ask.s()),
    "a throttle": lambda: in_one_stage(
        *(
            note.s(text=f"{n}").options(throttle=Throttle("narrow", concurrency=1))
            for n in range(4)
        ),
        parallel=True,
    ),
}
"""What they do hangs on nothing but their store, which begins with a list of three."""

STORE: Final = {"items": ["x", "y", "z"], "nothing": []}


@dataclass(frozen=True)
class Left:
    """What a run leaves, without times and ids of runs."""

    status: str
    store: dict[str, Any]
    actions: list[tuple[object, ...]]
    error: tuple[str, str, str] | None
    messages: list[tuple[str, Any]]
    history: list[tuple[str, str]]
    compensated: bool | None

    @classmethod
    def of(cls, run: Run) -> Left:
        result = run.result()
        error = result.error
        return cls(
            status=result.status.value,
            store=result.store.export(),
            actions=[
                (one.path, one.status.value, one.attempt, one.phase, one.added_by, one.handled_by)
                for one in (*result.actions, *result.plan.hooks)
            ],
            error=error and (error.path, error.type, error.message),
            messages=[(one.type, one.payload) for one in run.messages()],
            history=[(one.kind, one.entry) for one in run.journal()],
            compensated=result.compensated,
        )
