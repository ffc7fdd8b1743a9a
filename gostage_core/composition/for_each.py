"""``ForEach``: the same actions for each item of a collection in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gostage_core.authoring.definition_fields import StoreKey
from gostage_core.authoring.waits import Group, Member
from gostage_core.composition.composite import (
    Composite,
    Steps,
    definitions_of,
    outcome_of,
    results_of,
)
from gostage_core.errors import StoreTypeError
from gostage_core.values.codec import to_tree
from gostage_core.values.key import Key

if TYPE_CHECKING:
    from gostage_core.authoring.action import Action
    from gostage_core.composition.composite import Sequences
    from gostage_core.context import ActionContext


class ForEach(Composite, id="gostage.ForEach"):
    """Does its actions for each item of a collection.

    The collection is read from the store when the action begins; what becomes of it meanwhile
    changes nothing. A list or a tuple is taken in its order, a set in the order in which it is
    stored (the same in every process), of a dict the items as ``(key, value)`` tuples. The items
    are begun in order and done side by side; the actions of one item come one after another, and
    find it as ``ctx.item``, its number from 0 as ``ctx.index``.

    With ``store_as`` its value is a list with what the last action of each item returned, in the
    order of the items; ``None`` for an item of which that action did not complete. An empty
    collection completes at once. When ``retry`` tries it again, it does all items anew; time that
    its items take does not count towards ``timeout``.
    """

    key: StoreKey
    """The key of the store that holds the collection."""
    actions: Steps
    """What is done for each item."""
    max_parallel: int | None = Field(default=None, ge=1)
    """How many items at a time."""
    on_failure: Literal["fail_fast", "wait_all"] = "fail_fast"
    """Whether one failure ends it at once, or when all items are done."""
    join: int | None = Field(default=None, ge=1)
    """How many items must complete."""

    def __init__(
        self,
        key: Key[Any] | str,
        *actions: Action,
        max_parallel: int | None = None,
        store_as: str | None = None,
        on_failure: Literal["fail_fast", "wait_all"] = "fail_fast",
        join: int | None = None,
    ) -> None:
        """Bind it.

        Args:
            key: of the store, which holds the collection.
            actions: what is done for each item, one after another.
            max_parallel: how many items at a time; by default all.
            store_as: the key under which the list of results is written.
            on_failure: whether the failure of one item ends it at once (``"fail_fast"``), or when
                all items are done (``"wait_all"``).
            join: how many items must complete, as :func:`quorum` says it; by default, and where
                there are fewer, all.

        Raises:
            InvalidActionError: a value that does not fit, or something that is no bound action.
        """
        super().__init__(
            key=key.name if isinstance(key, Key) else key,
            actions=definitions_of("ForEach", actions),
            max_parallel=max_parallel,
            on_failure=on_failure,
            join=join,
        )
        self._take_options(store_as=store_as)

    def execute(self, ctx: ActionContext) -> object:
        """Begin a member for each item; when they have ended, return their results."""
        if ctx.phase:
            return results_of(outcome_of(ctx))
        items = self._items(ctx)
        members = tuple(
            Member(self.actions, label=f"[{index}]", item=item, index=index)
            for index, item in enumerate(items)
        )
        if not members:
            return []
        return Group(
            members,
            parallel=True,
            limit=self.max_parallel,
            on_failure=self.on_failure,
            quorum=None if self.join is None else min(self.join, len(members)),
            collect=ctx.keeps_result,
        )

    def _items(self, ctx: ActionContext) -> list[object]:
        """Return the items of the collection as the codec writes them."""
        found = ctx.store.get(self.key)
        match found:
            case dict():
                return [to_tree(pair) for pair in found.items()]
            case list() | tuple():
                return [to_tree(item) for item in found]
            case set() | frozenset():
                tree: Any = to_tree(found)  # it has an order, the set has none
                return list(tree["v"])
        raise StoreTypeError(self.key, "a list, tuple, set or dict", type(found).__name__)

    def _sequences(self) -> Sequences:
        return {"actions": self.actions}
