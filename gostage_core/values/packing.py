"""Values to trees: what JSON has no form for becomes a tagged object."""

from __future__ import annotations

import json
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.values.adapters import reason_of
from gostage_core.values.records import MisfitError, fields_of
from gostage_core.values.refusals import (
    DEEPEST,
    RefusedError,
    foreign,
    key_step,
    no_stack_left,
    not_storable,
    too_deep,
)
from gostage_core.values.scalars import WRITERS, is_plain_int, is_plain_str
from gostage_core.values.types import registration_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ATOMS: Final = frozenset({str, float, bool, type(None)})


def to_tree(value: object) -> object:
    """Return *value* as JSON's own types, with tagged objects for all others.

    The tree shares no list or dict with the value. Sets are in an order of their own, so that equal
    values have equal trees in every process.

    Raises:
        NotStorableError: names the place, the type and the reason.
        DefinitionError: the default name of a class that was not registered belongs to another.
    """
    try:
        return _pack(value, 0)
    except RefusedError as refused:
        raise not_storable(refused) from refused.__cause__
    except RecursionError:
        raise no_stack_left() from None


def is_plain(value: object, depth: int = 0) -> bool:
    """Whether *value* is of JSON's own types throughout, and not too deep.

    Not looked at, because the writer of JSON tells sooner: floats that are not finite, and text
    with surrogates.
    """
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is int:
        return is_plain_int(cast("int", value))
    if depth >= DEEPEST:
        return False
    if kind is list:
        for item in cast("list[object]", value):
            if type(item) not in _ATOMS and not is_plain(item, depth + 1):
                return False
        return True
    return kind is dict and _is_plain_dict(cast("dict[object, object]", value), depth + 1)


def _is_plain_dict(value: dict[object, object], depth: int) -> bool:
    for key, item in value.items():
        if type(key) is not str or key == "$":
            return False
        if type(item) not in _ATOMS and not is_plain(item, depth):
            return False
    return True


def _pack(value: object, depth: int) -> object:
    kind = type(value)
    if value is None or kind is bool:
        return value
    write = WRITERS.get(kind)
    if write is not None:
        return _written(value, write)
    if depth >= DEEPEST:
        raise too_deep(value)
    pack = _CONTAINERS.get(kind, _pack_instance)
    return pack(value, depth + 1)


def _written(value: object, write: Callable[[Any], object]) -> object:
    try:
        return write(value)
    except Exception as error:  # a tzinfo is the user's code
        raise RefusedError(value, reason_of(error)) from error


def _pack_list(value: Iterable[object], depth: int) -> list[object]:
    packed: list[object] = []
    try:
        for item in value:
            packed.append(_pack(item, depth))  # noqa: PERF401 - its length is the place of an error
    except RefusedError as refused:
        refused.passed(f"[{len(packed)}]", value)
        raise
    return packed


def _pack_tuple(value: tuple[object, ...], depth: int) -> object:
    return {"$": "tuple", "v": _pack_list(value, depth)}


def _pack_set(value: set[object] | frozenset[object], depth: int) -> object:
    members = sorted(_pack_list(value, depth), key=json.dumps)
    return {"$": type(value).__name__, "v": members}


def _pack_dict(value: dict[object, object], depth: int) -> object:
    if all(type(key) is str and key != "$" and is_plain_str(key) for key in value):
        return _pack_named(cast("dict[str, object]", value), value, depth)
    pairs: list[object] = []
    for key, item in list(value.items()):
        try:
            pairs.append([_pack(key, depth), _pack(item, depth)])
        except RefusedError as refused:
            refused.passed(key_step(key, len(pairs)), value)
            raise
    return {"$": "dict", "v": pairs}


def _pack_named(items: Mapping[str, object], owner: object, depth: int) -> dict[str, object]:
    packed: dict[str, object] = {}
    name = ""
    try:
        for name, item in items.items():
            packed[name] = _pack(item, depth)
    except RefusedError as refused:
        refused.passed(key_step(name, 0) if owner is items else f".{name}", owner)
        raise
    return packed


def _pack_instance(value: object, depth: int) -> object:
    found = registration_of(type(value))
    if found is None:
        raise foreign(value)
    if isinstance(value, Enum):
        payload = _member(value)
    else:
        payload = _pack_named(_fields(value), value, depth)
    return {"$": found.kind, "t": found.name, "v": payload}


def _fields(value: object) -> dict[str, object]:
    try:
        fields = fields_of(value)
    except MisfitError as misfit:
        raise RefusedError(value, misfit.reason) from None
    except Exception as error:  # a field may be a descriptor of the user's
        raise RefusedError(value, reason_of(error)) from error
    if not all(map(is_plain_str, fields)):
        raise RefusedError(value, "a field's name has the halves of a surrogate pair side by side")
    return fields


def _member(value: Enum) -> object:
    """Return a member's name, or the bits of flags that have no name together."""
    if type(value).__members__.get(value._name_) is value:
        return value._name_
    if isinstance(value, Flag):
        return WRITERS[int](value._value_)
    raise RefusedError(value, "it is not one of the members that its class defines")


_CONTAINERS: Final[dict[type, Callable[[Any, int], object]]] = {
    list: _pack_list,
    tuple: _pack_tuple,
    set: _pack_set,
    frozenset: _pack_set,
    dict: _pack_dict,
}
