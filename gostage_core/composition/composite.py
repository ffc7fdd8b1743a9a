"""What all actions that are made of others have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field

from gostage_core.authoring.action import Action, definition_of, with_options
from gostage_core.authoring.definition import ActionDefinition
from gostage_core.authoring.options import checked_options
from gostage_core.authoring.problems import listing
from gostage_core.authoring.settling import built, settled
from gostage_core.authoring.stage import bound_actions
from gostage_core.authoring.waits import BelowFailedError
from gostage_core.errors import DefinitionError, InvalidActionError, UnknownActionError
from gostage_core.values.codec import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Self

    from gostage_core.authoring.waits import Outcome
    from gostage_core.context import ActionContext

    Sequences = Mapping[str, tuple[ActionDefinition, ...]]

T = TypeVar("T")


def _not_empty(parts: tuple[T, ...]) -> tuple[T, ...]:
    if not parts:
        raise ValueError("at least one is wanted")
    return parts


Some = Annotated[
    tuple[T, ...], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})
]
"""One or more. Pydantic's own bound counts what does not fit as missing."""

Steps = Some[ActionDefinition]
"""Actions, one after another."""


class Composite(Action):
    """An action that is made of others: it waits for entries, or a run, that it begins."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    __own_init__ = True
    __keeps_secrets__ = True

    def __init_subclass__(cls, **head: Any) -> None:
        """Let JSON be read straight into the fields, whatever ``__init__`` takes."""
        super().__init_subclass__(**head)
        cls.__init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __init__(self, /, **parameters: Any) -> None:
        """Bind it to its parameters; each class has an ``__init__`` of its own before this."""
        super().__init__(**parameters)

    def _take_options(self, **options: Any) -> None:
        """Set the options that the constructor was given, as :meth:`options` would."""
        given = {name: value for name, value in options.items() if value is not None}
        chosen = checked_options(given, type(self).__name__)
        self._gostage_options = with_options(self, chosen)._gostage_options

    def _sequences(self) -> Sequences:
        """Return what this action is made of, by the place in its parameters."""
        return {}

    def _with_sequences(self, sequences: Sequences) -> Self:
        """Return this action made of others; the places are those of :meth:`_sequences`."""
        return self.model_copy(update=dict(sequences))

    def _checks(self, where: str) -> Iterator[Callable[[], object]]:
        """Return what is to be checked of this action where it is built from JSON."""
        return (partial(built, definition, at) for at, definition in self._at(where))

    def _gostage_check(self, where: str) -> None:
        faults = []
        for check in self._checks(where):
            try:
                check()
            except (InvalidActionError, UnknownActionError) as error:
                faults.append(error)
        if faults:
            raise _joined(faults)

    def _gostage_settled(self, where: str) -> Self:
        sequences = {
            place: tuple(settled(one, at) for at, one in _places(f"{where}.{place}", sequence))
            for place, sequence in self._sequences().items()
        }
        return self._with_sequences(sequences)

    def _gostage_child_depth(self) -> int:
        return max((built(one, at)._gostage_child_depth() for at, one in self._at("")), default=0)

    def _at(self, where: str) -> Iterator[tuple[str, ActionDefinition]]:
        for place, sequence in self._sequences().items():
            yield from _places(f"{where}.{place}", sequence)


def definitions_of(
    owner: str, actions: Iterable[object], *, some: bool = True
) -> tuple[ActionDefinition, ...]:
    """Return bound actions as data; *some* says that there must be any.

    Raises:
        InvalidActionError: one is no bound action, or cannot be written as JSON.
    """
    bound = bound_actions(owner, actions, InvalidActionError)
    if some and not bound:
        raise InvalidActionError(f"{owner}: nothing to do; give it at least one bound action")
    return tuple(map(definition_of, bound))


def outcome_of(ctx: ActionContext) -> Outcome:
    """Return how that went for which the entry waited.

    Raises:
        BelowFailedError: it failed, and with it the entry.
    """
    outcome = ctx.outcome()
    if outcome.failure is not None:
        raise BelowFailedError(outcome.failure)
    return outcome


def results_of(outcome: Outcome) -> list[object]:
    """Return what the members of a group returned, in order; ``None`` for those that did not."""
    return [None if data is None else decode(data) for data in outcome.results]


def _places(
    place: str, sequence: Iterable[ActionDefinition]
) -> Iterator[tuple[str, ActionDefinition]]:
    return ((f"{place}[{index}]", one) for index, one in enumerate(sequence))


def _joined(faults: list[InvalidActionError | UnknownActionError]) -> DefinitionError:
    if len(faults) == 1:
        return faults[0]
    lines = [line for fault in faults for line in str(fault).splitlines()]
    unknown = [fault for fault in faults if isinstance(fault, UnknownActionError)]
    if len(unknown) < len(faults):
        return InvalidActionError(listing(lines))
    # Its message goes on behind the place of the last one.
    return unknown[-1].at("\n".join([listing(lines[:-1]), unknown[-1].where.splitlines()[-1]]))
