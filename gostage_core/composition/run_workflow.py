"""``RunWorkflow``: another workflow as a run of its own, for whose end the action waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from gostage_core.authoring.definition import Tree, WorkflowDefinition
from gostage_core.authoring.definition_fields import StoreKey
from gostage_core.authoring.json_tree import MOST_BYTES
from gostage_core.authoring.problems import is_a_problem, shown
from gostage_core.authoring.registry import registry
from gostage_core.authoring.waits import ChildRun
from gostage_core.authoring.workflow import Workflow
from gostage_core.composition.composite import Composite, outcome_of
from gostage_core.errors import (
    ChildCancelledError,
    DefinitionError,
    DuplicateStageError,
    InvalidActionError,
    KeyNotFoundError,
    StoreError,
    UnknownActionError,
)
from gostage_core.status import RunStatus
from gostage_core.store import encoded_value
from gostage_core.values.key import Key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from pydantic import JsonValue

    from gostage_core.context import ActionContext

    KeyLike = Key[Any] | str


def _named_alike(value: object) -> object:
    return dict(zip(value, value, strict=True)) if isinstance(value, list | tuple) else value


_NAMES: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "items": {"type": "string"}},
    ]
}

Names = Annotated[dict[StoreKey, StoreKey], BeforeValidator(_named_alike), WithJsonSchema(_NAMES)]
"""Keys of one store by those of another; a list where both are called alike."""


class RunWorkflow(Composite, id="gostage.RunWorkflow"):
    """Submits another workflow as a run of its own, and waits for its end.

    The workflow is a part of this action, as it is when the action is made. The child run has its
    own store, which begins with what it is given, and its own journal; it is cancelled with this
    run. When it has completed, or ended early by ``bail``, what is taken from its store is copied
    as it is. When it fails, this action fails with its failure; when it is cancelled, with
    ``ChildCancelledError``. Each try of ``retry`` is another child run. Its value is the child's
    run id.
    """

    workflow: WorkflowDefinition
    """The definition of the other workflow."""
    give: Names = Field(default_factory=dict)
    """Keys of the child's store, and the keys here that they are copied from."""
    store: dict[StoreKey, Tree] = Field(default_factory=dict)
    """First values of the child's store."""
    take: Names = Field(default_factory=dict)
    """Keys here, and the keys of the child's store that they are copied from."""

    def __init__(
        self,
        other: Workflow | Mapping[str, Any],
        *,
        give: Mapping[KeyLike, KeyLike] | Sequence[KeyLike] = (),
        store: Mapping[KeyLike, Any] | None = None,
        take: Mapping[KeyLike, KeyLike] | Sequence[KeyLike] = (),
        store_as: str | None = None,
    ) -> None:
        """Bind it.

        Args:
            other: the workflow, or its definition as a dict; it is copied now.
            give: what the child's store begins with: ``{"child.key": "parent.key"}``, or a list of
                keys that are called alike in both. They must be there when the action begins.
            store: further values that the child's store begins with; they are copied now.
            take: what is copied back: ``{"parent.key": "child.key"}``, or a list of keys that are
                called alike in both.
            store_as: the key under which the child's run id is written.

        Raises:
            InvalidWorkflowError: *other* is no workflow, or one that cannot be run.
            InvalidActionError: another value that does not fit.
        """
        super().__init__(
            workflow=_definition_of(other),
            give=_names(give),
            store=_trees(store or {}),
            take=_names(take),
        )
        self._take_options(store_as=store_as)

    def execute(self, ctx: ActionContext) -> object:
        """Submit the child run; when it has ended, take what is wanted and return its id."""
        if not ctx.phase:
            return ChildRun(self.workflow, self._values(ctx))
        outcome = outcome_of(ctx)
        if outcome.child_status == RunStatus.CANCELLED:
            raise ChildCancelledError(outcome.child_id)
        for here, there in self.take.items():
            if there not in outcome.child_values:
                raise KeyNotFoundError(there, outcome.child_id)
            ctx.store.put_encoded(here, outcome.child_values[there])
        return outcome.child_id

    def _values(self, ctx: ActionContext) -> dict[str, bytes]:
        own = {name: _encoded(tree) for name, tree in self.store.items()}
        return own | {there: ctx.store.encoded(here) for there, here in self.give.items()}

    def _gostage_settled(self, where: str) -> Self:
        workflow = _read(json.loads(self.workflow.to_json()), f"{where}.workflow")
        return self.model_copy(update={"workflow": workflow})

    def _gostage_child_depth(self) -> int:
        actions = [one for stage in self.workflow.stages for one in stage.actions]
        built = [registry.build(one.action, one.params) for one in actions]
        return 1 + max((one._gostage_child_depth() for one in built), default=0)


def _definition_of(other: object) -> WorkflowDefinition:
    if isinstance(other, Workflow):
        return other.definition()
    if isinstance(other, Mapping):
        return _read(dict(other), "RunWorkflow.workflow")
    raise InvalidActionError(
        f"RunWorkflow: a Workflow or its definition as a dict is wanted, not {shown(other)}"
    )


def _read(document: dict[str, Any], place: str) -> WorkflowDefinition:
    try:
        return Workflow.from_dict(document).definition()
    except DefinitionError as error:
        raise _relocated(error, place) from error


def _relocated(error: DefinitionError, place: str) -> DefinitionError:
    """Return *error* of a document that stands at *place* in another one."""
    if isinstance(error, UnknownActionError):
        return error.at(_placed(error.where, place))
    if isinstance(error, DuplicateStageError):
        return DuplicateStageError(error.stage_id, _placed(error.where, place))
    return type(error)(_placed(str(error), place))


def _placed(text: str, place: str) -> str:
    return "\n".join(
        f"{place}.{line}" if is_a_problem(line) else line for line in text.splitlines()
    )


def _trees(values: Mapping[KeyLike, Any]) -> dict[str, Any]:
    trees = {}
    for key, value in values.items():
        try:
            name, data = encoded_value(key, value, MOST_BYTES)
        except (DefinitionError, StoreError) as error:
            raise InvalidActionError(f"RunWorkflow.store.{_name(key)}: {error}") from error
        trees[name] = json.loads(data)
    return trees


def _encoded(tree: JsonValue) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode("ascii")


def _names(given: Mapping[Any, Any] | Sequence[Any]) -> object:
    if isinstance(given, Mapping):
        return {_name(one): _name(other) for one, other in given.items()}
    return [_name(one) for one in given] if isinstance(given, list | tuple) else given


def _name(key: object) -> object:
    return key.name if isinstance(key, Key) else key
