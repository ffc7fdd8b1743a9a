"""Whether a stored value has the shape that part of a JSON Schema describes, for queries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import CorruptValueError
from gostage_core.values.scalars import READERS

if TYPE_CHECKING:
    from collections.abc import Mapping

_JSON_TYPES: Final[dict[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
    list: "array",
    dict: "object",
}
_TAG_TYPES: Final = {
    **dict.fromkeys((*READERS, "enum"), "string"),
    **dict.fromkeys(("tuple", "set", "frozenset"), "array"),
    **dict.fromkeys(("dict", "model", "data", "named"), "object"),
    "float": "number",
    "int": "integer",
}
"""What a tagged object stands for: a date, or an enum's member, is text for JSON."""

_WHOLE: Final[Mapping[str, Any]] = {}


def matches_schema(data: bytes, schema: Mapping[str, Any]) -> bool:
    """Tell whether the encoded value has at least what *schema* says.

    Looked at are ``type`` (one or several), ``properties`` (each must be there), ``required``,
    ``items``, ``anyOf``, and ``$ref`` into the schema's own ``$defs``, as pydantic's
    ``model_json_schema()`` writes them; anything else is passed over.

    Raises:
        CorruptValueError: *data* is not JSON.
    """
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptValueError(f"not a stored value: {error}") from error
    return _matches(tree, schema, schema.get("$defs", _WHOLE))


def _matches(tree: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return any(_matches(tree, one, definitions) for one in schema["anyOf"])
    wanted = schema.get("type")
    if wanted is not None and not _is_one_of(_type(tree), wanted):
        return False
    properties, fields = schema.get("properties", _WHOLE), _fields(tree)
    return (
        all(name in fields for name in schema.get("required", ()))
        and all(
            name in fields and _matches(fields[name], one, definitions)
            for name, one in properties.items()
        )
        and all(_matches(item, schema.get("items", _WHOLE), definitions) for item in _items(tree))
    )


def _is_one_of(found: str, wanted: Any) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return found in names or (found == "integer" and "number" in names)


def _type(tree: Any) -> str:
    if isinstance(tree, dict) and "$" in tree:
        return _TAG_TYPES.get(str(tree["$"]), "unknown")
    return _JSON_TYPES[type(tree)]


def _fields(tree: Any) -> Mapping[str, Any]:
    if not isinstance(tree, dict):
        return _WHOLE
    if tree.get("$") == "dict":
        return {key: value for key, value in tree["v"] if isinstance(key, str)}
    inside = _inside(tree)
    return inside if isinstance(inside, dict) else _WHOLE


def _items(tree: Any) -> list[Any]:
    inside = _inside(tree) if isinstance(tree, dict) and _type(tree) == "array" else tree
    return inside if isinstance(inside, list) else []


def _inside(tree: dict[str, Any]) -> object:
    """Return what stands behind a tag, or the object itself where it has none."""
    return tree.get("v") if "$" in tree else tree
