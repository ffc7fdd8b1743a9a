"""What a context asks of the engine around it; the engine and the test kit answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from gostage_core.authoring.definition import ActionDefinition
    from gostage_core.authoring.waits import HookStart, Outcome
    from gostage_core.machine import Machine
    from gostage_core.planning.tree import Tree
    from gostage_core.store import AttemptStore


@dataclass(frozen=True, slots=True)
class View:
    """A read-only look at the workflow, the stage or the action that runs."""

    id: str
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()


class Port(Protocol):
    """What a context needs of the engine around it."""

    @property
    def machine(self) -> Machine:
        """Whose time counts."""

    def describe(self) -> tuple[View, View]:
        """Return the workflow and the stage."""

    def deadline(self) -> datetime | None:
        """Return the run's deadline."""

    def has_stage(self, stage_id: str) -> bool:
        """Tell whether the plan has a stage of this id."""

    def plan(self) -> Tree:
        """Return the plan of the run."""

    def admit(self, actions: Sequence[ActionDefinition]) -> None:
        """Refuse actions that may not be added, by the guard rails of the workflow."""

    def outcome(self) -> Outcome:
        """Return how that went for which the entry waited."""

    def keeps_result(self) -> bool:
        """Tell whether what the action returns is kept."""

    def hook_start(self) -> HookStart:
        """Return how the scope went whose hooks this entry runs."""

    @property
    def publish(self) -> Callable[..., None]:
        """What publishes a message of another Celery task."""

    def send(self, type: str, payload: object) -> None:
        """Keep a message of the attempt at once."""

    def answer(self, which: int, name: str) -> bytes | None:
        """Return what became of a wait of the entry: a mark and what came; ``None`` before."""

    def remembered(self, what: str) -> bytes | None:
        """Return what the entry remembers under a name."""

    def remember(self, what: str, value: object) -> None:
        """Keep a value for later attempts at the entry, at once."""

    def may_go_on(self, progress: str = "") -> bool:
        """Tell whether the attempt should go on; note its *progress* (JSON), if any."""

    def checkpoint(self, store: AttemptStore) -> None:
        """Write the store's changes now."""
