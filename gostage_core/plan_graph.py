"""The plan of a run as a tree to draw, with how each part of it stands."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.definition import default_name
from gostage_core.graph.node import Kind, Node
from gostage_core.status import ActionStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gostage_core.failure import Failure
    from gostage_core.result import ActionResult, RunResult, StageResult

    Owned = Mapping[str, Sequence[ActionResult]]
    """What each action owns, by its entry."""

_SIDE_BY_SIDE: Final = frozenset({"gostage.ForEach", "gostage.CanvasGroup"})
"""Actions that do what they own side by side, by registry id."""


def run_graph(result: RunResult, name: str) -> Node:
    """Return a run as a tree to draw.

    Args:
        result: how the run stands.
        name: what its workflow is called.
    """
    why = (result.bail_reason,) if result.bail_reason else ()
    return Node(
        id=result.run_id,
        label=name,
        kind=Kind.WORKFLOW,
        details=(result.run_id, *why),
        state=result.status.value,
        children=tuple(map(_stage, result.stages.values())),
    )


def _stage(stage: StageResult) -> Node:
    owned = defaultdict(list)
    for action in stage.actions:
        owned[action.parent].append(action)
    return Node(
        id=stage.entry,
        label=stage.name,
        kind=Kind.STAGE,
        details=("side by side",) if stage.parallel else (),
        state=stage.status.value,
        added_by=stage.added_by,
        parallel=stage.parallel,
        children=tuple(_action(action, owned) for action in owned[""]),
    )


def _action(action: ActionResult, owned: Owned) -> Node:
    return Node(
        id=action.entry,
        label=action.name,
        kind=Kind.ACTION,
        details=tuple(_details(action)),
        state=action.status.value,
        added_by=action.added_by,
        parallel=action.action in _SIDE_BY_SIDE,
        children=tuple(_groups(action, owned)),
    )


def _groups(action: ActionResult, owned: Owned) -> Iterator[Node]:
    """Yield what *action* owns: by item, by pass, or the case that was chosen."""
    inside = owned.get(action.entry, ())
    before = "/".join(filter(None, (action.within, action.name)))
    for label, members in groupby(inside, lambda one: one.within.removeprefix(before)):
        nodes = tuple(_action(member, owned) for member in members)
        if len(nodes) == 1:
            yield replace(nodes[0], label=f"{nodes[0].label} {label}".rstrip())
        else:
            yield Node(f"{action.entry}{label}", label, Kind.GROUP, children=nodes)


def _details(action: ActionResult) -> Iterator[str]:
    if action.name != default_name(action.action):
        yield action.action
    if action.attempt > 1:
        yield f"attempt {action.attempt}"
    if action.status is ActionStatus.RUNNING and action.progress is not None:
        yield f"{action.progress:.0%} {action.message}".rstrip()
    if action.child_run_id:
        yield f"run {action.child_run_id}"
    if action.error is not None and action.status is not ActionStatus.COMPLETED:
        yield _told(action.error)
    if action.handled_by:
        yield f"handled by {action.handled_by}"


def _told(error: Failure) -> str:
    first, _, _ = error.message.strip().partition("\n")
    return f"{error.type}: {first}" if first else error.type
