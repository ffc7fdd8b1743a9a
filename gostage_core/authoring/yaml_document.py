"""YAML files as JSON values: what YAML has in common with JSON, and no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from gostage_core.authoring.json_tree import DEEPEST_DOCUMENT
from gostage_core.authoring.positions import SpotTree
from gostage_core.errors import InvalidWorkflowError

if TYPE_CHECKING:
    from yaml import SafeLoader

    from gostage_core.authoring.positions import Spot
else:
    # The parser in C is several times faster, but not part of every build of PyYAML.
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(SafeLoader):
    """Reads plain words as JSON does; YAML 1.1 takes ``on`` for true, 010 for 8 and 1:30 for 90."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's way to make a loader


_NUMBER: Final = "-+.0123456789"
_WORDS: Final[tuple[tuple[str, str, list[str]], ...]] = (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)$", list(_NUMBER)),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$",
        list(_NUMBER),
    ),
)
for _tag, _pattern, _first in _WORDS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def parse_yaml(text: str, file: str) -> tuple[object, SpotTree]:
    """Return what *text* holds, and where in it everything stands.

    Args:
        text: of the file.
        file: what messages call it.

    Raises:
        InvalidWorkflowError: it is not YAML; the message begins with file and line.
    """
    try:
        # The composer calls itself for each level, and the one in C ends the process if it is too
        # many: the events, which count the levels, come first.
        spots = _spots(text, file)
        return yaml.load(text, _Loader), spots  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1 if mark else 1}"
        if "nesting depth" in str(error.problem):  # libyaml from 0.2.6 on has a bound of its own
            raise InvalidWorkflowError(f"{where}: nested too deeply") from error
        column = f" (column {mark.column + 1})" if mark else ""
        raise InvalidWorkflowError(f"{where}: not YAML: {_complaint(error)}{column}") from error
    except (yaml.YAMLError, ValueError) as error:
        line = _line_at(text, getattr(error, "position", None))
        complaint = " ".join(str(error).split())
        raise InvalidWorkflowError(f"{file}:{line}: not YAML: {complaint}") from error


def _spots(text: str, file: str) -> SpotTree:
    tree = SpotTree()
    anchors: dict[str, Spot] = {}
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if tree.depth > DEEPEST_DOCUMENT:
            raise InvalidWorkflowError(f"{file}:{line}: nested too deeply")
        if isinstance(event, yaml.CollectionEndEvent):
            tree.close()
        elif isinstance(event, yaml.NodeEvent):
            _take(event, line, tree, anchors, file)
    return tree


def _take(
    event: yaml.NodeEvent, line: int, tree: SpotTree, anchors: dict[str, Spot], file: str
) -> None:
    if tree.awaits_name:
        if not isinstance(event, yaml.ScalarEvent):
            raise InvalidWorkflowError(f"{file}:{line}: a key is a text that stands there itself")
        tree.name(event.value, line)
    elif isinstance(event, yaml.AliasEvent):
        tree.value(line, anchors.get(event.anchor or ""))
    else:
        is_object = isinstance(event, yaml.MappingStartEvent)
        is_leaf = isinstance(event, yaml.ScalarEvent)
        spot = tree.value(line) if is_leaf else tree.open(line, is_object=is_object)
        if event.anchor:
            anchors[event.anchor] = spot


def _line_at(text: str, position: int | None) -> int:
    return 1 + text.count("\n", 0, position or 0)


def _complaint(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.context, error.problem) if part)
