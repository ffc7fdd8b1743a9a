"""A plan as it was read, with the changes on top that are pending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core.errors import (
    ActionNotFoundError,
    PlanConflictError,
    StageFinishedError,
    StageNotFoundError,
)
from gostage_core.order import added_places, inserted_below, place
from gostage_core.planning.additions import Insertion, PendingAction, lasting
from gostage_core.planning.items import ActionItem, StageItem
from gostage_core.planning.settings import (
    with_all_parameters,
    with_options,
    with_parameters,
)
from gostage_core.status import ActionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gostage_core.authoring.definition import ActionDefinition
    from gostage_core.planning.additions import Additions, PendingStage
    from gostage_core.planning.tree import ActionNode, StageNode, Tree

_LIVE = frozenset("rxzwoh")
_HANDED_ON = ("around", "limited")
"""What the actions of a stage take from it."""


class Overlay:
    """A plan and the changes to it that are pending: what would be, in plan order."""

    def __init__(
        self,
        tree: Tree,
        additions: Additions,
        *,
        run_id: str,
        admit: Callable[[Sequence[ActionDefinition]], None],
        entry: str = "",
    ) -> None:
        """Lay *additions* over *tree*; *entry* is the action that makes them, if one does."""
        self.additions = additions
        self.admit = admit
        self._run_id = run_id
        self._tree = tree
        self._entry = entry
        self._stored = [StageItem(additions, node, None) for node in tree.stages]
        self._version = -1
        self._stages: list[StageItem] = []
        self._actions: dict[StageItem, list[ActionItem]] = {}
        self._every: list[ActionItem] | None = None
        self._names: dict[str, list[ActionItem]] | None = None
        self._adder, self._adder_stage = _found(tree, entry)

    @property
    def stages(self) -> list[StageItem]:
        """Every stage, in plan order."""
        self._refresh()
        return self._stages

    def stage(self, stage_id: str) -> StageItem:
        """Return the stage of this id.

        Raises:
            StageNotFoundError: there is none.
        """
        for stage in self.stages:
            if stage.id == stage_id:
                return stage
        raise StageNotFoundError(stage_id)

    def has_stage(self, stage_id: str) -> bool:
        """Tell whether there is a stage of this id."""
        return any(stage.id == stage_id for stage in self.stages)

    @property
    def actions(self) -> list[ActionItem]:
        """Every action, in plan order."""
        self._refresh()
        if self._every is None:
            self._every = [item for stage in self._stages for item in self.actions_of(stage)]
        return self._every

    def actions_of(self, stage: StageItem) -> list[ActionItem]:
        """Return the actions of a stage, in plan order."""
        self._refresh()
        if stage not in self._actions:
            self._actions[stage] = list(self._laid_over(stage))
        return self._actions[stage]

    def actions_called(self, name: str) -> list[ActionItem]:
        """Return every action of this name, in plan order."""
        self._refresh()
        if self._names is None:
            self._names = {}
            for item in self.actions:
                self._names.setdefault(item.name, []).append(item)
        return self._names.get(name, [])

    def insert(
        self, stage: StageItem, definitions: Sequence[ActionDefinition], after: str | None
    ) -> None:
        """Add actions to a stage: at its end, or behind its (last) action called *after*.

        Raises:
            StageFinishedError: the stage has ended, or is removed.
            ActionNotFoundError: the stage has no action of that name.
            PlanConflictError: the stage has gone past it.
            PlanLimitError: a guard rail of the workflow forbids it.
        """
        if stage.is_over:
            raise StageFinishedError(stage.id)
        target = None if after is None else self._target(stage, after)
        self.insert_behind(stage, definitions, target)

    def insert_behind(
        self, stage: StageItem, definitions: Sequence[ActionDefinition], target: ActionItem | None
    ) -> None:
        """Add actions to a stage: at its end, or behind an action that stands in it directly.

        Raises:
            StageFinishedError: the stage has ended, or is removed.
            PlanConflictError: the stage has gone past the action.
            PlanLimitError: a guard rail of the workflow forbids it.
        """
        if stage.is_over:
            raise StageFinishedError(stage.id)
        if target is not None and self.has_passed(stage, target):
            raise PlanConflictError(
                self._run_id,
                f"stage {stage.id!r} has gone past {target.name!r}, nothing can come behind",
            )
        self.admit(definitions)
        self._place(stage, target, list(map(PendingAction, definitions)))
        self.additions.version += 1

    def set_parameters(self, items: Sequence[ActionItem], given: Mapping[str, Any]) -> int:
        """Give actions other parameters; return how many of them have not begun and got these.

        Raises:
            InvalidActionError: the parameters do not fit one of them; none is changed.
            PlanLimitError: a guard rail of the workflow forbids it.
        """
        return self._redefine(items, lambda present: with_parameters(present, given))

    def replace_parameters(self, items: Sequence[ActionItem], params: Mapping[str, Any]) -> int:
        """Do as :meth:`set_parameters` with all parameters, as JSON."""
        return self._redefine(items, lambda present: with_all_parameters(present, params))

    def set_options(self, items: Sequence[ActionItem], given: Mapping[str, Any]) -> int:
        """Give actions other options; return how many of them have not begun and got these.

        Raises:
            InvalidActionError: a value that does not fit.
        """
        return self._redefine(items, lambda present: with_options(present, given))

    def _redefine(
        self, items: Sequence[ActionItem], made: Callable[[ActionDefinition], ActionDefinition]
    ) -> int:
        changed = [
            (item, made(item.definition))
            for item in items
            if item.can_change and item.status is not ActionStatus.REMOVED
        ]
        self.admit([definition for _, definition in changed])
        for item, definition in changed:
            item.redefine(definition)
        return len(changed)

    def _target(self, stage: StageItem, name: str) -> ActionItem:
        found = [item for item in self._direct(stage) if item.name == name]
        if not found:
            raise ActionNotFoundError(name, stage.id)
        return found[-1]

    def has_passed(self, stage: StageItem, item: ActionItem) -> bool:
        """Tell whether nothing can come behind an action any more, for its stage is further on."""
        if stage.is_parallel or not stage.has_begun or item.node is None:
            return False
        is_before_us = item.node.is_open or item.node.state in _LIVE
        return not (is_before_us or item.entry == self._entry)

    def _place(
        self, stage: StageItem, target: ActionItem | None, actions: list[PendingAction]
    ) -> None:
        """Put new actions where they go: into a list of pending ones, or into the plan."""
        if stage.pending is not None:
            _put(stage.pending.actions, target, actions)
        elif target is not None and target.pending is not None:
            _put(self._list_with(target.pending), target, actions)
        else:
            self.additions.insertions.append(
                Insertion(
                    stage=stage.entry,
                    after="" if target is None else target.entry,
                    below=self._below(stage, target),
                    actions=actions,
                    marks={name: stage.spec[name] for name in _HANDED_ON if name in stage.spec},
                    stage_id=stage.id,
                )
            )

    def _list_with(self, pending: PendingAction) -> list[PendingAction]:
        lists = [self.additions.added, *(one.actions for one in self.additions.insertions)]
        return next(one for one in lists if pending in one)

    def _below(self, stage: StageItem, target: ActionItem | None) -> str:
        """Return the place below which what comes behind *target* stands."""
        direct = self._direct(stage)
        if not direct:
            return ""
        index = len(direct) - 1 if target is None else direct.index(target)
        order, is_last = self._order(direct[index])
        following = direct[index + 1 : index + 2]
        return inserted_below(order, is_last, self._order(following[0])[0] if following else None)

    def _order(self, item: ActionItem) -> tuple[str, bool]:
        """Return the place of an action among those of its stage, and whether it is a last one."""
        if item.node is not None:
            return item.node.spec["order"], bool(item.node.spec.get("last"))
        assert item.pending is not None
        for one in self.additions.insertions:
            if item.pending in one.actions:
                return place(1 + one.actions.index(item.pending), one.below), False
        assert self._adder is not None
        spec, number = self._adder.spec, 1 + self.additions.added.index(item.pending)
        return added_places(spec["order"], bool(spec.get("last")), number)[-1], False

    def _direct(self, stage: StageItem) -> list[ActionItem]:
        return [item for item in self.actions_of(stage) if item.level == 0]

    def _refresh(self) -> None:
        if self._version != self.additions.version:
            self._version = self.additions.version
            self._stages = list(self._stages_in_order())
            self._actions, self._every, self._names = {}, None, None

    def _stages_in_order(self) -> Iterator[StageItem]:
        pending = lasting(self.additions.added_stages)
        anchor = self._anchor()
        if not anchor:
            yield from self._pending_behind("", pending)
        for stage in self._stored:
            yield stage
            yield from self._pending_behind(stage.entry, pending)
            if stage.entry == anchor:
                yield from self._pending_behind("", pending)

    def _pending_behind(self, entry: str, pending: list[PendingStage]) -> Iterator[StageItem]:
        for one in pending:
            if one.behind == entry:
                yield StageItem(self.additions, None, one)

    def _anchor(self) -> str:
        """Return the stage behind which the adder's own stages come.

        It is its own one, or the last of those that actions ahead of it have added.
        """
        if self._adder is None or self._adder_stage is None:
            return ""
        of, order = self._adder_stage.entry, self._adder.spec["order"]
        behind = [stage.node for stage in self._stored if stage.node]
        anchor = of
        for node in behind[1 + behind.index(self._adder_stage) :]:
            if node.by != of or node.order > order:
                break
            anchor = node.entry
        return anchor

    def _laid_over(self, stage: StageItem) -> Iterator[ActionItem]:
        """Yield the actions of a stage, each with those behind it that are pending."""
        if stage.node is None:
            assert stage.pending is not None
            yield from self._pending(stage, stage.pending.actions)
            return
        behind = self._pending_by_entry(stage)
        # What an action owns comes right after it, and what is added behind it after that.
        waiting: list[tuple[int, list[PendingAction]]] = []
        for node in stage.node.actions:
            while waiting and waiting[-1][0] >= node.level:
                level, actions = waiting.pop()
                yield from self._pending(stage, actions, level)
            yield ActionItem(self.additions, stage, node, None, node.level)
            if node.entry in behind:
                waiting.append((node.level, behind[node.entry]))
        for level, actions in reversed(waiting):
            yield from self._pending(stage, actions, level)
        yield from self._pending(stage, behind.get("", []))

    def _pending_by_entry(self, stage: StageItem) -> dict[str, list[PendingAction]]:
        """Return what is pending in a stage by the entry that it comes behind; "" for the end."""
        behind: dict[str, list[PendingAction]] = {}
        for one in self.additions.insertions:
            if one.stage == stage.entry:
                there = behind.get(one.after, [])
                both = (one.actions, there) if one.after else (there, one.actions)
                behind[one.after] = [*both[0], *both[1]]
        if self._adder_stage is stage.node and self.additions.added:
            behind[self._entry] = [*self.additions.added, *behind.get(self._entry, [])]
        return behind

    def _pending(
        self, stage: StageItem, actions: list[PendingAction], level: int = 0
    ) -> Iterator[ActionItem]:
        for one in lasting(actions):
            yield ActionItem(self.additions, stage, None, one, level)


def _put(
    into: list[PendingAction], target: ActionItem | None, actions: list[PendingAction]
) -> None:
    index = len(into)
    if target is not None and target.pending is not None:
        index = into.index(target.pending) + 1
    into[index:index] = actions


def _found(tree: Tree, entry: str) -> tuple[ActionNode | None, StageNode | None]:
    for stage in tree.stages if entry else ():
        for action in stage.actions:
            if action.entry == entry:
                return action, stage
    return None, None
