"""Actions that do what a test says, by their name, and the check that a plan is its own history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core import Action, ActionContext, Stage, Workflow
from gostage_core.planning.tree import read_tree
from gostage_core.source import RedisSource
from gostage_core.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.run import Run
    from gostage_core.state.operations import State

Script = dict[str, "Callable[[ActionContext], object]"]

script: Script = {}
"""What the action of a name does; every other one does nothing."""


class Do(Action):
    """Appends its name to the list `order`, then does what the script says."""

    n: int = 0

    def execute(self, ctx: ActionContext) -> None:
        ctx.store.append("order", ctx.action.name)
        todo = script.get(ctx.action.name)
        if todo is not None:
            todo(ctx)


class Upload(Do):
    """Carries parcels to the Harbour."""


def do(*names: str, tags: Sequence[str] = ()) -> list[Action]:
    return [Do().options(name=name, tags=tags) for name in names]


def workflow(**stages: Sequence[Action] | str) -> Workflow:
    """Return a workflow of these stages; a text is the names of its actions."""
    made = Workflow("w")
    for id, actions in stages.items():
        made.add_stage(Stage(id, do(*actions.split()) if isinstance(actions, str) else actions))
    return made


def statuses(run: Run) -> dict[str, str]:
    """Return the status of every action by its path, and of every stage by its id."""
    plan = run.plan
    told = {stage.id: stage.status.value for stage in plan.stages.values()}
    return told | {action.path: action.status.value for action in plan.actions}


def check_history(state: State, run: Run) -> None:
    """Check that what the journal tells of the plan is the plan that is kept."""
    _, fields = RedisSource(state, run.run_id).plan()
    kept = read_tree(fields, RunStatus.RUNNING)
    plan = run.plan
    assert [revision.number for revision in plan.revisions] == list(range(1, plan.revision + 1))
    told = plan.at(plan.revision)
    assert [stage.entry for stage in told.stages] == [stage.entry for stage in kept.stages]
    assert [action.entry for action in told.actions] == [
        action.entry for stage in kept.stages for action in stage.actions
    ]
    nodes = {action.entry: action for stage in kept.stages for action in stage.actions}
    for action in told.actions:
        node = nodes[action.entry]
        assert action.path == node.path
        assert action.definition["params" if "params" in node.spec else "name"] == (
            node.spec["params"] if "params" in node.spec else node.spec["name"]
        )
        assert action.removed == (node.state == "m"), (action, node)
        assert action.enabled or action.removed or node.state in ("d", "s"), (action, node)
        assert not action.enabled or node.state != "d", (action, node)
    for outlined, stage in zip(told.stages, kept.stages, strict=True):
        assert outlined.removed == (stage.state == "m")
        assert outlined.enabled or outlined.removed or stage.state in ("d", "s")
        assert not outlined.enabled or stage.state != "d"
