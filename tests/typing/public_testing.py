"""What type checkers know of the test kit; checked by mypy, never run."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

from gostage_core import ActionContext, Run, Runner, RunResult, Workflow
from gostage_core.testing import Crashes, MemoryEngine, PublishedTask, Scenario, crashes


def in_an_action(ctx: ActionContext) -> None:
    """A body is told the time."""
    assert_type(ctx.now, datetime)


def in_a_test(workflow: Workflow) -> None:
    """An engine is used as a runner is, and gives what one gives."""
    with MemoryEngine(resources={"bank": object()}, tasks={"shop.add": max}, seed=7) as engine:
        assert_type(engine.execute(workflow, store={"n": 1}, timeout="2h"), RunResult)
        assert_type(engine.submit(workflow, key="event-42"), Run)
        assert_type(engine.runner, Runner)
        assert_type(engine.clock.now, datetime)
        assert_type(engine.published, list[PublishedTask])
        engine.advance("2d")
        engine.clock.advance(3)
        engine.advance(None)  # type: ignore[arg-type]


def in_a_test_of_crashes(workflow: Workflow) -> None:
    """Scenarios are a sequence, and each has the engine that it was run in."""

    def outside(engine: MemoryEngine, run: Run) -> None:
        engine.settle()
        run.signal("go")

    every = crashes(workflow, script=outside, engine=lambda: MemoryEngine(seed=3), tags=["x"])
    assert_type(every, Crashes)
    assert_type(every[::2], Crashes)
    assert_type(every[0], Scenario)
    for scenario in every:
        assert_type(scenario.run(), RunResult)
        assert_type(scenario.engine, MemoryEngine)
    crashes(workflow, only=3.5)  # type: ignore[arg-type]
