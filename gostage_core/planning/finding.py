"""Finds actions of a plan by what people call them: name, path, or id of the entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gostage_core.errors import ActionNotFoundError
from gostage_core.status import ActionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gostage_core.planning.tree import ActionNode, Tree

_DONE: Final = frozenset({ActionStatus.COMPLETED, ActionStatus.SKIPPED, ActionStatus.REMOVED})


def called(tree: Tree, reference: str) -> list[ActionNode]:
    """Return the actions that *reference* may mean, in plan order: name, path or entry id.

    Raises:
        ActionNotFoundError: there is none.
    """
    entry = reference.removeprefix("#")
    found = [
        one
        for one in _every(tree)
        if reference in (one.spec["name"], one.path) or entry == one.entry
    ]
    if not found:
        raise ActionNotFoundError(reference)
    return found


def unfinished(tree: Tree, references: Iterable[str]) -> list[str]:
    """Return the entries that *references* mean, but for those whose turn has passed.

    Raises:
        ActionNotFoundError: none of one's is left.
    """
    entries: list[str] = []
    for reference in references:
        left = [one.entry for one in called(tree, reference) if one.status not in _DONE]
        if not left:
            raise ActionNotFoundError(reference, is_over=True)
        entries += left
    return list(dict.fromkeys(entries))


def _every(tree: Tree) -> Iterator[ActionNode]:
    return (action for stage in tree.stages for action in stage.actions)
