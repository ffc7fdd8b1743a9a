"""Leaves out of a large tree what nobody would find in it, and says how much that is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from gostage_core.graph.node import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST: Final = 40
"""Of more children than these some are left out."""

MOST_NODES: Final = 400
"""A drawing that is larger is thinned out further; Mermaid refuses one of more than 500 lines."""

_SHORTER: Final = (LONGEST, 20, 10, 5)

_RANKS: Final = {"failed": 0, "running": 1, "waiting": 2, "sleeping": 2, "paused": 2}
_CHANGED: Final = 3
_UNREMARKABLE: Final = 4


def folded(node: Node) -> Node:
    """Return *node* with lists of children of bounded length, and not too many in all."""
    for longest in _SHORTER:
        thin = _thinned(node, longest)
        if thin.size <= MOST_NODES:
            return thin
    return thin


def _thinned(node: Node, longest: int) -> Node:
    children = node.children
    if len(children) > longest:
        children = tuple(_with_gaps(children, _worth_a_look(children, longest)))
    return replace(node, children=tuple(_thinned(child, longest) for child in children))


def _worth_a_look(children: Sequence[Node], longest: int) -> set[int]:
    """Return which children stay: the first, the last, and those of which something is to say."""
    ends = max(1, longest // 4)
    ranked = sorted(range(len(children)), key=lambda index: (_rank(children[index]), index))
    remarkable = [i for i in ranked[: longest // 2] if _rank(children[i]) < _UNREMARKABLE]
    return {*range(ends), *range(len(children) - ends, len(children)), *remarkable}


def _rank(node: Node) -> int:
    changed = node.added_by or not node.is_quiet
    own = _RANKS.get(node.state, _CHANGED if changed else _UNREMARKABLE)
    return min([own, *map(_rank, node.children)])


def _with_gaps(children: Sequence[Node], kept: set[int]) -> Iterator[Node]:
    for is_kept, group in groupby(range(len(children)), kept.__contains__):
        part = [children[index] for index in group]
        if is_kept or len(part) == 1:
            yield from part
        else:
            yield _fold(part)


def _fold(left_out: Sequence[Node]) -> Node:
    states = Counter(node.state for node in left_out if node.state)
    added = sum(bool(node.added_by) for node in left_out)
    counts = [f"{number:,} {state}" for state, number in states.items()]
    if added:
        counts.append(f"{added:,} added")
    return Node(
        id=f"{left_out[0].id}…{left_out[-1].id}",
        label=f"… {len(left_out):,} {_noun(left_out)}",
        kind=Kind.FOLD,
        details=(", ".join(counts),) if counts else (),
    )


def _noun(nodes: Sequence[Node]) -> str:
    kinds = {node.kind for node in nodes}
    kind = kinds.pop() if len(kinds) == 1 else None
    return {Kind.STAGE: "stages", Kind.ACTION: "actions"}.get(kind or Kind.GROUP, "more")
