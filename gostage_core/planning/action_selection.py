"""The actions of a plan as an action or an operator selects and changes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gostage_core.authoring.secret_parameters import masked
from gostage_core.errors import ActionNotFoundError
from gostage_core.planning.conditions import common_conditions, is_a

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from gostage_core.authoring.options import OptionKeywords
    from gostage_core.planning.additions import Mark
    from gostage_core.planning.items import ActionItem
    from gostage_core.planning.overlay import Overlay
    from gostage_core.status import ActionStatus


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """An action of a plan as it is now, pending changes included."""

    entry: str
    """Its id in the plan; empty for one that is not in it yet."""
    name: str
    id: str
    """The registry id."""
    stage: str
    status: ActionStatus
    attempt: int = 0
    tags: tuple[str, ...] = ()
    description: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The parameters, as JSON; asterisks for those that are secret."""
    path: str = ""
    """``stage/name``; with what it is nested in between."""
    added_by: str = ""
    """``stage/action`` that added it, or ``operator:name``."""


class ActionSelection:
    """Actions of a plan, in plan order: look at them, select among them, change them.

    Changes reach those that have not begun. Iterating yields values, which later changes do not
    touch. For the thread of its context alone.
    """

    def __init__(self, overlay: Overlay, items: Sequence[ActionItem]) -> None:
        self._overlay = overlay
        self._items = items

    def __getitem__(self, name: str) -> ActionSelection:
        """Return every action of this name.

        Raises:
            ActionNotFoundError: there is none.
        """
        found = [item for item in self._items if item.name == name]
        if not found:
            raise ActionNotFoundError(name)
        return ActionSelection(self._overlay, found)

    def __contains__(self, name: object) -> bool:
        return any(item.name == name for item in self._items)

    def __iter__(self) -> Iterator[PlannedAction]:
        return map(planned_action, self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<{len(self)} actions of a plan>"

    @property
    def names(self) -> list[str]:
        """What they are called, one for each."""
        return [item.name for item in self._items]

    def filter(
        self,
        *,
        tag: str | None = None,
        any_tags: Iterable[str] | None = None,
        all_tags: Iterable[str] | None = None,
        name: str | None = None,
        name_contains: str | None = None,
        description_contains: str | None = None,
        type: Any = None,
        stage: str | None = None,
        status: ActionStatus | str | None = None,
        where: Callable[[PlannedAction], object] | None = None,
    ) -> ActionSelection:
        """Return those that answer every condition.

        Args:
            tag: one of its tags.
            any_tags: it has one of these tags at least.
            all_tags: it has all of these tags; of none, every action.
            name: what it is called.
            name_contains: part of its name, in any case of letters.
            description_contains: part of its description, likewise.
            type: its class, or one above it; or the function that it is.
            stage: the id of its stage.
            status: where it stands.
            where: what tells of a :class:`PlannedAction` whether it is meant.
        """
        conditions: list[Callable[[Any], object]] = [
            *common_conditions(
                tag=tag,
                any_tags=any_tags,
                all_tags=all_tags,
                name=name,
                name_contains=name_contains,
                description_contains=description_contains,
                status=status,
            )
        ]
        if type is not None:
            is_wanted = is_a(type)
            conditions.append(lambda item: is_wanted(item.id))
        if stage is not None:
            conditions.append(lambda item: item.stage.id == stage)
        if where is not None:
            conditions.append(lambda item: where(planned_action(item)))
        kept = [item for item in self._items if all(holds(item) for holds in conditions)]
        return ActionSelection(self._overlay, kept)

    def disable(self) -> int:
        """Let them be skipped when their turn comes; return how many this changed."""
        return self._change("disable")

    def enable(self) -> int:
        """Let those that were disabled run after all; return how many this changed."""
        return self._change("enable")

    def remove(self) -> int:
        """Take them out of the run for good; return how many this changed."""
        return self._change("remove")

    def set(self, **parameters: Any) -> int:
        """Give them other parameters; return how many of them have not begun and got these.

        Raises:
            InvalidActionError: the parameters do not fit one of them; none is changed.
            PlanLimitError: a guard rail of the workflow forbids it.
        """
        return self._overlay.set_parameters(self._items, parameters)

    def options(self, **options: Unpack[OptionKeywords]) -> int:
        """Give them other options: ``retry``, ``timeout``, ``queue`` and so on; return how many.

        Raises:
            InvalidActionError: a value that does not fit.
        """
        return self._overlay.set_options(self._items, options)

    def _change(self, mark: Mark) -> int:
        return sum([item.change(mark) for item in self._items])


class AllActions(ActionSelection):
    """Every action of a plan; found by name at once, however long the plan is."""

    def __init__(self, overlay: Overlay) -> None:
        super().__init__(overlay, overlay.actions)

    def __getitem__(self, name: str) -> ActionSelection:
        """Return every action of this name.

        Raises:
            ActionNotFoundError: there is none.
        """
        found = self._overlay.actions_called(name)
        if not found:
            raise ActionNotFoundError(name)
        return ActionSelection(self._overlay, found)


def planned_action(item: ActionItem) -> PlannedAction:
    """Return what an action is now."""
    return PlannedAction(
        entry=item.entry,
        name=item.name,
        id=item.id,
        stage=item.stage.id,
        status=item.status,
        attempt=item.node.attempt if item.node else 0,
        tags=item.tags,
        description=item.description,
        params=masked(item.params),
        path=item.path,
        added_by=item.node.spec.get("added_by", "") if item.node else "",
    )
