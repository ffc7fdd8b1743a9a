"""What type checkers know of plans and their changes; checked by mypy, never run."""

from __future__ import annotations

from typing import assert_type

from gostage_core import (
    Action,
    ActionContext,
    ActionSelection,
    EditOutcome,
    PlanDiff,
    PlannedAction,
    PlanOutline,
    Revision,
    Run,
    Runner,
    Stage,
    StageView,
)


def in_an_action(ctx: ActionContext, check: Action) -> None:
    """Selections narrow to selections, and a change says how many it changed."""
    assert_type(ctx.actions["upload"].disable(), int)
    assert_type(ctx.actions.filter(tag="x", where=lambda one: one.attempt > 1), ActionSelection)
    assert_type(list(ctx.actions), list[PlannedAction])
    assert_type(ctx.stages["ship"], StageView)
    ctx.stages["ship"].add(check, after="reserve").add(check)
    ctx.actions["upload"].options(timeout="5m", retries=1)  # type: ignore[call-arg]


def by_an_operator(run: Run, runner: Runner, check: Action) -> None:
    """An edit is a block; its history is values."""
    with run.edit(reason="why", actor="ana") as plan:
        plan.add_stage(Stage("audit", [check]), after="ship")
        plan.actions["sms"].set(to="ana")
        assert_type(plan.changes, PlanDiff)
    assert_type(run.plan.revisions, tuple[Revision, ...])
    assert_type(run.plan.at(1), PlanOutline)
    edits = runner.edit(workflow="order", reason="why")
    assert_type(edits.apply(lambda plan: plan.stages["ship"].disable()), list[EditOutcome])
