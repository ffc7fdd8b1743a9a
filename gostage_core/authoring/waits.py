"""What an action may wait for in place of ending, and how that went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from gostage_core.authoring.definition import ActionDefinition, WorkflowDefinition
    from gostage_core.failure import Failure


NO_ITEM: Final = object()
"""Stands where an action belongs to no ``ForEach``."""


@dataclass(frozen=True, slots=True)
class Member:
    """Actions one after another, as one member of a group."""

    actions: tuple[ActionDefinition, ...]
    label: str = ""
    """What tells this member from the others in a path: ``[3]``."""
    item: JsonValue | object = NO_ITEM
    """What its actions find as ``ctx.item``, as the codec writes it."""
    index: int | None = None
    """What its actions find as ``ctx.index``."""


@dataclass(frozen=True, slots=True)
class Group:
    """Entries below the one that waits; it goes on when they have ended."""

    members: tuple[Member, ...]
    parallel: bool = False
    limit: int | None = None
    """How many members at a time."""
    on_failure: Literal["fail_fast", "wait_all"] = "fail_fast"
    quorum: int | None = None
    """How many members must complete; ``None`` for all."""
    keeps: int | None = None
    """How many groups of the entry the plan keeps, this one included; ``None`` for all."""
    collect: bool = False
    """Whether what the last action of each member returns is kept, for :class:`Outcome`."""


@dataclass(frozen=True, slots=True)
class ChildRun:
    """A run of its own, whose parent is the entry that waits."""

    definition: WorkflowDefinition
    values: Mapping[str, bytes]
    """First values of its store, encoded."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something that comes from outside: whoever brings it names ``id``."""

    id: str
    timeout: float | None = None
    """Seconds until the entry goes on without it."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Time, and nothing else."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SignalWait:
    """A signal to the run. What came is kept with the entry, for its later attempts."""

    which: int
    """The number of this wait among those of the entry, from 0."""
    name: str
    type: str = ""
    """What the signal is to bring: the name of a registered class, or of a plain type."""
    timeout: float | None = None
    """Seconds until the entry goes on without it, counted from its first wait for this one."""
    refusal: str = ""
    """Why the signal that came does not do."""


Wait = Group | ChildRun | Delivery | Timer | SignalWait


@dataclass(frozen=True, slots=True)
class Outcome:
    """How that went for which an entry waited."""

    failure: Failure | None = None
    """Of the entry below, or of the child run, that failed; it has its whole path."""
    results: tuple[bytes | None, ...] = ()
    """What the members of a collecting group returned, encoded, in order; ``None`` for a member
    that failed or was left out."""
    child_id: str = ""
    child_status: str = ""
    """Of a child run: how it ended."""
    child_values: Mapping[str, bytes] = field(default_factory=dict)
    """Of a child run: its store, encoded."""
    delivered: bytes | None = None
    """What came from outside; ``None`` when nothing came in time."""


@dataclass(frozen=True, slots=True)
class HookReport:
    """What an entry that runs hooks of middleware returns in place of a value."""

    verdict: Literal["", "skip", "recover"] = ""
    """``skip``: the scope does not begin; ``recover``: it completes although it failed."""
    scratch: str = ""
    """JSON that the hooks before a scope leave to those after it."""
    entered: int = 0
    """How many middlewares, the outermost first, the scope was entered through."""
    by: str = ""
    """Which middleware decided so."""
    reason: str = ""
    """Why, in its words."""


@dataclass(frozen=True, slots=True)
class HookStart:
    """What an entry that runs the hooks after a scope begins with."""

    status: str
    """How the scope went: ``completed``, ``failed``, ``skipped``, ``cancelled`` or ``bailed``."""
    error: Failure | None = None
    """Why it failed."""
    scratch: str = ""
    """What the hooks before it left; empty where there were none."""
    entered: int = 0
    """As they reported it."""


class BelowFailedError(Exception):
    """Raised by an entry that fails because of what is below it: its failure is that one's."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure
