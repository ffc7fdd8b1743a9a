"""A tree as a flowchart of Mermaid."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from gostage_core.graph.node import Kind, lines_of
from gostage_core.graph.palette import PALETTE, STRONG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.graph.node import Node

_LONGEST_LINE: Final = 80

_SHAPES: Final = {Kind.WORKFLOW: '(["{}"])', Kind.ACTION: '("{}")'}
_DASHES: Final = {"fold": "stroke-dasharray:2 2", "added": "stroke-dasharray:6 4"}
_SHAPE: Final = '["{}"]'

# Line ends, formulas and icons are looked for once the entities have become letters.
_LOOKED_FOR_LATE: Final = re.compile(r"(?<=\\)(?=n)|(?<=\$)(?=\$)|(?<=:)(?=fa-)")
_UNSEEN: Final = "\u200b"

# What Mermaid, or the Markdown in its labels, would take for its own.
_SPECIAL: Final = re.compile(
    r"""["\#&<>`*~\[\]{}|\\^@;$%\u200b]
    | (?<![^\W_])_ | _(?![^\W_])      # emphasis; inside of a word it is none
    | ^\d+[.)] | ^[-+=]               # lists, rules
    | :(?=//) | (?<=www)\.            # links
    | (?<=direction)\ (?=[TBLR][TBDLR])   # a statement, wherever in a line it stands
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Before it parses, Mermaid cuts the semicolon off what looks like a line of styles with a colour.
_LIKE_STYLES: Final = re.compile("style|classDef")


def to_mermaid(root: Node) -> str:
    """Return *root* as a flowchart: its children from the top down, what is inside in boxes."""
    return "\n".join(_Flowchart(root).lines) + "\n"


class _Flowchart:
    """The lines of a flowchart; its nodes are called n1, n2 …, whatever stands in them."""

    def __init__(self, root: Node) -> None:
        self.lines = ["flowchart TD"]
        self._classes: defaultdict[str, list[str]] = defaultdict(list)
        self._count = 0
        head = self._leaf(root, "    ")
        names = [self._draw(child, "    ") for child in root.children]
        self._link(((head, name) for name in names) if root.parallel else pairwise([head, *names]))
        self._style()

    def _draw(self, node: Node, indent: str) -> str:
        """Draw *node* with all that is inside, and return its name."""
        if not node.children:
            return self._leaf(node, indent)
        name = self._named(node)
        self.lines.append(f'{indent}subgraph {name}["{_text(node)}"]')
        inside = [self._draw(child, f"{indent}    ") for child in node.children]
        if not node.parallel:
            self._link(pairwise(inside), f"{indent}    ")
        self.lines.append(f"{indent}end")
        return name

    def _leaf(self, node: Node, indent: str) -> str:
        name = self._named(node)
        shape = _SHAPES.get(node.kind, _SHAPE).format(_text(node))
        self.lines.append(f"{indent}{name}{shape}")
        return name

    def _named(self, node: Node) -> str:
        self._count += 1
        name = f"n{self._count}"
        if node.kind is Kind.FOLD:
            self._classes["fold"].append(name)
        if node.state in PALETTE:
            self._classes[node.state].append(name)
        if node.added_by:
            self._classes["added"].append(name)
        return name

    def _link(self, pairs: Iterable[tuple[str, str]], indent: str = "    ") -> None:
        self.lines += [f"{indent}{first} --> {second}" for first, second in pairs]

    def _style(self) -> None:
        for name, members in self._classes.items():
            self.lines.append(f"    classDef {name} {_style(name)}")
            self.lines.append(f"    class {','.join(members)} {name}")


def _style(name: str) -> str:
    if name in _DASHES:
        return _DASHES[name]
    fill, border, text = PALETTE[name]
    width = ",stroke-width:3px" if name in STRONG else ""
    struck = ",text-decoration:line-through" if name == "removed" else ""
    return f"fill:{fill},stroke:{border},color:{text}{width}{struck}"


def _text(node: Node) -> str:
    return "<br/>".join(map(_escaped, lines_of(node, _LONGEST_LINE))) or " "


def _escaped(line: str) -> str:
    text = _LOOKED_FOR_LATE.sub(_UNSEEN, line)
    text = _SPECIAL.sub(lambda match: "".join(map(_entity, match[0])), text)
    return text.replace(":", _entity(":")) if _LIKE_STYLES.search(text) else text


def _entity(one: str) -> str:
    return one if one.isalnum() else f"#{ord(one)};"
