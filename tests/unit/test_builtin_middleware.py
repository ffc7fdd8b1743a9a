"""The middleware that comes with gostage, hook by hook."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gostage_core import (
    ActionContext,
    Failure,
    InvalidActionError,
    InvalidKeyError,
    Key,
    Logging,
    Middleware,
    Notification,
    NotStorableError,
    ScopeOutcome,
    Stage,
    StageFilter,
    StoreInjection,
    StoreTypeError,
    TimeLimit,
    Timing,
    Workflow,
    condition,
)
from gostage_core.authoring.middleware import middlewares, use_of
from gostage_core.onion import wrapped
from gostage_core.testing import context, hook_context

BOOM = Failure("ValueError", "boom", path="ship/pack")
TOTAL = Key("total", Decimal)


def through_json(middleware: Middleware) -> Middleware:
    """The middleware as a worker builds it."""
    use = use_of(middleware)
    return middlewares.build(use.use, use.params)


@pytest.mark.parametrize(
    "middleware",
    [
        Logging(level="DEBUG"),
        Timing(key="spent"),
        StoreInjection({"a": 1, TOTAL: Decimal("9.99"), "when": timedelta(hours=1), "n": None}),
        TimeLimit("5m", key="until"),
        StageFilter(ids=("a",), any_tags=["x"], name_contains="n"),
        Notification(stage_started=None, run_ended="done"),
    ],
)
def test_each_reaches_the_worker_as_it_was_written(middleware: Middleware) -> None:
    assert through_json(middleware) == middleware
    made = Workflow("w").use(middleware)
    made.add_stage(Stage("s")).use(middleware)
    assert Workflow.from_json(made.to_json()) == made


def levels(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(r.levelname, r.getMessage().split(" after ")[0]) for r in caplog.records]


def test_logging_logs_beginnings_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "gostage.action")
    ctx = context(stage="ship", action="pack", run_id="r1")
    view = hook_context(ctx)
    logging = Logging(level="DEBUG")
    logging.before_run(view)
    logging.before_stage(view)
    assert wrapped([logging], ctx, lambda: 7) == 7
    logging.after_stage(view, ScopeOutcome("skipped"))
    logging.after_run(view, ScopeOutcome("completed"))
    assert levels(caplog) == [
        ("DEBUG", "run r1 begins"),
        ("DEBUG", "stage ship begins"),
        ("DEBUG", "action pack begins, attempt 1"),
        ("DEBUG", "action pack completed"),
        ("DEBUG", "stage ship skipped"),
        ("DEBUG", "run r1 completed"),
    ]


def test_logging_logs_failures_louder(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("boom")

    ctx = context(stage="ship", action="pack")
    with pytest.raises(ValueError, match="boom"):
        wrapped([Logging()], ctx, fail)
    Logging().after_stage(hook_context(ctx, hook="after_stage"), ScopeOutcome("failed", BOOM))
    assert levels(caplog)[-2:] == [
        ("WARNING", "action pack failed"),
        ("ERROR", "stage ship failed"),
    ]
    assert caplog.records[-1].getMessage().endswith("s: ship/pack: ValueError: boom")


def test_timing_writes_how_long_action_stage_and_run_took() -> None:
    ctx = context(stage="ship", action="pack")
    view = hook_context(ctx, scratch={"began": time.time() - 5})
    assert wrapped([Timing()], ctx, lambda: 7) == 7
    Timing().after_stage(view, ScopeOutcome("failed", BOOM))
    Timing(key="spent").after_run(view, ScopeOutcome("completed"))
    assert 0 <= ctx.store.get("timing.ship/pack", float) < 5
    assert ctx.store.get("timing.ship", float) >= 5
    assert ctx.store.get("spent", float) >= 5


def test_timing_tells_the_items_of_a_loop_apart_and_keeps_long_names_short() -> None:
    ctx = context(stage="s" * 200, action="pack", index=3)
    wrapped([Timing()], ctx, lambda: None)
    assert list(map(len, ctx.store.keys())) == [200]
    ctx = context(stage="ship", action="pack", index=3)
    wrapped([Timing()], ctx, lambda: None)
    assert list(ctx.store.keys()) == ["timing.ship/pack[3]"]


def test_timing_writes_nothing_of_an_attempt_that_fails() -> None:
    ctx = context(stage="ship", action="pack")
    with pytest.raises(ZeroDivisionError):
        wrapped([Timing()], ctx, lambda: 1 / 0)
    assert list(ctx.store.keys()) == []


def test_store_injection_puts_values_of_any_type() -> None:
    ctx = context({"a": "old"})
    through_json(StoreInjection({"a": 1, TOTAL: Decimal("9.99")})).before_run(
        hook_context(ctx, hook="before_run")
    )
    assert ctx.store["a"] == 1
    assert ctx.store[TOTAL] == Decimal("9.99")


def test_store_injection_on_a_workflow_leaves_its_stages_alone() -> None:
    ctx = context()
    StoreInjection({"a": 1}).before_stage(hook_context(ctx, level="workflow"))
    assert "a" not in ctx.store
    StoreInjection({"a": 1}).before_stage(hook_context(ctx, level="stage"))
    assert "a" in ctx.store


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"": 1}, InvalidKeyError),
        ({"a": object()}, NotStorableError),
        ({TOTAL: "much"}, StoreTypeError),
    ],
)
def test_store_injection_refuses_what_no_store_takes(values: Any, error: Any) -> None:
    with pytest.raises(error):
        StoreInjection(values)


def test_a_time_limit_leaves_what_is_left_of_run_and_stage() -> None:
    ctx = context(stage="ship")
    limit = TimeLimit(100)
    assert limit.attempt_limit(ctx) is None
    limit.before_run(hook_context(ctx, hook="before_run", level="workflow"))
    of_run = limit.attempt_limit(ctx)
    assert of_run is not None
    assert 90 < of_run <= 100
    TimeLimit(10).before_stage(hook_context(ctx))
    of_stage = limit.attempt_limit(ctx)
    assert of_stage is not None
    assert 5 < of_stage <= 10


def test_a_time_limit_on_a_workflow_does_not_count_for_each_stage() -> None:
    ctx = context(stage="ship")
    TimeLimit(10).before_stage(hook_context(ctx, level="workflow"))
    assert TimeLimit(10).attempt_limit(ctx) is None


def test_a_time_limit_takes_its_keys_away_again() -> None:
    ctx = context(stage="ship")
    limit = TimeLimit("10s")
    limit.before_run(hook_context(ctx, hook="before_run"))
    limit.before_stage(hook_context(ctx))
    assert sorted(ctx.store.keys()) == ["time.limit", "time.limit.ship"]
    limit.after_stage(hook_context(ctx, hook="after_stage"), ScopeOutcome("failed", BOOM))
    limit.after_run(hook_context(ctx, hook="after_run"), ScopeOutcome("failed", BOOM))
    assert list(ctx.store.keys()) == []


def test_a_time_limit_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidActionError, match=r"^TimeLimit\.seconds: "):
        TimeLimit(0)


@pytest.mark.parametrize(
    ("criteria", "reason"),
    [
        ({}, None),
        ({"ids": ["ship", "pack"]}, None),
        ({"ids": ["pack"]}, "StageFilter: ids=['pack']"),
        ({"tags": ["x"]}, "StageFilter: tags=['x']"),
        ({"any_tags": ["x"]}, "StageFilter: any_tags=['x']"),
        ({"name_contains": "hi"}, None),
        ({"name_contains": "x"}, "StageFilter: name_contains='x'"),
    ],
)
def test_a_stage_filter_skips_what_does_not_answer(criteria: Any, reason: str | None) -> None:
    view = hook_context(context(stage="ship"))
    StageFilter(**criteria).before_stage(view)
    assert view.skip_reason == reason


@pytest.mark.usefixtures("fresh_registry")
def test_a_stage_filter_may_ask_a_condition() -> None:
    @condition("over")
    def over(ctx: ActionContext, least: int) -> bool:
        return ctx.store.get("total", int) > least

    for least, reason in [(5, None), (50, "StageFilter: condition='over'")]:
        view = hook_context(context({"total": 7}, stage="ship"))
        asking: Any = through_json(StageFilter(condition="over", params={"least": least}))
        asking.before_stage(view)
        assert view.skip_reason == reason
    with pytest.raises(InvalidActionError, match="least"):
        StageFilter(condition="over", params={"least": "few"})


def test_a_stage_filter_refuses_a_condition_that_nobody_registered() -> None:
    with pytest.raises(InvalidActionError, match="no condition is registered under 'nowhere'"):
        StageFilter(condition="nowhere")


def test_notification_sends_what_began_and_how_it_ended() -> None:
    ctx = context(stage="ship")
    view = hook_context(ctx)
    telling = Notification(run_started="began", stage_started=None)
    telling.before_run(view)
    telling.before_stage(view)
    telling.after_stage(view, ScopeOutcome("failed", BOOM))
    telling.after_run(view, ScopeOutcome("completed"))
    for _, payload in ctx.sent:
        payload.pop("seconds", None)
    assert ctx.sent == [
        ("began", {}),
        ("stage.ended", {"stage": "ship", "status": "failed", "error": str(BOOM)}),
        ("run.ended", {"status": "completed", "error": None}),
    ]


def test_notification_refuses_what_is_no_type_of_messages() -> None:
    with pytest.raises(InvalidActionError, match=r"^Notification\.run_ended: not a name"):
        Notification(run_ended="")
