"""What somebody changes in a plan, collected until it is applied: additions, marks, settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gostage_core.authoring.definition import ActionDefinition, StageDefinition

Mark = Literal["disable", "enable", "remove"]


@dataclass(slots=True, eq=False)
class PendingAction:
    """An action that is not in the plan yet."""

    definition: ActionDefinition
    is_disabled: bool = False
    is_removed: bool = False


@dataclass(slots=True, eq=False)
class PendingStage:
    """A stage that is not in the plan yet."""

    head: StageDefinition
    actions: list[PendingAction]
    behind: str = ""
    """The stage of the plan that it comes behind; empty for the one that the adder is in."""
    is_disabled: bool = False
    is_removed: bool = False

    def definition(self) -> StageDefinition:
        """Return the stage as it would be added."""
        return self.head.model_copy(update={"actions": definitions_of(self.actions)})


@dataclass(slots=True, eq=False)
class Insertion:
    """Actions that go into a stage of the plan together."""

    stage: str
    """The stage's entry."""
    after: str
    """The entry that they come behind; empty for the end of the stage."""
    below: str
    """The place below which they stand."""
    actions: list[PendingAction]
    marks: Mapping[str, Any]
    """What they take from the stage."""
    stage_id: str


@dataclass(frozen=True, slots=True)
class Setting:
    """What an entry of the plan becomes: other parameters, other options."""

    definition: ActionDefinition
    marks: Mapping[str, Any]
    """What the plan keeps of the entry beside its definition."""


@dataclass(slots=True)
class Additions:
    """What an attempt, or an operator's edit, changes in a plan."""

    added: list[PendingAction] = field(default_factory=list)
    """Right behind the action that adds them."""
    added_stages: list[PendingStage] = field(default_factory=list)
    insertions: list[Insertion] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    """Entries of the plan that are to be disabled, enabled or removed."""
    settings: dict[str, Setting] = field(default_factory=dict)
    """Entries of the plan that get other parameters or options."""
    version: int = 0
    """Counts what changes the order of things."""

    def __bool__(self) -> bool:
        return bool(
            lasting(self.added)
            or lasting(self.added_stages)
            or any(lasting(one.actions) for one in self.insertions)
            or self.marks
            or self.settings
        )

    @property
    def actions(self) -> tuple[ActionDefinition, ...]:
        """What comes right behind the action that adds it."""
        return definitions_of(self.added)

    @property
    def stages(self) -> tuple[StageDefinition, ...]:
        """The stages that are added."""
        return tuple(stage.definition() for stage in lasting(self.added_stages))

    def stage_called(self, entry: str) -> str:
        """Return the id of the stage with this entry, to which actions are added."""
        return next((one.stage_id for one in self.insertions if one.stage == entry), entry)

    def add_actions(self, definitions: Iterable[ActionDefinition]) -> None:
        """Add actions right behind the one that adds them, after those that it added before."""
        self.added += map(PendingAction, definitions)
        self.version += 1

    def add_stage(self, definition: StageDefinition, *, behind: str = "", at: int = -1) -> None:
        """Add a stage behind another; at this index of all that are added, else as the last one."""
        head = definition.model_copy(update={"actions": ()})
        stage = PendingStage(head, list(map(PendingAction, definition.actions)), behind)
        self.added_stages.insert(len(self.added_stages) if at < 0 else at, stage)
        self.version += 1


def lasting(pending: Iterable[Any]) -> list[Any]:
    """Return what was not taken back."""
    return [one for one in pending if not one.is_removed]


def definitions_of(actions: Iterable[PendingAction]) -> tuple[ActionDefinition, ...]:
    """Return the definitions of what was not taken back."""
    return tuple(one.definition for one in lasting(actions))


def states_of(actions: Iterable[PendingAction]) -> list[str]:
    """Return for each that was not taken back what it begins as: ``d`` for disabled."""
    return ["d" if one.is_disabled else "" for one in lasting(actions)]
