"""The options of an action: what may be said of it beside its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from pydantic import Field, ValidationError, field_validator

from gostage_core.authoring.definition_fields import (
    Description,
    Identifier,
    OptionalLabel,
    StoreKey,
    Tags,
    Timeout,
)
from gostage_core.authoring.problems import listing, problem_lines, suggestion
from gostage_core.authoring.retry import Retry
from gostage_core.authoring.sparse import SparseModel
from gostage_core.authoring.throttle import Throttle
from gostage_core.errors import InvalidActionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gostage_core.authoring.action import Action

    # The options are rebuilt where this is defined, which needs them itself.
    from gostage_core.authoring.definition import ActionDefinition  # noqa: TC004
    from gostage_core.duration import Duration


class OptionKeywords(TypedDict, total=False):
    """The options as keywords: of ``Action.options``, of ``@action`` and of an action's class."""

    name: str
    description: str
    tags: Iterable[str]
    queue: str | None
    priority: int | None
    retry: Retry | None
    timeout: Duration | None
    deadline: Duration | None
    on_error: Literal["fail", "continue"]
    store_as: str | None
    compensate: Action | None
    throttle: Throttle | None
    isolation: Literal["process"] | None
    memory_mb: int | None
    cpu_seconds: int | None


class ActionOptions(SparseModel):
    """The options as checked values."""

    name: OptionalLabel = ""
    """What the plan, the logs and Flower call the action; by default its id's last part."""

    description: Description = ""
    """What the action is for; by default the first paragraph of its docstring."""

    tags: Tags = ()
    """Words to select actions by."""

    queue: Identifier | None = None
    """The Celery queue that its messages go to; by default the application's own."""

    priority: int | None = Field(default=None, ge=0, le=9)
    """From 0 to 9; on Redis 0 is served first."""

    retry: Retry | None = None
    """When it is tried again; by default it is tried once."""

    timeout: Timeout | None = None
    """How long one try may take, in seconds; by default as long as it likes."""

    deadline: Timeout | None = None
    """How long it may take in all, in seconds from when its turn comes: every try, and all that it
    waits for between them. It fails then, and is not tried again."""

    on_error: Literal["fail", "continue"] = "fail"
    """Whether its last failure ends the run, or the run goes on without it."""

    store_as: StoreKey | None = None
    """The key of the store under which its return value is written."""

    compensate: ActionDefinition | None = None
    """What undoes the action, should the run fail or be cancelled after it has completed."""

    throttle: Throttle | None = None
    """How many go on at a time, or begin within a time, of all that shares its key."""

    isolation: Literal["process"] | None = None
    """``"process"`` runs each try in a process of its own, which may die without harm to others."""

    memory_mb: int | None = Field(default=None, ge=16)
    """How much memory such a process may use in all, in MiB. Enforced on Linux."""

    cpu_seconds: int | None = Field(default=None, ge=1)
    """How much processor time the body may use in such a process, in seconds."""

    @field_validator("compensate", mode="before")
    @classmethod
    def _as_data(cls, value: object) -> object:
        as_data = getattr(value, "_gostage_definition", None)
        return value if as_data is None else as_data()

    @field_validator("compensate")
    @classmethod
    def _undone_by_nothing(cls, value: ActionDefinition | None) -> ActionDefinition | None:
        if value is not None and value.compensate is not None:
            raise ValueError("what undoes an action is not undone itself; leave out its compensate")
        return value


OPTION_NAMES = frozenset(ActionOptions.model_fields)
"""What the options are called."""


def checked_options(given: Mapping[str, object], owner: str) -> dict[str, Any]:
    """Return the *given* options as checked values, in the order of the fields.

    Raises:
        TypeError: there is no such option, as for any wrong keyword.
        InvalidActionError: a value that does not fit; the message names *owner* and the option.
    """
    for name in given:
        if name not in OPTION_NAMES:
            hint = suggestion(name, OPTION_NAMES)
            raise TypeError(f"{owner}: got an unexpected keyword argument {name!r}{hint}")
    try:
        options = ActionOptions.model_validate(given)
    except ValidationError as error:
        raise InvalidActionError(listing(problem_lines(error, f"{owner}: option "))) from error
    return {name: getattr(options, name) for name in ActionOptions.model_fields if name in given}


def check_isolation(options: Mapping[str, Any], owner: str) -> None:
    """Check that what limits a process of one's own comes with such a process.

    Raises:
        InvalidActionError: it does not; the message names *owner* and the option.
    """
    for name in ("memory_mb", "cpu_seconds"):
        if options.get(name) is not None and options.get("isolation") is None:
            raise InvalidActionError(
                f"{owner}: option {name} limits a process of the action's own, and it has none; "
                f'add isolation="process", or leave {name} out'
            )
