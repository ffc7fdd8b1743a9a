"""Workflows as data: what is written as JSON, sent to Redis and hashed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BeforeValidator, Field, JsonValue, SkipValidation, model_validator
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
from gostage_core.authoring.problems import shown
from gostage_core.authoring.sparse import SparseModel
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

    initial: dict[StoreKey, Tree] = Field(default_factory=dict)
    """Store values that are written when the stage starts."""

    actions: tuple[ActionDefinition, ...] = ()
    """What the stage does."""

    @model_validator(mode="after")
    def _limits_what_is_parallel(self) -> Self:
        if self.max_parallel is not None and not self.parallel:
            raise ValueError("max_parallel needs parallel=True")
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
