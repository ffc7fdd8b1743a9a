"""Workflows as data: what is written as JSON, sent to Redis and hashed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    SkipValidation,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from gostage_core.authoring.definition_fields import (
    ActionId,
    Description,
    Identifier,
    OptionalLabel,
    StoreKey,
    Tags,
)
from gostage_core.authoring.json_tree import MOST_BYTES
from gostage_core.authoring.options import ActionOptions
from gostage_core.authoring.problems import listing, problem_lines, shown
from gostage_core.authoring.sparse import SparseModel
from gostage_core.authoring.throttle import Throttle
from gostage_core.errors import InvalidWorkflowError

if TYPE_CHECKING:
    from typing import Self

MOST_STAGES: Final = 10_000
MOST_ACTIONS: Final = 100_000

Tree = Annotated[JsonValue, SkipValidation]
"""A JSON value, which whoever reads one from outside has checked."""

_LAST_PART: Final = re.compile(r"[^:.]*$")


def _readable(version: object) -> object:
    if version != 1:
        raise ValueError(f"this release reads format 1, not {shown(version)}")
    return version


class ActionCall(SparseModel):
    """A registered action and its parameters."""

    action: ActionId
    """The registry id of the action."""

    params: dict[str, Tree] = Field(default_factory=dict)
    """The parameters, as JSON."""


class ActionDefinition(ActionOptions, ActionCall):
    """One entry of a plan: a registered action, its parameters and its options."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.name:
            # Not by model_copy: the name is then not among the fields that were given.
            self.__dict__["name"] = default_name(self.action)
        return self

    def is_written(self, name: str) -> bool:
        """Tell whether the field *name* appears in JSON: whether it was given.

        That may be an option at its own default: where the action's class says otherwise, reading
        the JSON would bring back what was overridden.
        """
        return name in self.model_fields_set


# What undoes an action is one itself: the options know it by its name.
ActionOptions.model_rebuild(_types_namespace={"ActionDefinition": ActionDefinition})
ActionDefinition.model_rebuild()


class MiddlewareUse(SparseModel):
    """A registered middleware and its parameters."""

    use: ActionId
    """The registry id of the middleware."""

    params: dict[str, Tree] = Field(default_factory=dict)
    """The parameters, as JSON."""


class GuardRail(SparseModel):
    """What authors make themselves, by keyword."""

    def __init__(self, /, **values: Any) -> None:
        """Check and keep the values.

        Raises:
            InvalidWorkflowError: one does not fit; the message names it.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            owner, known = type(self).__name__, {"": type(self).model_fields.keys()}
            lines = problem_lines(error, f"{owner}.", known=known)
            raise InvalidWorkflowError(listing(lines)) from error

    # As in Retry: what is read from a document then keeps its place in it.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


class Addition(GuardRail):
    """Which actions may be added to a running plan, and by whom."""

    ids: tuple[str, ...]
    """Registry ids; ``*`` stands for any part of one."""

    by: tuple[str, ...] = ("*",)
    """``stage/action`` of an action that adds, or ``operator:name``; ``*`` for any part."""


class Limits(GuardRail):
    """Guard rails of a run: what may be added to its plan while it runs."""

    max_added_actions: int = Field(default=100_000, ge=0)
    """How many actions may be added in all."""

    max_added_stages: int = Field(default=10_000, ge=0)
    """How many stages may be added in all."""

    max_depth: int = Field(default=100, ge=0)
    """How deep additions may nest: what an added action adds is one deeper."""

    max_child_depth: int = Field(default=10, ge=0)
    """How deep child runs may nest."""

    may_add: tuple[Addition, ...] | None = None
    """Which actions may be added by whom; by default all by all."""


class StageDefinition(SparseModel):
    """One stage: actions in order, or side by side."""

    id: Identifier
    """Unique in the workflow."""

    name: OptionalLabel = ""
    """What people call the stage."""

    description: Description = ""
    """What the stage is for."""

    tags: Tags = ()
    """Words to select stages by."""

    parallel: bool = False
    """Whether its actions run side by side."""

    max_parallel: int | None = Field(default=None, ge=1)
    """How many of them at a time; by default all."""

    on_failure: Literal["fail_fast", "wait_all"] = "fail_fast"
    """Of a parallel stage: whether one failure ends it at once, or when all have ended."""

    join: int | None = Field(default=None, ge=1)
    """Of a parallel stage: how many actions must complete; by default all."""

    middleware: tuple[MiddlewareUse, ...] = ()
    """What wraps the stage and its actions, the outermost first."""

    initial: dict[StoreKey, Tree] = Field(default_factory=dict)
    """Store values that are written when the stage starts."""

    actions: tuple[ActionDefinition, ...] = ()
    """What the stage does."""

    @model_validator(mode="after")
    def _limits_what_is_parallel(self) -> Self:
        if self.max_parallel is not None and not self.parallel:
            raise ValueError("max_parallel needs parallel=True")
        if self.join is not None and not self.parallel:
            raise ValueError("join needs parallel=True")
        if self.on_failure != "fail_fast" and not self.parallel:
            raise ValueError("on_failure needs parallel=True")
        return self


class WorkflowDefinition(SparseModel):
    """A workflow: stages in order."""

    gostage: Annotated[Literal[1], BeforeValidator(_readable)] = 1
    """The version of this format."""

    id: Identifier
    """What runs of the workflow are listed under."""

    name: OptionalLabel = ""
    """What people call the workflow."""

    description: Description = ""
    """What the workflow is for."""

    tags: Tags = ()
    """Words to select runs by."""

    middleware: tuple[MiddlewareUse, ...] = ()
    """What wraps the run, each stage and each action, the outermost first."""

    limits: Limits | None = None
    """Guard rails for what is added while it runs."""

    throttle: Throttle | None = None
    """How many of its runs go on at a time, or begin within a time."""

    stages: tuple[StageDefinition, ...] = Field(json_schema_extra={"minItems": 1})
    """What the workflow does, in order."""

    def is_written(self, name: str) -> bool:
        """Tell whether the field *name* appears in JSON; the format's version always does."""
        return name == "gostage" or super().is_written(name)

    def to_json(self, indent: int | None = None) -> str:
        """Return the definition as JSON text, without what is at its default.

        Raises:
            InvalidWorkflowError: the text would be longer than 16 MB.
        """
        return _bounded(self.id, self.model_dump_json(indent=indent))

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, in hex: the same in every process."""
        data = from_json(self.to_json())
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def check_counts(stages: int, actions: int) -> None:
    """Check how many stages and actions a workflow has.

    Raises:
        InvalidWorkflowError: more than 10,000 stages or 100,000 actions.
    """
    if stages > MOST_STAGES:
        raise InvalidWorkflowError(
            f"the workflow has {stages:,} stages, more than the limit of {MOST_STAGES:,}"
        )
    if actions > MOST_ACTIONS:
        raise InvalidWorkflowError(
            f"the workflow has {actions:,} actions, more than the limit of {MOST_ACTIONS:,}; "
            f"let actions add what follows while it runs, or submit several workflows"
        )


def default_name(action_id: str) -> str:
    """Return what an entry is called that is given no name: the id's last part."""
    match = _LAST_PART.search(action_id)
    return (match[0] if match else "") or action_id


def _bounded(workflow_id: str, text: str) -> str:
    size = len(text) if text.isascii() else len(text.encode())
    if size > MOST_BYTES:
        raise InvalidWorkflowError(
            f"workflow {workflow_id!r} is {size:,} bytes of JSON, more than the limit of "
            f"{MOST_BYTES:,}; keep large data elsewhere and pass a reference"
        )
    return text
