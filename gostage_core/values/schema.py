"""What a stored value looks like as JSON Schema, for queries by shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_JSON_TYPES: Final[dict[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
}
_TAG_TYPES: Final = {
    "tuple": "array",
    "set": "array",
    "frozenset": "array",
    "dict": "object",
    "timedelta": "number",
    "float": "number",
    "int": "integer",
}


def matches_schema(data: bytes, pattern: Mapping[str, Any]) -> bool:
    """Tell whether the encoded value has at least the types and properties of *pattern*."""
    return _matches(_schema(json.loads(data)), pattern)


def _matches(schema: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    if "type" in pattern and pattern["type"] != schema["type"]:
        return False
    properties = schema.get("properties", {})
    return all(
        name in properties and _matches(properties[name], wanted)
        for name, wanted in pattern.get("properties", {}).items()
    )


def _schema(tree: Any) -> dict[str, Any]:
    if isinstance(tree, list):
        return {"type": "array"}
    if not isinstance(tree, dict):
        return {"type": _JSON_TYPES[type(tree)]}
    if "$" not in tree:
        return _object(tree)
    if tree["$"] in ("model", "data"):
        return _object(tree["v"])
    return {"type": _TAG_TYPES.get(tree["$"], "string")}


def _object(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _schema(value) for name, value in fields.items()},
    }
