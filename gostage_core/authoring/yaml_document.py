"""YAML files as JSON values: what YAML has in common with JSON, and no more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import ScalarNode

from gostage_core.authoring.json_tree import DEEPEST_DOCUMENT, MOST_BYTES
from gostage_core.errors import InvalidWorkflowError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from yaml import SafeLoader
    from yaml.nodes import MappingNode
else:
    # The parser in C is several times faster, but not part of every build of PyYAML.
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(SafeLoader):
    """Reads plain words as JSON does; YAML 1.1 takes ``on`` for true, 010 for 8 and 1:30 for 90."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's way to make a loader

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that stands there twice, of which only the last would count."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, ScalarNode):
                if key.value in seen:
                    raise ConstructorError(None, None, f"{key.value!r} twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


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


def read_yaml(path: str | Path) -> object:
    """Return what the YAML file at *path* holds.

    Raises:
        OSError: the file cannot be read.
        InvalidWorkflowError: it is not YAML; the message names file, line and column.
    """
    data = Path(path).read_bytes()
    if len(data) > MOST_BYTES:
        raise InvalidWorkflowError(
            f"{path}: is {len(data):,} bytes long, more than the limit of {MOST_BYTES:,}"
        )
    try:
        text = data.decode("utf-8-sig")
        _refuse_depth(text, path)
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        where = f"{path}{_line(error.problem_mark or error.context_mark)}"
        raise InvalidWorkflowError(f"{where}: not YAML: {_complaint(error)}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidWorkflowError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def _refuse_depth(text: str, path: str | Path) -> None:
    # The composer calls itself for each level, and the one in C ends the process if it is too many.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST_DOCUMENT:
                raise InvalidWorkflowError(f"{path}{_line(event.start_mark)}: nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(mark: Any) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _complaint(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.context, error.problem) if part)
