"""Makes workflows of stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core import (
    Action,
    Branch,
    ForEach,
    Repeat,
    Retry,
    RunWorkflow,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    otherwise,
    when,
)
from tests.simulation.bodies import Act, Undo, Watch, holds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.simulation.stories import Deed, Part, Story

THROTTLES = {
    "one": Throttle("one", concurrency=1),
    "two": Throttle("two", concurrency=2),
    "slow": Throttle("slow", rate=2, per=3),
    "runs": Throttle("runs", concurrency=2),
}
_ITEMS = {f"items.{count}": list(range(count)) for count in range(4)}
STORE = {"count": 0, **_ITEMS}
"""What each run's store begins with."""


def workflow_of(story: Story) -> Workflow:
    """Return the workflow of a story."""
    workflow = Workflow("told", throttle=THROTTLES.get(story.throttle))
    if story.before or story.after:
        workflow.use(Watch(before=story.before, after=story.after))
    return _with_parts(workflow, story.parts)


def stages_of(parts: Iterable[Part]) -> list[Stage]:
    """Return the stages of a story."""
    return [_stage(part) for part in parts]


def actions_of(deeds: Iterable[Deed]) -> list[Action]:
    """Return the actions of deeds."""
    return [_action(deed) for deed in deeds]


def _with_parts(workflow: Workflow, parts: Sequence[Part]) -> Workflow:
    for stage in stages_of(parts):
        workflow.add_stage(stage)
    return workflow


def _stage(part: Part) -> Stage:
    stage = Stage(
        part.id,
        actions_of(part.deeds),
        parallel=part.parallel,
        max_parallel=part.limit,
        join=part.join,
        on_failure="wait_all" if part.wait_all else "fail_fast",
    )
    return stage.use(Watch(before=part.before, after=part.after)) if _has_hooks(part) else stage


def _has_hooks(part: Part) -> bool:
    return bool(part.before or part.after)


def _action(deed: Deed) -> Action:
    if deed.kind == "act":
        return _act(deed)
    options = {"name": deed.name, "on_error": "continue" if deed.goes_on else "fail"}
    return _composite(deed).options(**options)  # type: ignore[arg-type]


def _act(deed: Deed) -> Action:
    undo = Undo(name=deed.name, fails=deed.undo == "fails") if deed.undo else None
    return Act(deed=deed).options(
        name=deed.name,
        on_error="continue" if deed.goes_on else "fail",
        retry=Retry(deed.tries, delay=0.5, factor=3) if deed.tries > 1 else None,
        timeout=deed.timeout,
        throttle=THROTTLES.get(deed.throttle),
        compensate=undo,
        queue=deed.queue,
        priority=deed.priority,
    )


def _composite(deed: Deed) -> Action:
    match deed.kind:
        case "each":
            return ForEach(
                f"items.{deed.times}",
                *actions_of(deed.inner),
                max_parallel=deed.limit,
                join=deed.join,
                on_failure="wait_all" if deed.wait_all else "fail_fast",
            )
        case "branch":
            case = when(holds, does=bool(deed.times)).then(*actions_of(deed.inner[:1]))
            return Branch(case, otherwise(*actions_of(deed.inner[1:])))
        case "repeat":
            return Repeat(*actions_of(deed.inner), max_times=deed.times)
        case "run":
            workflow = _with_parts(Workflow("below"), deed.parts)
            return RunWorkflow(workflow, store=STORE, take={f"below.{deed.name}": "count"})
        case "sleep":
            return Sleep(deed.seconds)
    default = {} if deed.timeout is None or deed.goes_on else {"default": "none came"}
    return WaitForSignal(deed.waits[0], str, timeout=deed.timeout, **default)
