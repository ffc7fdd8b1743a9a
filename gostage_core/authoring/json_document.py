"""JSON files as values, and the lines on which their parts stand."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.positions import SpotTree

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|\n|[^\s,:"{}\[\]]+')


def repeats_a_name(text: str) -> bool:
    """Tell whether an object in *text*, which is JSON, has a name twice: only the last would count.

    Raises:
        RecursionError: lists and objects lie too deep in one another.
    """
    repeated = False

    def note(pairs: Sequence[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({name for name, _ in pairs}) < len(pairs)

    json.loads(text, object_pairs_hook=note)
    return repeated


def json_spots(text: str) -> SpotTree:
    """Return where everything stands in *text*, which is JSON."""
    tree, line = SpotTree(), 1
    for token in _TOKEN.finditer(text):
        match token[0]:
            case "\n":
                line += 1
            case "{" | "[" as bracket:
                tree.open(line, is_object=bracket == "{")
            case "}" | "]":
                tree.close()
            case scalar if tree.awaits_name:
                tree.name(json.loads(scalar), line)
            case _:
                tree.value(line)
    return tree
