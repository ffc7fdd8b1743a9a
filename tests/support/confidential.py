"""A workflow in which whatever may hold a value holds the marker, for searches of what is left."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SecretStr

from gostage_core import (
    ActionContext,
    Branch,
    CeleryTask,
    ForEach,
    Middleware,
    Repeat,
    RunWorkflow,
    Sleep,
    Stage,
    WaitForSignal,
    Workflow,
    action,
    condition,
    otherwise,
    when,
)

MARKER = "MARKERofwhatnobodymaysee"
"""What is searched for. No name of a key, an action or a workflow has it."""


class Card(BaseModel):
    """A value of a class."""

    number: str
    code: SecretStr


class Audit(Middleware, id="confidential.Audit"):
    """Middleware with a parameter, and with something to keep between its hooks."""

    topic: str

    def before_stage(self, ctx: Any) -> None:
        ctx.scratch["topic"] = self.topic

    def after_stage(self, ctx: Any, outcome: Any) -> None:
        # A fork from within a stage whose hooks have ended begins without what these had kept.
        assert ctx.scratch.get("topic", MARKER) == self.topic == MARKER


class Skipping(Middleware, id="confidential.Skipping"):
    """Says why it skips a stage."""

    why: str

    def before_stage(self, ctx: Any) -> None:
        ctx.skip(self.why)


@condition("confidential.asked")
def is_asked(ctx: ActionContext) -> bool:
    return ctx.store["first"] == MARKER


@condition("confidential.done")
def is_done(ctx: ActionContext) -> bool:
    return "polled" in ctx.store


@action("confidential.undo")
def undo(ctx: ActionContext, what: str) -> None:
    assert what == MARKER


@action("confidential.write")
def write(ctx: ActionContext, to: str, token: SecretStr, card: Card) -> str:
    """Writes every kind of value."""
    assert to == token.get_secret_value() == card.number == MARKER
    assert ctx.store["first"] == ctx.store["initial"] == MARKER
    ctx.store.put("tagged", [MARKER], tags=["listed"], properties={"from": MARKER})
    ctx.store["card"] = card
    ctx.store["token"] = token
    ctx.store["first"] = MARKER  # what is replaced is kept for forks
    ctx.store.append("log", MARKER)
    ctx.store.append("tagged", {"deep": MARKER})
    ctx.store.increment("count")
    ctx.checkpoint()
    ctx.progress(0.5, MARKER)
    ctx.send("found", {"what": MARKER})
    assert ctx.once("charge", lambda: MARKER) == MARKER
    ctx.add_action(tell.s(to=MARKER))
    return MARKER


@action("confidential.tell", retry={"max_attempts": 2, "delay": 0.01})
def tell(ctx: ActionContext, to: str) -> str:
    """Fails at first, for a reason with the marker."""
    assert ctx.store["log"] == [MARKER]
    assert ctx.store.metadata("tagged").properties == {"from": MARKER}
    if ctx.attempt == 1:
        raise ValueError(to)
    ctx.store.append("log", MARKER)
    return to


@action("confidential.each")
def each(ctx: ActionContext, what: str) -> str:
    return f"{ctx.item}{what}"


@action("confidential.poll")
def poll(ctx: ActionContext, what: str) -> str:
    ctx.store["polled"] = what
    return what


@action("confidential.ask")
def ask(ctx: ActionContext, what: str) -> str:
    assert ctx.wait_for("early", str) == what
    return what


@action("confidential.inner")
def inner(ctx: ActionContext) -> None:
    assert ctx.store["given"] == ctx.store["own"] == MARKER
    ctx.store["taken"] = MARKER
    ctx.send("inside", MARKER)


@action("confidential.bail")
def bail(ctx: ActionContext, why: str) -> None:
    ctx.bail(why)


@action("confidential.fail")
def fail(ctx: ActionContext, why: str) -> None:
    try:
        raise KeyError(why)
    except KeyError as error:
        raise RuntimeError(why) from error


def confidential(*, fails: bool = False, foreign: bool = False, pauses: bool = True) -> Workflow:
    """Return a workflow with the marker wherever there may be a value.

    Args:
        fails: whether its last action does.
        foreign: whether a Celery task is part of it.
        pauses: whether it waits for signals, ``early`` and ``approval``.
    """
    card = Card(number=MARKER, code=SecretStr(MARKER))
    child = Workflow("confidential-child")
    child.add_stage("inside").add(inner.s())
    written = write.s(to=MARKER, token=SecretStr(MARKER), card=card)
    workflow = Workflow("confidential", tags=["listed"])
    workflow.use(Audit(topic=MARKER))
    workflow.add_stage("write", initial={"initial": MARKER}).add(
        written.options(compensate=undo.s(what=MARKER), store_as="written")
    )
    stage = Stage("compose", parallel=True)
    stage.add(ForEach("tagged", each.s(what=MARKER), store_as="each"))
    asked = when("confidential.asked").then(poll.s(what=MARKER))
    stage.add(Branch(asked, otherwise(fail.s(why=MARKER))))
    stage.add(Repeat(poll.s(what=MARKER), until="confidential.done", max_times=3))
    workflow.add_stage(stage)
    workflow.add_stage("nest").add(
        RunWorkflow(child, give={"given": "first"}, store={"own": MARKER}, take=["taken"])
    )
    skipped = workflow.add_stage("skipped")
    skipped.use(Skipping(why=MARKER))
    skipped.add(fail.s(why=MARKER))
    if pauses:
        waits = workflow.add_stage("wait")
        waits.add(ask.s(what=MARKER), WaitForSignal("approval", Card, store_as="approval"))
        waits.add(Sleep(0.01))
    if foreign:
        task = CeleryTask("shop.tasks.mail", kwargs={"to": MARKER}, store_as="receipt", timeout=60)
        workflow.add_stage("foreign").add(task)
    if fails:
        workflow.add_stage("end").add(fail.s(why=MARKER))
    return workflow
