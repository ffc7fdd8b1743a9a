"""Bounds on JSON values from outside: their depth, their size, and what they are made of."""

from __future__ import annotations

import math
from typing import Final

DEEPEST: Final = 64
"""How deep lists and objects may lie in one another, in one value."""

DEEPEST_DOCUMENT: Final = DEEPEST + 8
"""The same in a document: some levels are above its values."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""The longest text of a document."""


def check_depth(tree: object, deepest: int = DEEPEST) -> None:
    """Check that lists and objects lie in one another at most so deep, and never in themselves.

    Raises:
        ValueError: they do.
    """
    level = [tree]
    for _ in range(deepest + 1):
        # One that is met twice in a level is looked at once, or repeated references to it would
        # multiply from level to level.
        level = list({id(part): part for one in level for part in _nested(one)}.values())
        if not level:
            return
    raise ValueError(f"lists and objects lie more than {deepest} deep in one another")


def expanded_size(tree: object) -> int:
    """Return about how long *tree* is as JSON, where :func:`check_depth` has passed it."""
    return _size(tree, {})


def fault_of(tree: object) -> str | None:
    """Say what in *tree* is no JSON value, or return ``None``; its depth must have been checked."""
    if isinstance(tree, dict):
        wrong = next((key for key in tree if not isinstance(key, str)), None)
        if wrong is not None:
            return f"a key is text, not {type(wrong).__name__}"
        return next(filter(None, map(fault_of, tree.values())), None)
    if isinstance(tree, list):
        return next(filter(None, map(fault_of, tree)), None)
    if isinstance(tree, float) and not math.isfinite(tree):
        return f"{tree} is not a JSON number"
    if isinstance(tree, str | int | float | None):
        return None
    return f"{type(tree).__name__} is not a JSON value"


def _nested(one: object) -> list[object]:
    if isinstance(one, dict):
        return [part for part in one.values() if isinstance(part, dict | list | tuple)]
    if isinstance(one, list | tuple):
        return [part for part in one if isinstance(part, dict | list | tuple)]
    return []


def _size(tree: object, known: dict[int, int]) -> int:
    if isinstance(tree, str):
        return len(tree) + 3
    if not isinstance(tree, dict | list | tuple):
        return 2
    size = known.get(id(tree))
    if size is None:
        parts = [*tree, *tree.values()] if isinstance(tree, dict) else tree
        size = known[id(tree)] = 2 + sum(_size(part, known) for part in parts)
    return size
