"""Stages as they are built up: a head, and the actions added to it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from gostage_core.authoring.action import Action, ActionFunction, definition_of
from gostage_core.authoring.definition import StageDefinition
from gostage_core.authoring.json_tree import check_depth
from gostage_core.authoring.middleware import uses_of
from gostage_core.authoring.problems import listing, problem_lines, shown
from gostage_core.errors import DefinitionError, InvalidWorkflowError, StoreError
from gostage_core.values.codec import from_tree, to_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from gostage_core.authoring.definition import ActionDefinition
    from gostage_core.authoring.middleware import Middleware


class Stage:
    """A named phase of a workflow: actions in order, or side by side when ``parallel``."""

    def __init__(
        self,
        id: str,
        actions: Iterable[Action] = (),
        *,
        name: str = "",
        description: str = "",
        tags: Iterable[str] = (),
        initial: Mapping[str, Any] | None = None,
        parallel: bool = False,
        max_parallel: int | None = None,
        on_failure: Literal["fail_fast", "wait_all"] = "fail_fast",
        join: int | None = None,
    ) -> None:
        """Build a stage.

        Args:
            id: unique in its workflow; 1 to 200 of ``A-Z a-z 0-9 _ . : -``.
            actions: the first actions; :meth:`add` adds more.
            name: what people call it.
            description: what it is for.
            tags: words to select it by.
            initial: store values that are written when the stage starts, over what is there;
                they are copied now.
            parallel: whether its actions run side by side.
            max_parallel: how many of them at a time; by default all.
            on_failure: of a parallel stage: whether one failure ends it at once (``"fail_fast"``),
                or when all have ended (``"wait_all"``).
            join: of a parallel stage: how many actions must complete, as :func:`quorum` says it;
                by default all. What still runs when so many have completed is cancelled.

        Raises:
            InvalidWorkflowError: a value that does not fit, or something that is no bound action.
        """
        owner = f"stage {shown(id)}"
        self._head = _head(
            owner,
            id=id,
            name=name,
            description=description,
            tags=tags,
            initial=_trees(owner, {} if initial is None else initial),
            parallel=parallel,
            max_parallel=max_parallel,
            on_failure=on_failure,
            join=join,
        )
        self._actions: list[Action] = []
        self._entries: list[ActionDefinition] = []
        self._child_depth = 0
        if isinstance(actions, Action):  # which pydantic makes iterable
            raise InvalidWorkflowError(
                f"stage {self.id!r}: actions is a list; write [{actions!r:.80}]"
            )
        self.add(*actions)

    @classmethod
    def from_definition(cls, definition: StageDefinition, actions: Iterable[Action]) -> Self:
        """Return a stage like *definition*, with bound *actions* for those that it names."""
        stage = cls(definition.id, actions)
        stage._head = definition.model_copy(update={"actions": ()})
        return stage

    @property
    def id(self) -> str:
        """The stage's id, unique in its workflow."""
        return self._head.id

    @property
    def name(self) -> str:
        """What people call the stage; may be empty."""
        return self._head.name

    @property
    def description(self) -> str:
        """What the stage is for; may be empty."""
        return self._head.description

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to select the stage by."""
        return self._head.tags

    @property
    def initial(self) -> dict[str, Any]:
        """A copy of the store values that are written when the stage starts."""
        return {key: from_tree(tree) for key, tree in self._head.initial.items()}

    @property
    def parallel(self) -> bool:
        """Whether the actions run side by side."""
        return self._head.parallel

    @property
    def max_parallel(self) -> int | None:
        """How many actions run at a time; ``None`` for all."""
        return self._head.max_parallel

    @property
    def on_failure(self) -> Literal["fail_fast", "wait_all"]:
        """Whether one failure ends a parallel stage at once, or when all have ended."""
        return self._head.on_failure

    @property
    def join(self) -> int | None:
        """How many actions of a parallel stage must complete; ``None`` for all."""
        return self._head.join

    @property
    def actions(self) -> tuple[Action, ...]:
        """The bound actions, in order."""
        return tuple(self._actions)

    @property
    def child_depth(self) -> int:
        """How deep the child runs nest that its actions start; 0 where they start none."""
        return self._child_depth

    def add(self, *actions: Action) -> Self:
        """Add *actions* at the end, in this order, and return the stage. All are added or none.

        Raises:
            InvalidWorkflowError: something that is no bound action; says what to write instead.
            InvalidActionError: parameters that cannot be written as JSON.
        """
        bound = bound_actions(f"stage {self.id!r}", actions, InvalidWorkflowError)
        entries = [definition_of(one) for one in bound]
        depths = [one._gostage_child_depth() for one in bound]
        self._child_depth = max(self._child_depth, *depths, 0)
        self._actions += bound
        self._entries += entries
        return self

    def use(self, *middleware: Middleware) -> Self:
        """Wrap the stage and its actions in *middleware*, the outermost first; return the stage.

        What the workflow uses is outside of it.

        Raises:
            InvalidWorkflowError: something that is no middleware; says what to write instead.
            InvalidActionError: parameters that cannot be written as JSON.
        """
        uses = (*self._head.middleware, *uses_of(f"stage {self.id!r}", middleware))
        self._head = self._head.model_copy(update={"middleware": uses})
        return self

    def definition(self) -> StageDefinition:
        """Return a snapshot, which later changes of the stage do not touch."""
        return self._head.model_copy(update={"actions": tuple(self._entries)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and self.definition() == other.definition()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<stage {self.id!r}, {len(self._actions)} actions>"


def quorum(count: int) -> int:
    """Return *count*, for ``join=``: how many of those that run side by side must complete.

    Raises:
        InvalidWorkflowError: it is no whole number from 1.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InvalidWorkflowError(f"quorum: a whole number from 1 is wanted, not {shown(count)}")
    return count


def bound_actions(
    owner: str, actions: Iterable[object], error: type[DefinitionError]
) -> list[Action]:
    """Return *actions*, all of which are bound actions.

    Raises:
        DefinitionError: one is not; an *error*, which says what to write instead.
    """
    bound = []
    for one in actions:
        if not isinstance(one, Action):
            raise error(f"{owner}: {_instead(one)}")
        bound.append(one)
    return bound


def _head(owner: str, **values: Any) -> StageDefinition:
    try:
        return StageDefinition(**values)
    except ValidationError as error:
        raise InvalidWorkflowError(listing(problem_lines(error, f"{owner}: "))) from error


def _trees(owner: str, initial: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(initial, Mapping):
        raise InvalidWorkflowError(
            f"{owner}: initial: a dict is wanted, not {type(initial).__name__}"
        )
    trees = {}
    for key, value in initial.items():
        try:
            trees[key] = to_tree(value)
            check_depth(trees[key])
        except (DefinitionError, StoreError, ValueError) as error:
            raise InvalidWorkflowError(f"{owner}: initial {shown(key)}: {error}") from error
    return trees


def _instead(one: object) -> str:
    if isinstance(one, ActionFunction):
        return f"{one.__name__} is not bound to its parameters; add {one.__name__}.s(...)"
    if isinstance(one, type) and issubclass(one, Action):
        return f"{one.__name__} is a class; add an instance: {one.__name__}(...)"
    if inspect.isroutine(one):
        name = one.__name__
        return f"{name} is a plain function; decorate it with @action and add {name}.s(...)"
    if isinstance(one, list | tuple):
        return "actions are added one by one; write *actions"
    if isinstance(one, Stage):
        return "a stage is no action; add it to the workflow with add_stage(...)"
    return f"an action is wanted, not {type(one).__name__}"
