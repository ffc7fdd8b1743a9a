"""``Repeat``: the same actions again and again, until a condition holds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import Field

from gostage_core.authoring.conditions import Condition, conditions
from gostage_core.authoring.definition import Tree
from gostage_core.authoring.definition_fields import ActionId
from gostage_core.authoring.waits import Group, Member
from gostage_core.composition.branch import When, check_condition, when
from gostage_core.composition.composite import (
    Composite,
    Steps,
    definitions_of,
    outcome_of,
    results_of,
)
from gostage_core.errors import InvalidActionError, RepeatLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from gostage_core.authoring.action import Action
    from gostage_core.composition.composite import Sequences
    from gostage_core.context import ActionContext

MOST_TIMES: Final = 100
"""How many passes there are at most where a condition ends them and nothing else was said."""


MOST_PASSES: Final = 1_000_000_000
KEPT_PASSES: Final = 10
"""How many of the last passes the plan keeps, so that a run may repeat without end."""


class Repeat(Composite, id="gostage.Repeat"):
    """Does its actions, then asks a condition, and does them again until it holds.

    There is one pass at least. The actions find the number of the pass, from 0, as ``ctx.index``;
    in a ``ForEach``, its item is ``ctx.item`` still. Its value is what the last action of the last
    pass returned. The plan keeps the last ten passes, so a run that repeats for weeks stays small.
    """

    actions: Steps
    """What a pass does."""
    until: ActionId | None = None
    """The registry id of the condition; without one there are exactly ``max_times`` passes."""
    until_params: dict[str, Tree] = Field(default_factory=dict)
    """The condition's parameters, as JSON."""
    max_times: int = Field(default=MOST_TIMES, ge=1, le=MOST_PASSES)
    """How many passes there are at most."""

    def __init__(
        self,
        *actions: Action,
        until: str | Condition[..., Any] | When | None = None,
        max_times: int | None = None,
        store_as: str | None = None,
    ) -> None:
        """Bind it.

        Args:
            actions: what a pass does, one after another.
            until: the condition that ends it: its id, itself, or ``when(...)`` with parameters.
            max_times: how many passes there are at most, 100 unless given: it fails when the
                condition does not hold after so many. Without a condition, how many there are.
            store_as: the key under which its value is written.

        Raises:
            InvalidActionError: a value that does not fit, something that is no bound action, or
                neither *until* nor *max_times*.
            UnknownConditionError: nothing registered the condition here; suggests a similar one.
        """
        if until is None and max_times is None:
            raise InvalidActionError("Repeat: until= or max_times= says when it ends; give one")
        asked = until if until is None or isinstance(until, When) else when(until)
        super().__init__(
            actions=definitions_of("Repeat", actions),
            until=asked and asked.condition,
            until_params=dict(asked.params) if asked else {},
            max_times=MOST_TIMES if max_times is None else max_times,
        )
        self._take_options(store_as=store_as)

    def execute(self, ctx: ActionContext) -> object:
        """Begin a pass, unless the last one was that; then return its value."""
        if ctx.phase:
            outcome = outcome_of(ctx)
            if self._is_done(ctx):
                return next(iter(results_of(outcome)), None)
        member = Member(self.actions, label=f"[{ctx.phase}]", index=ctx.phase)
        return Group((member,), collect=ctx.keeps_result, keeps=KEPT_PASSES)

    def _is_done(self, ctx: ActionContext) -> bool:
        if self.until is None:
            return ctx.phase >= self.max_times
        if conditions.get(self.until).holds(ctx, self.until_params):
            return True
        if ctx.phase >= self.max_times:
            raise RepeatLimitError(self.until, self.max_times)
        return False

    def _checks(self, where: str) -> Iterator[Callable[[], object]]:
        if self.until is not None:
            at = f"{where}.until"
            yield partial(check_condition, self.until, at, self.until_params, f"{at}_params")
        yield from super()._checks(where)

    def _sequences(self) -> Sequences:
        return {"actions": self.actions}
