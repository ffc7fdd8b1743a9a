"""What type checkers know of running workflows; checked by mypy, never run."""

from __future__ import annotations

from typing import assert_type

from gostage_core import (
    ActionContext,
    Key,
    PreparedRun,
    Run,
    Runner,
    RunResult,
    RunStatus,
    Workflow,
)

COUNT = Key("count", int)


def in_an_action(ctx: ActionContext) -> None:
    """Reads of the store have the type that is asked for."""
    assert_type(ctx.store[COUNT], int)
    assert_type(ctx.store.get("name", str), str)
    assert_type(ctx.store.get("name", str, default=None), str | None)
    assert_type(ctx.attempt, int)


def in_a_producer(runner: Runner, workflow: Workflow) -> None:
    """Handles and results are typed."""
    run = runner.submit(workflow)
    assert_type(run, Run)
    result = run.wait(timeout=1)
    assert_type(result, RunResult)
    assert_type(result.status, RunStatus)
    assert_type(result.store[COUNT], int)


def in_an_outbox(runner: Runner, workflow: Workflow) -> None:
    """What is written down is text."""
    prepared = runner.prepare(workflow, store={COUNT: 1}, deadline="5m", tags=["late"])
    assert_type(prepared, PreparedRun)
    assert_type(prepared.text, str)
    assert_type(runner.submit_prepared(prepared.text), Run)
