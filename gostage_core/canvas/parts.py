"""What a canvas is made of, once Celery's many shapes of it are told apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Call:
    """One task."""

    path: str
    """Where it stands: ``chain[2].group[0]``."""
    task: str
    args: list[JsonValue]
    kwargs: dict[str, JsonValue]
    immutable: bool = False
    """Whether it takes nothing of what comes before it."""
    queue: str | None = None
    message: dict[str, JsonValue] = field(default_factory=dict)
    """Further options of its message, as ``apply_async`` takes them."""

    @property
    def name(self) -> str:
        """The last part of the task's name."""
        return self.task.rpartition(".")[2] or self.task


@dataclass(frozen=True, slots=True)
class Line:
    """Parts one after another: each is given the result of the one before it."""

    path: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sides:
    """Parts side by side: all are given the same, and the result is the list of theirs."""

    path: str
    members: tuple[Part, ...]


Part = Call | Line | Sides


def takes_a_result(part: Part) -> bool:
    """Tell whether something in *part* is given the result of what comes before it."""
    if isinstance(part, Call):
        return not part.immutable
    if isinstance(part, Line):
        return bool(part.parts) and takes_a_result(part.parts[0])
    return any(takes_a_result(member) for member in part.members)
