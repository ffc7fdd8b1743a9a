"""A tree as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.graph.node import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.graph.node import Node


def to_text(root: Node) -> str:
    """Return *root* as a tree of lines; what stands side by side is joined by a double line."""
    return "\n".join([_line(root), *_below(root)]) + "\n"


def _below(node: Node) -> Iterator[str]:
    branch, last_branch = ("╞═", "╘═") if node.parallel else ("├─", "└─")
    for number, child in enumerate(node.children, start=1):
        is_last = number == len(node.children)
        yield f"{last_branch if is_last else branch} {_line(child)}"
        for line in _below(child):
            yield f"{' ' if is_last else '│'}  {line}"


def _line(node: Node) -> str:
    return "  ".join(lines_of(node))
