"""A plan that has not begun, as a tree, from definitions alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from gostage_core.order import place
from gostage_core.planning.tree import ActionNode, StageNode, Tree
from gostage_core.status import ActionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gostage_core.authoring.definition import StageDefinition


def planned_tree(stages: Iterable[StageDefinition], first: int = 1) -> Tree:
    """Return the plan of a run of these stages before its first action, with ids from *first*."""
    ids = map(str, count(first))
    return Tree(tuple(_stage(stage, ids) for stage in stages))


def running(tree: Tree, stage_id: str, entry: str = "1") -> Tree:
    """Return *tree* with a stage running, and in it its first action, which is called *entry*."""
    return Tree(
        tuple(_running(stage, entry) if stage.id == stage_id else stage for stage in tree.stages)
    )


def _running(stage: StageNode, entry: str) -> StageNode:
    first, *rest = stage.actions
    begun = replace(
        first,
        entry=entry,
        status=ActionStatus.RUNNING,
        is_open=False,
        record=("x", "1", *first.record[2:]),
    )
    return replace(
        stage,
        status=ActionStatus.RUNNING,
        record=("x", *stage.record[1:]),
        actions=(begun, *rest),
    )


def _stage(stage: StageDefinition, ids: Iterator[str]) -> StageNode:
    entry = next(ids)
    head = stage.model_dump(mode="json", exclude={"actions", "initial"}, exclude_defaults=True)
    return StageNode(
        entry=entry,
        spec={**head, "id": stage.id},
        status=ActionStatus.PENDING,
        parallel=stage.parallel,
        by="0",
        order="",
        actions=tuple(_actions(stage, entry, ids)),
    )


def _actions(stage: StageDefinition, scope: str, ids: Iterator[str]) -> Iterator[ActionNode]:
    for number, action in enumerate(stage.actions, start=1):
        spec = action.model_dump(mode="json", exclude_defaults=True)
        spec |= {"name": action.name, "stage": stage.id, "order": place(number)}
        if number == len(stage.actions):
            spec["last"] = 1
        yield ActionNode(next(ids), spec, ActionStatus.PENDING, scope)
