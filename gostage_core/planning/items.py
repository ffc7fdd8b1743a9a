"""The stages and actions of an overlay: of the plan, or pending, with what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gostage_core.planning.additions import Setting
from gostage_core.planning.settings import definition_from, marks_of
from gostage_core.status import ActionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gostage_core.authoring.definition import ActionDefinition
    from gostage_core.planning.additions import Additions, Mark, PendingAction, PendingStage
    from gostage_core.planning.tree import ActionNode, StageNode


class StageItem:
    """One stage of an overlay: of the plan, or pending."""

    __slots__ = ("_additions", "node", "pending")

    def __init__(
        self, additions: Additions, node: StageNode | None, pending: PendingStage | None
    ) -> None:
        self._additions = additions
        self.node = node
        self.pending = pending

    @property
    def id(self) -> str:
        """The stage's id."""
        return self.node.id if self.node else self._head.id

    @property
    def entry(self) -> str:
        """Its id in the plan; empty while it is pending."""
        return self.node.entry if self.node else ""

    @property
    def spec(self) -> Mapping[str, Any]:
        """What the plan keeps of it."""
        return self.node.spec if self.node else self._head.model_dump()

    @property
    def is_parallel(self) -> bool:
        """Whether its actions run side by side."""
        return self.node.parallel if self.node else self._head.parallel

    @property
    def has_begun(self) -> bool:
        """Whether it cannot be changed as a whole any more."""
        return self.node is not None and self.node.state not in ("", "d")

    @property
    def has_passed(self) -> bool:
        """Whether the run has gone past it."""
        return self.node is not None and self.node.record[6] != "0"

    @property
    def is_over(self) -> bool:
        """Whether nothing can be added to it any more."""
        if self.status is ActionStatus.REMOVED:
            return True
        return self.node is not None and self.node.state not in ("", "x", "d", "p")

    @property
    def status(self) -> ActionStatus:
        """Where it stands, what is pending included."""
        if self.node is not None and self.has_begun:
            return self.node.status
        return _UNBEGUN[self._mark]

    @property
    def is_disabled(self) -> bool:
        """Whether it is itself to be skipped when its turn comes, what is pending included."""
        return self._mark == "disable"

    def change(self, mark: Mark) -> bool:
        """Disable, enable or remove it; whether that changes anything."""
        if self.has_begun or not _changes(self._mark, mark):
            return False
        if self.pending is not None:
            _change_pending(self.pending, mark, self._additions)
        else:
            _note_mark(self._additions, self.entry, mark, is_off=self._is_off)
        return True

    @property
    def _head(self) -> Any:
        assert self.pending is not None
        return self.pending.head

    @property
    def _is_off(self) -> bool:
        return self.node is not None and self.node.state == "d"

    @property
    def _mark(self) -> str:
        if self.pending is not None:
            return _pending_mark(self.pending)
        return self._additions.marks.get(self.entry, "disable" if self._is_off else "enable")


class ActionItem:
    """One action of an overlay: of the plan, or pending."""

    __slots__ = ("_additions", "level", "name", "node", "pending", "stage")

    def __init__(
        self,
        additions: Additions,
        stage: StageItem,
        node: ActionNode | None,
        pending: PendingAction | None,
        level: int,
    ) -> None:
        self._additions = additions
        self.level = level
        self.stage = stage
        self.node = node
        self.pending = pending
        self.name: str = pending.definition.name if pending else self._spec["name"]

    @property
    def definition(self) -> ActionDefinition:
        """What it is, with what is pending."""
        if self.pending is not None:
            return self.pending.definition
        setting = self._additions.settings.get(self.entry)
        return setting.definition if setting else definition_from(self._spec)

    @property
    def entry(self) -> str:
        """Its id in the plan; empty while it is pending."""
        return self.node.entry if self.node else ""

    @property
    def id(self) -> str:
        """The registry id."""
        return str(self.node.spec["action"]) if self.node else self.definition.action

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to select it by."""
        return tuple(self._said("tags", ()))

    @property
    def description(self) -> str:
        """What it is for."""
        return str(self._said("description", ""))

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters, as JSON."""
        return dict(self._said("params", {}))

    @property
    def path(self) -> str:
        """Where it stands: ``stage/name``, with what it is nested in between."""
        return self.node.path if self.node else f"{self.stage.id}/{self.name}"

    @property
    def can_change(self) -> bool:
        """Whether it has not begun, and its turn may still come."""
        if self.stage.status is ActionStatus.REMOVED:
            return False
        return self.node is None or self.node.is_open

    @property
    def status(self) -> ActionStatus:
        """Where it stands, what is pending included."""
        stage = self.stage.status
        if self.node is not None and not self.node.is_open:
            return self.node.status
        if stage is ActionStatus.REMOVED or self._mark == "remove":
            return ActionStatus.REMOVED
        if stage is ActionStatus.SKIPPED:
            return ActionStatus.SKIPPED
        return _UNBEGUN[self._mark]

    @property
    def is_disabled(self) -> bool:
        """Whether it is itself to be skipped when its turn comes, what is pending included."""
        return self._mark == "disable"

    def change(self, mark: Mark) -> bool:
        """Disable, enable or remove it; whether that changes anything."""
        if not self.can_change or not _changes(self._mark, mark):
            return False
        if self.pending is not None:
            _change_pending(self.pending, mark, self._additions)
        else:
            _note_mark(self._additions, self.entry, mark, is_off=self._is_off)
        return True

    def redefine(self, definition: ActionDefinition) -> None:
        """Make it another one: with other parameters, or other options."""
        if self.pending is not None:
            self.pending.definition = definition
        else:
            self._additions.settings[self.entry] = Setting(definition, marks_of(self._spec))

    @property
    def _spec(self) -> Mapping[str, Any]:
        assert self.node is not None
        return self.node.spec

    def _said(self, name: str, default: Any) -> Any:
        """Return a field of its definition, without reading all of it."""
        if self.node is None or self.entry in self._additions.settings:
            return getattr(self.definition, name)
        return self.node.spec.get(name, default)

    @property
    def _is_off(self) -> bool:
        return self.node is not None and self.node.state == "d"

    @property
    def _mark(self) -> str:
        if self.pending is not None:
            return _pending_mark(self.pending)
        return self._additions.marks.get(self.entry, "disable" if self._is_off else "enable")


_UNBEGUN: Final = {
    "enable": ActionStatus.PENDING,
    "disable": ActionStatus.SKIPPED,
    "remove": ActionStatus.REMOVED,
}
"""What something that has not begun is shown as, by what became of it last."""


def _changes(present: str, mark: Mark) -> bool:
    return present not in (mark, "remove")


def _pending_mark(pending: PendingAction | PendingStage) -> str:
    if pending.is_removed:
        return "remove"
    return "disable" if pending.is_disabled else "enable"


def _change_pending(
    pending: PendingAction | PendingStage, mark: Mark, additions: Additions
) -> None:
    pending.is_disabled = mark == "disable"
    if mark == "remove":
        pending.is_removed = True
        additions.version += 1


def _note_mark(additions: Additions, entry: str, mark: Mark, *, is_off: bool) -> None:
    """Note what becomes of an entry of the plan, unless that is what it was."""
    if mark == ("disable" if is_off else "enable"):
        del additions.marks[entry]
    else:
        additions.marks[entry] = mark
