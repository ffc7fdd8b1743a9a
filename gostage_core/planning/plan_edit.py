"""The plan of a run as an operator changes it, before anything is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.authoring.workflow import Stage
from gostage_core.errors import DuplicateStageError, InvalidWorkflowError, PlanConflictError
from gostage_core.planning.action_selection import ActionSelection, AllActions
from gostage_core.planning.additions import Additions
from gostage_core.planning.outline import PlanChange, PlanDiff, difference, place_of
from gostage_core.planning.overlay import Overlay
from gostage_core.planning.settings import definition_fields
from gostage_core.planning.stage_selection import StageSelection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gostage_core.authoring.definition import ActionDefinition, StageDefinition
    from gostage_core.planning.items import ActionItem, StageItem
    from gostage_core.planning.tree import Tree


class PlanEdit:
    """The plan of a run as it was read, to be changed: like ``ctx.stages`` and ``ctx.actions``.

    Nothing is applied until the block of :meth:`Run.edit` ends, and then all of it or nothing.
    """

    def __init__(
        self,
        run_id: str,
        tree: Tree,
        revision: int,
        *,
        admit: Callable[[Sequence[ActionDefinition]], None],
    ) -> None:
        """Begin with the plan as it is; *admit* refuses actions that may not be added."""
        self.run_id = run_id
        self.revision = revision
        """Of the plan that was read."""
        self.additions = Additions()
        self.overlay = Overlay(tree, self.additions, run_id=run_id, admit=admit)

    @property
    def actions(self) -> ActionSelection:
        """The actions of the plan: ``plan.actions["name"]``, ``.filter(…)``."""
        return AllActions(self.overlay)

    @property
    def stages(self) -> StageSelection:
        """The stages of the plan: ``plan.stages["id"]``, ``.filter(…)``."""
        return StageSelection(self.overlay, self.overlay.stages)

    def add_stage(self, stage: Stage, *, after: str | None = None) -> None:
        """Add a stage behind the one called *after*, or at the end of the plan.

        Raises:
            DuplicateStageError: the plan has a stage of this id.
            StageNotFoundError: it has none called *after*.
            PlanConflictError: the run has gone past that one.
            PlanLimitError: a guard rail of the workflow forbids it.
        """
        if not isinstance(stage, Stage):
            raise InvalidWorkflowError(f"add_stage() takes Stage(...), not {type(stage).__name__}")
        self.insert_stage(stage.definition(), after)

    def insert_stage(self, definition: StageDefinition, after: str | None = None) -> None:
        """Add a stage as :meth:`add_stage` does, from its definition."""
        overlay = self.overlay
        if overlay.has_stage(definition.id):
            raise DuplicateStageError(definition.id)
        target = overlay.stages[-1] if after is None else overlay.stage(after)
        if target.has_passed:
            raise PlanConflictError(
                self.run_id, f"it has gone past stage {target.id!r}, nothing can come behind it"
            )
        overlay.admit(definition.actions)
        pending, at = self.additions.added_stages, 0
        if target.pending is not None:
            at = pending.index(target.pending) + 1
        behind = target.entry or (target.pending.behind if target.pending else "")
        self.additions.add_stage(definition, behind=behind, at=at)

    @property
    def changes(self) -> PlanDiff:
        """What is about to be applied; ``str()`` is for people."""
        stages = list(self.overlay.stages)
        marked = list(self._marked(stages))
        return PlanDiff(
            added_stages=tuple(_added_stages(stages)),
            added_actions=tuple(
                change for stage in stages for change in _added(self.overlay.actions_of(stage))
            ),
            removed=tuple(change for mark, change in marked if mark == "remove"),
            disabled=tuple(change for mark, change in marked if mark == "disable"),
            enabled=tuple(change for mark, change in marked if mark == "enable"),
            changed=tuple(self._changed()),
        )

    def _marked(self, stages: list[StageItem]) -> Iterator[tuple[str, PlanChange]]:
        marks = self.additions.marks
        for stage in stages:
            if stage.entry in marks:
                yield marks[stage.entry], PlanChange(stage.entry, stage.id, "(stage)")
            for item in self.overlay.actions_of(stage):
                if item.entry in marks:
                    yield marks[item.entry], PlanChange(item.entry, item.path)

    def _changed(self) -> Iterator[PlanChange]:
        settings = self.additions.settings
        for item in self.overlay.actions if settings else ():
            if item.node is not None and item.entry in settings:
                definition = settings[item.entry].definition
                after = definition.model_dump(mode="json", exclude_defaults=True)
                before = definition_fields(item.node.spec)
                yield PlanChange(item.entry, item.path, difference(before, after))


def _added_stages(stages: list[StageItem]) -> Iterator[PlanChange]:
    before = ""
    for stage in stages:
        if stage.pending is not None:
            yield PlanChange("", stage.id, _state(place_of(before), stage.pending.is_disabled))
        before = stage.id


def _added(items: list[ActionItem]) -> Iterator[PlanChange]:
    before = ""
    for item in items:
        if item.pending is not None:
            yield PlanChange("", item.path, _state(place_of(before), item.pending.is_disabled))
        before = item.name


def _state(place: str, is_disabled: bool) -> str:
    return f"{place}, disabled" if is_disabled else place
