"""What type checkers know of waiting, control and flow; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import assert_type

from pydantic import BaseModel

from gostage_core import (
    ActionContext,
    Run,
    Runner,
    RunResult,
    RunStatus,
    Sleep,
    Throttle,
    WaitForSignal,
    Workflow,
)


class Approval(BaseModel):
    """What an approval says."""

    by: str


async def charge() -> int:
    """Charge somewhere else."""
    return 1


def in_an_action(ctx: ActionContext) -> None:
    """What a signal brings has the type that is waited for; what is done once keeps its own."""
    assert_type(ctx.wait_for("approval", Approval, timeout="2d"), Approval)
    assert_type(ctx.wait_for("count", int), int)
    assert_type(ctx.once("charge", lambda: 7), int)
    assert_type(ctx.once("later", charge), Awaitable[int])
    assert_type(ctx.idempotency_key, str)
    assert_type(ctx.cancelled, bool)
    assert_type(ctx.now, datetime)


def in_a_workflow() -> None:
    """Waits and throttles stand beside actions."""
    workflow = Workflow("w", throttle=Throttle(concurrency=2))
    workflow.add_stage("s").add(
        Sleep(hours=1),
        WaitForSignal("approval", Approval, timeout="2d", store_as="approval"),
    )


def by_an_operator(run: Run, runner: Runner) -> None:
    """What is asked of a run, and of many."""
    run.pause("a while")
    run.resume()
    run.cancel("not wanted", grace="10s")
    run.signal("approval", Approval(by="ana"), id="1")
    run.retry(store={"rate": 4}, skip=["notify"], deadline="1h")
    assert_type(run.fork("charge", store={"rate": 5}), Run)
    assert_type(run.status, RunStatus)
    assert_type(str(run.why()), str)
    assert_type(len(runner.retry(workflow="order", status="failed")), int)
    assert_type(run.result(), RunResult)
    assert_type(run.result().compensated, bool | None)


def at_certain_times(runner: Runner, workflow: Workflow) -> None:
    """A schedule submits runs."""
    schedule = runner.schedules.add("nightly", workflow, cron="0 3 * * *", timezone="Europe/Oslo")
    assert_type(schedule.trigger(), Run)
    assert_type(schedule.next_times(3), list[datetime])
    assert_type(runner.throttles["bank"].waiting, int)
