"""Runs as text that is submitted later: what was checked once comes back the same."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from gostage_core import (
    Action,
    ActionContext,
    ForEach,
    InvalidKeyError,
    InvalidWorkflowError,
    Limits,
    Middleware,
    PreparedRunError,
    Retry,
    Runner,
    RunWorkflow,
    Settings,
    Stage,
    StoreTypeError,
    UnknownActionError,
    ValueTooLargeError,
    Workflow,
    action,
)
from gostage_core.authoring.registry import registry
from gostage_core.plan import NewRun
from gostage_core.prepared import prepared, read_prepared
from gostage_core.sealing.vault import Vault
from gostage_core.store import encoded_value
from gostage_core.values.key import Key
from tests.support.strategies import values

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2024, 5, 17, 12, tzinfo=UTC)
VAULT = Vault("gostage")
BOUNDS = Settings(retention=7).bounds


class Charge(Action, id="prepared.charge", tags=["billing"], retry=Retry(5), timeout=30):
    """Charges a card."""

    amount: Decimal

    def execute(self, ctx: ActionContext) -> None: ...


@action("prepared.tell")
def tell(ctx: ActionContext, to: str) -> None:
    """Tell somebody."""


class Audited(Middleware, id="prepared.Audited"):
    """Has hooks of every kind."""

    level: int = 1

    def before_run(self, ctx: Any) -> None: ...

    def after_stage(self, ctx: Any, outcome: Any) -> None: ...

    def around_action(self, ctx: Any, call_next: Any) -> Any: ...


def workflow() -> Workflow:
    """Return one that has a bit of everything."""
    made = Workflow(
        "order", name="Bestellung für Ana 🎁", tags=["prod"], limits=Limits(max_depth=3)
    )
    made.use(Audited(level=2))
    made.add_stage("pay", initial={"api": Decimal("1.5"), "odd": {"\ud800": 1}}).add(
        Charge(amount=Decimal("9.99")).options(retry=None, name="once"), Charge(amount=Decimal(3))
    )
    inner = Workflow("inner")
    inner.add_stage(Stage("in", [tell.s(to="x")]))
    nested = [ForEach("items", tell.s(to="ana")), RunWorkflow(inner, store={"n": 10**700})]
    made.add_stage(Stage("tell", nested, parallel=True, max_parallel=2, on_failure="wait_all"))
    return made


@pytest.fixture
def runner() -> Iterator[Runner]:
    # Nobody listens there: whatever is prepared here asks no server.
    runner = Runner(settings=Settings(redis_url="redis://127.0.0.1:1/0"), middleware=[Audited()])
    yield runner
    runner.close()


def new_run(**options: Any) -> NewRun:
    definition = workflow().definition()
    details = json.dumps({"actor": "producer", "workflow": "order"})
    return NewRun("run-1", "0f" * 16, definition, details, BOUNDS, **options)


def read(text: str, now: datetime = NOW) -> NewRun:
    return read_prepared(text, BOUNDS, VAULT, now)


def changed(text: str, **fields: Any) -> str:
    return json.dumps({**json.loads(text), **fields})


def test_every_field_of_a_run_comes_back_as_it_was() -> None:
    new = new_run(
        key="Ereignis 42 ✓",
        on_conflict="replace",
        concurrency_key="Mieter 7",
        deadline_ms=90_500,
        reply_to="answers",
        trace="00-11111111111111111111111111111111-2222222222222222-01 vendor=value",
        tags=("a", "ü"),
        values=dict([encoded_value("total", Decimal("9.90"), 100)]),
    )
    found = read(prepared(new, VAULT, NOW).text)
    untold = {field.name for field in fields(NewRun) if not getattr(new, field.name)}
    assert untold == {"parent"}, "a run that a run has begun is not prepared; all else is compared"
    for field in fields(NewRun):
        assert getattr(found, field.name) == getattr(new, field.name), field.name
    assert found.arguments() == new.arguments()


def test_what_is_left_out_stays_left_out() -> None:
    new = new_run()
    assert read(prepared(new, VAULT, NOW).text) == new
    assert json.loads(prepared(new, VAULT, NOW).text).keys() == {
        "format",
        "run_id",
        "nonce",
        "definition",
    }


@given(values())
def test_every_value_of_the_store_comes_back_byte_for_byte(value: Any) -> None:
    kept = dict([encoded_value("value", value, 10**9)])
    assert read(prepared(new_run(values=kept), VAULT, NOW).text).values == kept


def test_a_process_that_knows_no_action_of_the_run_reads_it_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = new_run()
    expected = new.arguments()
    text = prepared(new, VAULT, NOW).text
    monkeypatch.setattr(registry, "_things", {})
    with pytest.raises(UnknownActionError):
        Workflow.from_dict(json.loads(text)["definition"])
    assert read(text).arguments() == expected


def test_the_text_is_ascii_whatever_it_says(runner: Runner) -> None:
    run = runner.prepare(workflow(), store={"name": "Zoë \0 🎁"}, tags=["größe"])
    assert run.text.isascii()
    assert run.text.isprintable()
    assert json.loads(run.text)["run_id"] == run.run_id


def test_a_deadline_counts_from_when_the_run_was_prepared() -> None:
    text = prepared(new_run(deadline_ms=60_000), VAULT, NOW).text
    assert read(text, NOW + timedelta(seconds=59)).deadline_ms == 1_000
    late = read(text, NOW + timedelta(hours=1))
    assert late.deadline_ms == 1, "no deadline at all would be written as 0"


def test_the_middleware_of_the_runner_that_prepares_is_around_it(runner: Runner) -> None:
    uses = read(runner.prepare(workflow()).text).definition.middleware
    assert [use.params for use in uses] == [{"level": 1}, {"level": 2}]


def test_each_run_that_is_prepared_is_another_one(runner: Runner) -> None:
    runs = [runner.prepare(workflow()) for _ in range(2)]
    assert len({run.run_id for run in runs}) == 2
    assert len({json.loads(run.text)["nonce"] for run in runs}) == 2


def test_what_no_submit_takes_is_not_prepared(runner: Runner) -> None:
    empty = Workflow("empty")
    with pytest.raises(InvalidWorkflowError, match="no stages"):
        runner.prepare(empty)
    with pytest.raises(StoreTypeError):
        runner.prepare(workflow(), store={Key("n", int): "one"})
    with pytest.raises(InvalidKeyError):
        runner.prepare(workflow(), key="")
    small = Runner(settings=Settings(max_plan_bytes=1_024))
    with pytest.raises(ValueTooLargeError, match="GOSTAGE_MAX_PLAN_BYTES"):
        small.prepare(workflow())
    small.close()


def test_a_text_that_is_no_prepared_run_can_never_be_submitted(runner: Runner) -> None:
    text = runner.prepare(workflow(), store={"a": 1}).text
    for wrong, about in [
        ("", "JSON"),
        ("[]", "the whole: "),
        ("{}", "run_id: field required"),
        (changed(text, format=2), "format: "),
        (changed(text, run_id="no spaces"), "run_id: "),
        (changed(text, nonce=""), "nonce: "),
        (changed(text, priority=1), "priority: unexpected field"),
        (changed(text, store={"__mine": 1}), "store.__mine: "),
        (changed(text, tags=[""]), "tags[0]: "),
        (changed(text, deadline="soon"), "deadline: "),
        (changed(text, definition={"id": "x"}), "definition.stages: field required"),
    ]:
        with pytest.raises(PreparedRunError) as caught:
            runner.submit_prepared(wrong)
        assert about in str(caught.value), wrong
        assert isinstance(caught.value.__cause__, InvalidWorkflowError)


def test_a_runner_that_allows_less_than_the_one_that_prepared_says_so(runner: Runner) -> None:
    text = runner.prepare(workflow()).text
    small = Runner(settings=Settings(max_plan_bytes=1_024))
    with pytest.raises(PreparedRunError, match="GOSTAGE_MAX_PLAN_BYTES"):
        small.submit_prepared(text)
    small.close()
