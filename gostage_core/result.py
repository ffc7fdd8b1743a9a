"""How a run stands or ended: its stages and actions, its store, its error, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gostage_core.damage import readable
from gostage_core.errors import PlanError
from gostage_core.moments import Timed, moment
from gostage_core.planning.tree import path_of, read_tree
from gostage_core.status import ActionStatus
from gostage_core.summary import failure_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gostage_core.failure import Failure
    from gostage_core.ledger import Ledger, Revision
    from gostage_core.planning.outline import PlanDiff, PlanOutline
    from gostage_core.planning.tree import ActionNode, StageNode
    from gostage_core.status import RunStatus
    from gostage_core.store import StoreReader


@dataclass(frozen=True, slots=True)
class ActionResult(Timed):
    """One action of a plan, and how it went; ``duration`` counts from its first claim."""

    entry: str
    """Its id in the plan."""
    name: str
    action: str
    """The registry id."""
    stage: str
    status: ActionStatus
    attempt: int = 0
    began_at: datetime | None = None
    ended_at: datetime | None = None
    worker: str = ""
    error: Failure | None = None
    """Of the last attempt that failed, whatever became of the next."""
    progress: float | None = None
    message: str = ""
    tags: tuple[str, ...] = ()
    added_by: str = ""
    """``stage/action`` that added it at run time, or ``operator:name``."""
    within: str = ""
    """What it is nested in, between its stage and its name: ``pack-all[3]``."""
    parent: str = ""
    """The entry of the action that it is nested in; empty in a stage."""
    depth: int = 0
    """How many actions it is nested in."""
    phase: int = 0
    """How often it has waited for something."""
    child_run_id: str = ""
    """The run that it waits or waited for."""
    handled_by: str = ""
    """Who kept its failure from failing what is around it."""
    undoes: str = ""
    """The path of the action that it undoes, in the stage that compensates a run."""
    deadline: datetime | None = None
    """When it must be done, in all of its tries; known once its turn has come."""

    @property
    def path(self) -> str:
        """``stage/name``; with what it is nested in between: ``ship/pack-all[3]/wrap``."""
        return "/".join(filter(None, (self.stage, self.within, self.name)))


@dataclass(frozen=True, slots=True)
class StageResult(Timed):
    """One stage of a plan, with its actions in plan order.

    What an action owns, as ``ForEach`` does, comes right after it, depth first.
    """

    id: str
    name: str
    status: ActionStatus
    actions: tuple[ActionResult, ...]
    parallel: bool = False
    began_at: datetime | None = None
    ended_at: datetime | None = None
    added: bool = False
    """Whether it was added at run time."""
    entry: str = ""
    """Its id in the plan, by which the journal names it."""
    error: Failure | None = None
    """What it failed with."""
    added_by: str = ""
    """``stage/action`` that added it at run time, or ``operator:name``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run as it is now, and by what it came to be so."""

    revision: int
    stages: Mapping[str, StageResult]
    hooks: tuple[ActionResult, ...] = ()
    """What the middleware of the run and of its stages did before and after them."""
    ledger: Ledger | None = field(default=None, repr=False, compare=False)
    """Reads the history of the plan."""

    @property
    def actions(self) -> tuple[ActionResult, ...]:
        """Every action, in plan order."""
        return tuple(action for stage in self.stages.values() for action in stage.actions)

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """Every revision of the plan, the first one first: when, by whom, why, what.

        Reads the run's journal, like :meth:`at` and :meth:`diff`.

        Raises:
            HistoryLostError: the journal does not go back to the beginning of the run.
        """
        return self._ledger().revisions

    def at(self, revision: int) -> PlanOutline:
        """Return what the plan was as of *revision*: its stages and actions, and which would run.

        Raises:
            PlanError: the run has no such revision.
            HistoryLostError: as for :attr:`revisions`.
        """
        return self._ledger().at(revision)

    def diff(self, first: int, second: int) -> PlanDiff:
        """Return what changed from revision *first* to *second*; ``str()`` is for people.

        Raises:
            PlanError: the run has no such revision.
            HistoryLostError: as for :attr:`revisions`.
        """
        return self._ledger().diff(first, second)

    def _ledger(self) -> Ledger:
        if self.ledger is None:
            raise PlanError("this plan was not read from a run; it has no history")
        return self.ledger


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run stood when it was looked at; final when the status is terminal."""

    run_id: str
    status: RunStatus
    plan: Plan
    store: StoreReader = field(repr=False)
    error: Failure | None = None
    """What ended a failed run; ``str()`` names the action, the exception's type and its message."""
    bail_reason: str | None = None
    duration: float | None = None
    """Seconds from the first claim to the end."""
    compensated: bool | None = None
    """Whether what a failed or cancelled run had done is undone; ``None`` for nothing to undo."""

    @property
    def uncompensated(self) -> tuple[str, ...]:
        """Paths of the actions that are left to be undone, in the order in which they would be."""
        return tuple(
            action.undoes
            for action in self.actions
            if action.undoes and action.status is not ActionStatus.COMPLETED
        )

    @property
    def stages(self) -> Mapping[str, StageResult]:
        """The stages by id, in plan order."""
        return self.plan.stages

    @property
    def actions(self) -> tuple[ActionResult, ...]:
        """Every action, in plan order."""
        return self.plan.actions


def plan_of(
    run_id: str,
    revision: int,
    fields: Mapping[str, bytes],
    status: RunStatus,
    ledger: Ledger | None = None,
) -> Plan:
    """Read the whole plan of a run.

    Raises:
        CorruptRunError: it is not one of ours.
    """
    with readable(run_id, "plan"):
        tree = read_tree(fields, status)
        return Plan(
            revision=revision,
            stages={stage.id: _stage(stage, fields) for stage in tree.stages},
            hooks=tuple(_action(hook, fields) for hook in tree.hooks),
            ledger=ledger,
        )


def failure_with_place(failure: Failure, plan: Plan, entry: str) -> Failure:
    """Return *failure* with the path of its action, where only the engine knew of it."""
    if failure.path or not entry:
        return failure
    everything = (*plan.actions, *plan.hooks)
    found = next(action for action in everything if action.entry == entry)
    return replace(failure, path=found.path, action=found.action)


def _stage(node: StageNode, fields: Mapping[str, bytes]) -> StageResult:
    error = None
    if node.failed and node.status is ActionStatus.FAILED:
        spec = json.loads(fields[f"s{node.failed}"])
        error = _node_failure(fields.get(f"e{node.failed}"), path_of(spec), spec["action"])
    return StageResult(
        id=node.id,
        name=node.spec.get("name") or node.id,
        status=node.status,
        actions=tuple(_action(action, fields) for action in node.actions),
        parallel=node.parallel,
        began_at=moment(node.record[5]),
        ended_at=moment(node.record[6]),
        added=node.is_added,
        entry=node.entry,
        error=error,
        added_by=node.spec.get("added_by", ""),
    )


def _action(node: ActionNode, fields: Mapping[str, bytes]) -> ActionResult:
    spec, entry = node.spec, node.entry
    progress = json.loads(fields.get(f"p{entry}", b"{}"))
    return ActionResult(
        entry=entry,
        name=spec["name"],
        action=spec["action"],
        stage=spec["stage"],
        status=node.status,
        attempt=node.attempt,
        began_at=moment(node.record[6]),
        ended_at=moment(node.record[7]),
        worker=node.record[8],
        error=_node_failure(fields.get(f"e{entry}"), node.path, spec["action"]),
        progress=progress.get("fraction"),
        message=progress.get("message", ""),
        tags=tuple(spec.get("tags", ())),
        added_by=spec.get("added_by", ""),
        within=spec.get("in", ""),
        parent=node.parent,
        depth=node.level,
        phase=node.phase,
        child_run_id=fields.get(f"u{entry}", b"").decode(),
        handled_by=fields.get(f"b{entry}", b"").decode(),
        undoes=spec.get("undoes", ""),
        deadline=moment(fields.get(f"x{entry}")),
    )


def _node_failure(text: bytes | None, path: str, action: str) -> Failure | None:
    if text is None:
        return None
    data = json.loads(text)
    if "released" in data:
        return None
    failure = failure_from(data)
    return failure if failure.path else replace(failure, path=path, action=action)
