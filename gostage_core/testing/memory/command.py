"""Marks methods as commands: how many arguments they take, and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Shape = Literal["value", "list", "any"]
"""What a command answers: a number, text or nothing; a flat list of these; or anything.

Scripts are given the first two without a detour, so whatever they call often is one of them.
"""

MANY: Final = 2**31
"""As many arguments as there are."""

M = TypeVar("M", bound="Callable[..., Any]")


class Command(NamedTuple):
    """One command of one server."""

    run: Callable[..., Any]
    least: int
    most: int
    shape: Shape
    in_scripts: bool


class Rule(NamedTuple):
    """What is said of a command where it is defined."""

    least: int
    most: int
    shape: Shape
    in_scripts: bool


def command(
    least: int, most: int | None = None, shape: Shape = "value", *, in_scripts: bool = True
) -> Callable[[M], M]:
    """Make a method a command, which is called like the method.

    Args:
        least: how many arguments it takes at least, behind its name.
        most: how many at most; by default as many as at least.
        shape: what it answers.
        in_scripts: whether a script may call it.
    """
    rule = Rule(least, least if most is None else most, shape, in_scripts)

    def mark(method: M) -> M:
        method.rule = rule  # type: ignore[attr-defined]
        return method

    return mark


def commands_of(group: object) -> Iterator[tuple[bytes, Command]]:
    """Yield the commands that are methods of *group*, by name in capitals."""
    for name, method in vars(type(group)).items():
        rule = getattr(method, "rule", None)
        if rule is not None:
            yield name.strip("_").upper().encode(), Command(getattr(group, name), *rule)
