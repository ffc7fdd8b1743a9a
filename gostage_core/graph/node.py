"""The neutral tree that every drawing is made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a node stands for."""

    WORKFLOW = "workflow"
    STAGE = "stage"
    ACTION = "action"
    GROUP = "group"
    """A part of an action that is made of others: a case, an item, a pass."""
    FOLD = "fold"
    """Nodes that are left out."""


@dataclass(frozen=True, slots=True)
class Node:
    """Something that is drawn, with what is inside."""

    id: str
    """What the plan calls it, or its place in a document; unique in one tree."""
    label: str
    kind: Kind
    details: tuple[str, ...] = ()
    """Further lines of text."""
    state: str = ""
    """How it stands, by the word of its status; empty where nothing runs."""
    added_by: str = ""
    """Who added it to the plan; empty where it was there from the beginning."""
    parallel: bool = False
    """Whether the children stand side by side, rather than one after another."""
    children: tuple[Node, ...] = ()

    @property
    def size(self) -> int:
        """How many nodes there are, this one included."""
        return 1 + sum(child.size for child in self.children)

    @property
    def is_quiet(self) -> bool:
        """Whether the state goes without saying."""
        return self.state in ("", "pending", "completed")


MARKS: Final = {
    "pending": "·",
    "running": "▶",
    "sleeping": "z",
    "waiting": "?",
    "paused": "‖",
    "completed": "✓",
    "failed": "✗",
    "skipped": "-",
    "removed": "x",
    "cancelled": "⊘",
    "bailed": "⊘",
}
"""What stands before a label, for those who see no colours."""


def lines_of(node: Node, longest: int | None = None) -> list[str]:
    """Return the text of *node*: its label, and a line for each thing to know of it.

    Args:
        node: what is drawn.
        longest: how long a line may be; by default as long as it likes.
    """
    mark = MARKS.get(node.state)
    lines = [f"{mark} {node.label}" if mark else node.label, *node.details]
    if not node.is_quiet:
        lines.append(node.state)
    if node.added_by:
        lines.append(f"added by {node.added_by}")
    return [_shortened(_visible(line), longest) for line in lines]


def _visible(text: str) -> str:
    # What cannot be seen may end a line of the drawing, or turn the direction of the rest.
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _shortened(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"
