"""``Branch``: one of several sequences of actions, chosen by conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import Field, JsonValue

from gostage_core.authoring.conditions import Condition, conditions
from gostage_core.authoring.definition import ActionDefinition, Tree
from gostage_core.authoring.definition_fields import ActionId
from gostage_core.authoring.problems import shown
from gostage_core.authoring.sparse import SparseModel
from gostage_core.authoring.waits import Group, Member
from gostage_core.composition.composite import (
    Composite,
    Some,
    definitions_of,
    outcome_of,
    results_of,
)
from gostage_core.errors import InvalidActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Self

    from gostage_core.authoring.action import Action
    from gostage_core.composition.composite import Sequences
    from gostage_core.context import ActionContext

OTHERWISE: Final = "otherwise"


class Case(SparseModel):
    """A condition, and what is done where it holds."""

    when: ActionId
    """The registry id of the condition."""

    params: dict[str, Tree] = Field(default_factory=dict)
    """The condition's parameters, as JSON."""

    then: tuple[ActionDefinition, ...] = ()
    """What is done."""


@dataclass(frozen=True, slots=True)
class When:
    """A condition with its parameters, as :func:`when` makes it."""

    condition: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)

    def then(self, *actions: Action) -> Case:
        """Return the case of a ``Branch``: do *actions*, one after another, where it holds.

        Raises:
            InvalidActionError: something that is no bound action.
        """
        owner = f"when({self.condition!r})"
        then = definitions_of(owner, actions, some=False)
        return Case(when=self.condition, params=dict(self.params), then=then)


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What a ``Branch`` does where no condition holds, as :func:`otherwise` makes it."""

    actions: tuple[ActionDefinition, ...]


def when(condition: str | Condition[..., Any], /, **params: Any) -> When:
    """Return a condition with its parameters, for ``Branch`` and ``Repeat``.

    Args:
        condition: the registry id, or the condition itself.
        params: what it takes after its context.

    Raises:
        UnknownConditionError: nothing registered this id here; suggests a similar one.
        InvalidActionError: the parameters do not fit.
    """
    if not isinstance(condition, str | Condition):
        raise InvalidActionError(
            f"when() takes a condition or its id, not {shown(condition)}; "
            f"decorate the function with @condition"
        )
    known = conditions.get(condition) if isinstance(condition, str) else condition
    return When(known.id, known.bound(params))


def otherwise(*actions: Action) -> Otherwise:
    """Return what a ``Branch`` does, one after another, where no condition holds.

    Raises:
        InvalidActionError: something that is no bound action.
    """
    return Otherwise(definitions_of("otherwise()", actions, some=False))


class Branch(Composite, id="gostage.Branch"):
    """Does the first of its cases whose condition holds.

    The conditions are asked in their order, when the action begins, until one holds; what was
    chosen stays chosen. Where none holds and there is no ``otherwise``, it completes. Its value is
    what the last action of the case returned.
    """

    cases: Some[Case]
    """The cases, in order."""
    otherwise: tuple[ActionDefinition, ...] = ()
    """What is done where no condition holds."""

    def __init__(self, *cases: Case | Otherwise, store_as: str | None = None) -> None:
        """Bind it: ``Branch(when("is_priority").then(Rush()), otherwise(Queue()))``.

        Args:
            cases: any number of ``when(...).then(...)``, and at most one ``otherwise(...)``, which
                stands last.
            store_as: the key under which its value is written.

        Raises:
            InvalidActionError: something else was given.
        """
        last = cases[-1] if cases else None
        rest = last.actions if isinstance(last, Otherwise) else ()
        given = cases[:-1] if isinstance(last, Otherwise) else cases
        if not given:
            raise InvalidActionError("Branch: no case is given; write Branch(when(...).then(...))")
        super().__init__(cases=tuple(map(_case, given)), otherwise=rest)
        self._take_options(store_as=store_as)

    def execute(self, ctx: ActionContext) -> object:
        """Choose, and begin what was chosen; when it has ended, return its value."""
        if ctx.phase:
            return next(iter(results_of(outcome_of(ctx))), None)
        label, actions = self._chosen(ctx)
        if not actions:
            return None
        return Group((Member(actions, label=f"[{label}]"),), collect=ctx.keeps_result)

    def _chosen(self, ctx: ActionContext) -> tuple[str, tuple[ActionDefinition, ...]]:
        for case in self.cases:
            if conditions.get(case.when).holds(ctx, case.params):
                return case.when, case.then
        return OTHERWISE, self.otherwise

    def _checks(self, where: str) -> Iterator[Callable[[], object]]:
        for index, case in enumerate(self.cases):
            at = f"{where}.cases[{index}]"
            yield partial(check_condition, case.when, f"{at}.when", case.params, f"{at}.params")
        yield from super()._checks(where)

    def _sequences(self) -> Sequences:
        cases = {f"cases[{index}].then": case.then for index, case in enumerate(self.cases)}
        return {**cases, OTHERWISE: self.otherwise}

    def _with_sequences(self, sequences: Sequences) -> Self:
        *then, rest = sequences.values()
        cases = [
            case.model_copy(update={"then": actions})
            for case, actions in zip(self.cases, then, strict=True)
        ]
        return self.model_copy(update={"cases": tuple(cases), OTHERWISE: rest})


def check_condition(id: str, where: str, params: Mapping[str, JsonValue], params_at: str) -> None:
    """Check that a condition is known here and takes *params*.

    Raises:
        UnknownConditionError: it is not known.
        InvalidActionError: the parameters do not fit.
    """
    conditions.get(id, where=where).check(params, params_at)


def _case(one: object) -> Case:
    if isinstance(one, Case):
        return one
    if isinstance(one, When):
        raise InvalidActionError(
            f"Branch: when({one.condition!r}) does not say what is done; add .then(...)"
        )
    if isinstance(one, Otherwise):
        raise InvalidActionError("Branch: otherwise(...) stands once, and last")
    raise InvalidActionError(
        f"Branch: when(...).then(...) or otherwise(...) is wanted, not {shown(one)}"
    )
