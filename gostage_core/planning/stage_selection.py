"""The stages of a plan as an action or an operator selects and changes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gostage_core.authoring.workflow import Stage
from gostage_core.planning.action_selection import ActionSelection
from gostage_core.planning.conditions import common_conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from gostage_core.authoring.action import Action
    from gostage_core.planning.additions import Mark
    from gostage_core.planning.items import StageItem
    from gostage_core.planning.overlay import Overlay
    from gostage_core.status import ActionStatus


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage of a plan as it is now, pending changes included."""

    entry: str
    """Its id in the plan; empty for one that is not in it yet."""
    id: str
    name: str
    status: ActionStatus
    tags: tuple[str, ...] = ()
    description: str = ""
    parallel: bool = False


class StageSelection:
    """Stages of a plan, in plan order: look at them, select among them, change them.

    Changes reach those that have not begun; actions can be added as long as a stage goes on.
    Iterating yields values, which later changes do not touch. For the thread of its context alone.
    """

    def __init__(self, overlay: Overlay, items: Iterable[StageItem]) -> None:
        self._overlay = overlay
        self._items = list(items)

    def __getitem__(self, stage_id: str) -> StageView:
        """Return the stage of this id.

        Raises:
            StageNotFoundError: there is none.
        """
        return StageView(self._overlay, self._overlay.stage(stage_id))

    def __contains__(self, stage_id: object) -> bool:
        return any(item.id == stage_id for item in self._items)

    def __iter__(self) -> Iterator[PlannedStage]:
        return map(planned_stage, self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<{len(self)} stages of a plan>"

    @property
    def names(self) -> list[str]:
        """What people call them, one for each."""
        return [planned_stage(item).name for item in self._items]

    @property
    def ids(self) -> list[str]:
        """Their ids."""
        return [item.id for item in self._items]

    @property
    def actions(self) -> ActionSelection:
        """What is in them."""
        every = [action for item in self._items for action in self._overlay.actions_of(item)]
        return ActionSelection(self._overlay, every)

    def filter(
        self,
        *,
        tag: str | None = None,
        any_tags: Iterable[str] | None = None,
        all_tags: Iterable[str] | None = None,
        name: str | None = None,
        name_contains: str | None = None,
        description_contains: str | None = None,
        status: ActionStatus | str | None = None,
        where: Callable[[PlannedStage], object] | None = None,
    ) -> StageSelection:
        """Return those that answer every condition; see :meth:`ActionSelection.filter`."""
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
        if where is not None:
            conditions.append(where)
        kept = [
            item for item in self._items if all(holds(planned_stage(item)) for holds in conditions)
        ]
        return StageSelection(self._overlay, kept)

    def disable(self) -> int:
        """Let them be skipped when their turn comes; return how many this changed."""
        return self._change("disable")

    def enable(self) -> int:
        """Let those that were disabled run after all; return how many this changed."""
        return self._change("enable")

    def remove(self) -> int:
        """Take them out of the run for good; return how many this changed."""
        return self._change("remove")

    def add(self, *actions: Action, after: str | None = None) -> Self:
        """Add *actions* to each, in this order: at its end, or behind its action called *after*.

        Where several are called so, behind the last of them. Returns the selection.

        Raises:
            StageFinishedError: a stage has ended, or is removed.
            ActionNotFoundError: it has no action of that name.
            PlanConflictError: it has gone past that action; the rest of it runs in order.
            PlanLimitError: a guard rail of the workflow forbids it.
            InvalidWorkflowError: something that is not a bound action.
        """
        for item in self._items:
            definitions = Stage(item.id, actions).definition().actions
            if definitions:
                self._overlay.insert(item, definitions, after)
        return self

    def _change(self, mark: Mark) -> int:
        return sum([item.change(mark) for item in self._items])


class StageView(StageSelection):
    """One stage of a plan."""

    def __init__(self, overlay: Overlay, item: StageItem) -> None:
        super().__init__(overlay, [item])
        self._item = item

    @property
    def id(self) -> str:
        """The stage's id."""
        return self._item.id

    @property
    def name(self) -> str:
        """What people call it; its id where it has no name."""
        return planned_stage(self._item).name

    @property
    def description(self) -> str:
        """What it is for."""
        return planned_stage(self._item).description

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to select it by."""
        return planned_stage(self._item).tags

    @property
    def status(self) -> ActionStatus:
        """Where it stands, what is pending included."""
        return self._item.status

    def __repr__(self) -> str:
        return f"<stage {self.id!r} of a plan, {self.status.value}>"


def planned_stage(item: StageItem) -> PlannedStage:
    """Return what a stage is now."""
    spec = item.spec
    return PlannedStage(
        entry=item.entry,
        id=item.id,
        name=spec.get("name") or item.id,
        status=item.status,
        tags=tuple(spec.get("tags", ())),
        description=spec.get("description", ""),
        parallel=item.is_parallel,
    )
