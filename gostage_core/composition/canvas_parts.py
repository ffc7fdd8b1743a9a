"""What a Celery canvas needs beside its tasks: groups within other parts, and lists of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core.authoring.definition import ActionDefinition
from gostage_core.authoring.waits import Group, Member
from gostage_core.composition.celery_task import Source, named_source, value_of
from gostage_core.composition.composite import Composite, definitions_of, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from gostage_core.authoring.action import Action
    from gostage_core.composition.composite import Sequences
    from gostage_core.context import ActionContext


class CanvasGroup(Composite, id="gostage.CanvasGroup"):
    """Does sequences of actions side by side, all of them to their end, whatever fails.

    It has no value: what its actions return goes into the store under keys of their own.
    """

    members: tuple[tuple[ActionDefinition, ...], ...]
    """The sequences."""

    def __init__(self, *members: Iterable[Action]) -> None:
        """Bind it.

        Raises:
            InvalidActionError: something that is no bound action.
        """
        super().__init__(members=tuple(definitions_of("CanvasGroup", member) for member in members))

    def execute(self, ctx: ActionContext) -> object:
        """Begin the members; fail with the first that failed when all have ended."""
        if ctx.phase:
            outcome_of(ctx)
            return None
        return Group(
            tuple(Member(one, label=f"[{n}]") for n, one in enumerate(self.members)),
            parallel=True,
            on_failure="wait_all",
        )

    def _sequences(self) -> Sequences:
        return {f"members[{n}]": member for n, member in enumerate(self.members)}

    def _with_sequences(self, sequences: Sequences) -> Self:
        return self.model_copy(update={"members": tuple(sequences.values())})


class Gather(Composite, id="gostage.Gather"):
    """Makes one list of values in the store; that list is its value."""

    of: Source
    """The keys, or lists of keys."""

    def __init__(self, of: Any, *, store_as: str | None = None) -> None:
        """Bind it.

        Args:
            of: a list of keys; a list in it makes a list in the list.
            store_as: the key under which the list is written.

        Raises:
            InvalidActionError: a value that does not fit.
        """
        super().__init__(of=named_source(of))
        self._take_options(store_as=store_as)

    def execute(self, ctx: ActionContext) -> object:
        """Read the values."""
        return value_of(ctx, self.of)
