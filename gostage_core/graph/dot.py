"""A tree in the language of Graphviz."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from gostage_core.graph.node import Kind, lines_of
from gostage_core.graph.palette import PALETTE, STRONG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.graph.node import Node

_LONGEST_LINE: Final = 80


def to_dot(root: Node) -> str:
    """Return *root* as a directed graph, what is inside of something in a cluster."""
    return "\n".join(_Digraph(root).lines) + "\n"


class _Drawn(NamedTuple):
    """A node or a cluster: edges go from and to nodes, and are cut off at the cluster's border."""

    first: str
    last: str
    cluster: str = ""


class _Digraph:
    def __init__(self, root: Node) -> None:
        self.lines = [
            f"digraph {_quoted(lines_of(root)[:1])} {{",
            "    compound=true;",
            '    node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif"];',
        ]
        self._count = 0
        head = self._leaf(root, "    ")
        inside = [self._draw(child, "    ") for child in root.children]
        self._link([(head, one) for one in inside] if root.parallel else pairwise([head, *inside]))
        self.lines.append("}")

    def _draw(self, node: Node, indent: str) -> _Drawn:
        if not node.children:
            return self._leaf(node, indent)
        cluster = f"cluster_{self._named()}"
        self.lines.append(f"{indent}subgraph {cluster} {{")
        self.lines.append(f'{indent}    style="rounded,filled"; fontname="sans-serif";')
        self.lines.append(f"{indent}    {'; '.join(_attributes(node, 'bgcolor'))};")
        inside = [self._draw(child, f"{indent}    ") for child in node.children]
        if not node.parallel:
            self._link(pairwise(inside), f"{indent}    ")
        self.lines.append(f"{indent}}}")
        return _Drawn(inside[0].first, inside[-1].last, cluster)

    def _leaf(self, node: Node, indent: str) -> _Drawn:
        name = self._named()
        self.lines.append(f"{indent}{name} [{', '.join(_attributes(node, 'fillcolor'))}];")
        return _Drawn(name, name)

    def _named(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def _link(self, pairs: Iterable[tuple[_Drawn, _Drawn]], indent: str = "    ") -> None:
        for tail, head in pairs:
            ends = [
                f"{end}={drawn.cluster}"
                for end, drawn in (("ltail", tail), ("lhead", head))
                if drawn.cluster
            ]
            cut = f" [{', '.join(ends)}]" if ends else ""
            self.lines.append(f"{indent}{tail.last} -> {head.first}{cut};")


def _attributes(node: Node, fill: str) -> list[str]:
    attributes = [f"label={_quoted(lines_of(node, _LONGEST_LINE))}"]
    if node.state in PALETTE:
        colours = PALETTE[node.state]
        attributes += [
            f'{fill}="{colours.fill}"',
            f'color="{colours.border}"',
            f'fontcolor="{colours.text}"',
        ]
    if node.added_by or node.kind is Kind.FOLD:
        attributes.append('style="rounded,filled,dashed"')
    if node.state in STRONG:
        attributes.append("penwidth=2")
    return attributes


def _quoted(lines: list[str]) -> str:
    escaped = [
        line.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in lines
    ]
    return '"' + "\\n".join(escaped) + '"'
