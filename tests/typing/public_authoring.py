"""What type checkers know of actions and workflows. Checked by mypy, never run.

Each line that must not pass has a ``type: ignore`` with the error's code; a checker that warns of
unused ones reports a line that passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import assert_type

from gostage_core import (
    Action,
    ActionContext,
    ActionFunction,
    Branch,
    Condition,
    ForEach,
    Key,
    Limits,
    Repeat,
    Retry,
    RunWorkflow,
    Stage,
    Workflow,
    action,
    condition,
    otherwise,
    quorum,
    when,
)


class Greet(Action, id="greet", tags=["intro"], retry=Retry(3), timeout="5m"):
    """Greets."""

    greeting: str = "Hello"

    def execute(self, ctx: ActionContext) -> str:
        return self.greeting


class Fetch(Action, priority=3, on_error="continue"):
    """Fetches."""

    url: str

    async def execute(self, ctx: ActionContext) -> bytes:
        return b""


@action
def charge(ctx: ActionContext, amount: Decimal, currency: str = "EUR") -> str:
    return f"{amount} {currency}"


@action("mail.send", tags=["mail"], retry=Retry(5, on=(OSError,)), timeout=30, store_as="sent")
async def send_mail(ctx: ActionContext, to: str, /, *, urgent: bool = False) -> int:
    return 1


@action()
def tidy(ctx: ActionContext) -> None: ...


async def functions(ctx: ActionContext) -> None:
    assert_type(charge(ctx, Decimal(1)), str)
    assert_type(charge(ctx, Decimal(1), currency="USD"), str)
    assert_type(charge.s(Decimal(1)), Action)
    assert_type(charge.s(amount=Decimal(1), currency="USD"), Action)
    assert_type(charge.action_class, type[Action])
    assert_type(await send_mail(ctx, "ana"), int)
    assert_type(send_mail.s("ana", urgent=True), Action)
    assert_type(tidy, ActionFunction[[], None])
    assert_type(tidy.s(), Action)


def wrong_calls(ctx: ActionContext) -> None:
    charge.s()  # type: ignore[call-arg]
    charge.s("1")  # type: ignore[arg-type]
    charge.s(Decimal(1), curency="USD")  # type: ignore[call-arg]
    charge(ctx)  # type: ignore[call-arg]
    charge(Decimal(1))  # type: ignore[call-arg, arg-type]
    send_mail.s(to="ana")  # type: ignore[call-arg]
    tidy.s(1)  # type: ignore[call-arg]


def classes() -> None:
    assert_type(Greet(greeting="Hi"), Greet)
    assert_type(Greet().options(name="hi", tags={"a"}, priority=1), Greet)
    assert_type(Fetch(url="x").options(retry=None, timeout=None, queue="slow").url, str)


def wrong_classes() -> None:
    Greet(greting="Hi")  # type: ignore[call-arg]
    Fetch()  # type: ignore[call-arg]
    Greet().options(priorty=1)  # type: ignore[call-arg]
    Greet().options(priority="high")  # type: ignore[arg-type]
    Greet().options(on_error="ignore")  # type: ignore[arg-type]
    Retry(max_atempts=3)  # type: ignore[call-arg]

    @action(retries=3)  # type: ignore[call-overload, untyped-decorator]
    def pay(ctx: ActionContext) -> None: ...


def workflows() -> None:
    workflow = Workflow("order", tags=["prod"])
    stage = workflow.add_stage("check", initial={"api.timeout": 30})
    assert_type(stage, Stage)
    assert_type(stage.add(Greet(), charge.s(Decimal(3))), Stage)
    assert_type(workflow.add_stage(Stage("ship", [Greet()], parallel=True)), Stage)
    assert_type(workflow.stages, Mapping[str, Stage])
    assert_type(workflow.to_json(indent=2), str)
    assert_type(Workflow.from_json("{}"), Workflow)


def wrong_workflows() -> None:
    stage = Stage("a")
    stage.add(Greet)  # type: ignore[arg-type]
    stage.add(charge)  # type: ignore[arg-type]
    Workflow("x").add_stage(stage, name="b")  # type: ignore[call-overload]


@condition("is_priority")
def is_priority(ctx: ActionContext) -> bool:
    return True


@condition
async def over(ctx: ActionContext, limit: int = 3) -> bool:
    return limit > 1


async def conditions(ctx: ActionContext) -> None:
    assert_type(is_priority, Condition[[], bool])
    assert_type(is_priority(ctx), bool)
    assert_type(await over(ctx, limit=2), bool)


async def wrong_conditions(ctx: ActionContext) -> None:
    is_priority(ctx, 1)  # type: ignore[call-arg]
    await over(ctx, limit="2")  # type: ignore[arg-type]

    @condition("text")  # type: ignore[type-var]
    def text(ctx: ActionContext) -> str:
        return ""


def compositions(other: Workflow) -> None:
    items = Key("items", list[int])
    each = ForEach(items, Greet(), charge.s(Decimal(1)), max_parallel=4, store_as="results")
    assert_type(each, ForEach)
    assert_type(each.options(retry=Retry(2)), ForEach)
    Branch(when("is_priority").then(each), when(over, limit=2).then(), otherwise(Greet()))
    Repeat(Greet(), until="is_priority", max_times=100)
    Repeat(Greet(), until=when(over, limit=2))
    RunWorkflow(other, give={"child": items}, store={items: [1]}, take=["result"])
    Stage("join", [each], parallel=True, on_failure="wait_all", join=quorum(2))
    Workflow("w", limits=Limits(max_depth=3)).add_stage("s", parallel=True, join=quorum(1))


def wrong_compositions(other: Workflow) -> None:
    ForEach("items", Greet)  # type: ignore[arg-type]
    ForEach("items", Greet(), max_paralel=4)  # type: ignore[call-arg]
    Branch(when("is_priority"))  # type: ignore[arg-type]
    Branch(Greet())  # type: ignore[arg-type]
    Repeat(Greet(), until=is_priority, max_times="3")  # type: ignore[arg-type]
    RunWorkflow("other")  # type: ignore[arg-type]
    Stage("s", on_failure="ignore")  # type: ignore[arg-type]
    Limits(max_dept=3)  # type: ignore[call-arg]
