"""Conditions by which actions and stages of a plan are selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gostage_core.authoring.action import Action, ActionFunction
from gostage_core.authoring.registry import registry
from gostage_core.errors import UnknownActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gostage_core.status import ActionStatus


class Selectable(Protocol):
    """What can be selected by what it is called, and how it stands."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def description(self) -> str:
        """What it is for."""

    @property
    def tags(self) -> Sequence[str]:
        """Words to select it by."""

    @property
    def status(self) -> ActionStatus:
        """Where it stands."""


def common_conditions(
    *,
    tag: str | None,
    any_tags: Iterable[str] | None,
    all_tags: Iterable[str] | None,
    name: str | None,
    name_contains: str | None,
    description_contains: str | None,
    status: ActionStatus | str | None,
) -> list[Callable[[Selectable], bool]]:
    """Return what was asked for as conditions; ``None`` asks for nothing."""
    conditions: list[Callable[[Selectable], bool]] = []
    if tag is not None:
        conditions.append(lambda one: tag in one.tags)
    if any_tags is not None:
        either = _words("any_tags", any_tags)
        conditions.append(lambda one: not either.isdisjoint(one.tags))
    if all_tags is not None:
        wanted = _words("all_tags", all_tags)
        conditions.append(lambda one: wanted.issubset(one.tags))
    if name is not None:
        conditions.append(lambda one: one.name == name)
    if name_contains is not None:
        part = name_contains.casefold()
        conditions.append(lambda one: part in one.name.casefold())
    if description_contains is not None:
        text = description_contains.casefold()
        conditions.append(lambda one: text in one.description.casefold())
    if status is not None:
        conditions.append(lambda one: one.status == status)
    return conditions


def is_a(wanted: Any) -> Callable[[str], bool]:
    """Return what tells of a registry id whether it is an action of this type.

    Args:
        wanted: a class, whose subclasses count; or a function that is an action.

    Raises:
        TypeError: it is neither.
    """
    cls = wanted.action_class if isinstance(wanted, ActionFunction) else wanted
    if not isinstance(cls, type):
        raise TypeError(f"type is a class or a function that is an action, not {wanted!r:.80}")

    def matches(id: str) -> bool:
        try:
            found = registry.get(id)
        except UnknownActionError:  # this process does not know what it is
            return False
        # A class that was loaded again is another object of the same id.
        is_same = issubclass(cls, Action) and cls.__action_id__ == id
        return is_same or issubclass(found, cls)

    return matches


def _words(what: str, given: Iterable[str]) -> frozenset[str]:
    if isinstance(given, str):
        raise TypeError(f"{what} is a list of words, not one text")
    return frozenset(given)
