"""Trees back to values: tagged objects become what they stand for, classes by hint or by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, Flag
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.errors import CorruptValueError, UnknownTypeError
from gostage_core.values.adapters import reason_of
from gostage_core.values.annotations import (
    ANYTHING,
    Hints,
    class_of,
    field_hints,
    is_subclass,
    item_hints,
    place_hints,
    value_hints,
)
from gostage_core.values.records import MisfitError, allows_field, build, kind_of
from gostage_core.values.refusals import DEEPEST
from gostage_core.values.scalars import READERS
from gostage_core.values.types import class_named, label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    _Object = Mapping[object, object]

_ATOMS: Final = frozenset({str, int, float, bool, type(None)})
_SHOWN_TAG: Final = 40


def from_tree(tree: object) -> object:
    """Return the value that :func:`gostage_core.values.packing.to_tree` made *tree* from.

    The value shares no list or dict with the tree.

    Raises:
        CorruptValueError: not such a tree, or the fields of an object do not validate any more.
        UnknownTypeError: an object of a class that is not registered in this process.
    """
    try:
        return unpack(tree, ANYTHING)
    except MisfitError as misfit:
        raise CorruptValueError(f"the stored value cannot be read: {misfit.reason}") from misfit


def unpack(tree: object, hints: Hints) -> object:
    """Return the value of *tree*; hints say which classes its objects are meant to be.

    Raises:
        CorruptValueError: as :func:`from_tree`.
        UnknownTypeError: an object of an unknown class, where the hints allow anything.
        MisfitError: an object that is none of what the hints allow.
    """
    try:
        return _unpack(tree, hints, 0)
    except RecursionError:
        raise CorruptValueError("the stored value is nested too deeply") from None


def _unpack(tree: object, hints: Hints, depth: int) -> object:
    # A level of a value takes as few calls as can be: a hundred must fit on Python's stack.
    kind = type(tree)
    if kind in _ATOMS:
        return tree
    if kind is dict:
        return _unpack_object(cast("dict[object, object]", tree), hints, depth)
    if kind is not list:
        raise CorruptValueError(f"a stored value is of JSON's types, not {kind.__qualname__}")
    _check_depth(depth)
    inner = item_hints(hints)
    return [_unpack(item, inner, depth + 1) for item in cast("list[object]", tree)]


def _unpack_object(tree: dict[object, object], hints: Hints, depth: int) -> object:
    tag = tree.get("$")
    if type(tag) is str and tag in READERS:
        return _unpack_scalar(tag, tree)
    _check_depth(depth)
    if "$" not in tree:
        return _unpack_named(tree, lambda key: value_hints(hints, key), depth + 1)
    if type(tag) is not str or tag not in _UNPACKERS:
        raise _malformed(tag)
    return _UNPACKERS[tag](tree, hints, depth + 1)


def _unpack_scalar(tag: str, tree: Mapping[object, object]) -> object:
    if tree.keys() != {"$", "v"}:
        raise _malformed(tag)
    try:
        return READERS[tag](tree["v"])
    except Exception as error:  # each type's parser has errors of its own
        raise CorruptValueError(f"not a stored {tag}: {reason_of(error)}") from error


def _unpack_named(
    tree: Mapping[object, object], hints_of: Callable[[str], Hints], depth: int
) -> dict[str, object]:
    value: dict[str, object] = {}
    for key, item in tree.items():
        if type(key) is not str:
            raise CorruptValueError("a stored object's keys are text")
        kind = type(item)
        value[key] = item if kind in _ATOMS else _unpack(item, hints_of(key), depth)
    return value


def _unpack_tuple(tree: _Object, hints: Hints, depth: int) -> object:
    places = enumerate(_members_of(tree))
    return tuple([_unpack(item, place_hints(hints, index), depth) for index, item in places])


def _unpack_set(tree: _Object, hints: Hints, depth: int) -> object:
    inner = item_hints(hints)
    try:
        found = {_unpack(item, inner, depth) for item in _members_of(tree)}
    except TypeError as error:
        raise CorruptValueError(f"not a stored set: {reason_of(error)}") from error
    return found if tree["$"] == "set" else frozenset(found)


def _unpack_pairs(tree: _Object, hints: Hints, depth: int) -> object:
    keys = item_hints(hints)
    value: dict[object, object] = {}
    for pair in _members_of(tree):
        if not isinstance(pair, list) or len(pair) != 2:
            raise _malformed("dict")
        key = _unpack(pair[0], keys, depth)
        try:
            value[key] = _unpack(pair[1], value_hints(hints, key), depth)
        except TypeError as error:
            raise CorruptValueError(f"not a key of a dict: {reason_of(error)}") from error
    return value


def _members_of(tree: _Object) -> list[object]:
    members = tree["v"] if tree.keys() == {"$", "v"} else None
    if not isinstance(members, list):
        raise _malformed(tree["$"])
    return members


def _unpack_record(tree: _Object, hints: Hints, depth: int) -> object:
    name, payload = _named(tree)
    if not isinstance(payload, dict):
        raise _malformed(tree["$"])
    choice = _choice(name, hints, lambda cls: all(allows_field(cls, str(key)) for key in payload))
    for cls in choice.classes:
        try:
            fields = _unpack_named(payload, partial(field_hints, cls), depth)
            return build(cls, fields)
        except MisfitError as misfit:
            choice.reasons.append(misfit.reason)
    raise choice.error()


def _unpack_member(tree: _Object, hints: Hints, _depth: int) -> object:
    name, payload = _named(tree)
    choice = _choice(name, hints, lambda cls: _has_member(cls, payload))
    for cls in choice.classes:
        try:
            return _member(cls, payload)
        except MisfitError as misfit:
            choice.reasons.append(misfit.reason)
    raise choice.error()


def _named(tree: _Object) -> tuple[str, object]:
    name = tree.get("t")
    if tree.keys() != {"$", "t", "v"} or type(name) is not str:
        raise _malformed(tree["$"])
    return name, tree["v"]


@dataclass(slots=True)
class _Choice:
    """The classes that an object may be an instance of, and why it is of none."""

    name: str
    classes: list[type]
    is_known: bool
    reasons: list[str] = field(default_factory=list)

    def error(self) -> Exception:
        if self.is_known:
            return CorruptValueError(
                f"what is stored of {self.name!r} does not validate any more: {self.reasons[0]}"
            )
        tried = zip(map(label, self.classes), self.reasons, strict=True)
        faults = "; ".join(f"{cls}: {reason}" for cls, reason in tried)
        return MisfitError(f"{self.name!r} does not fit {faults}")


def _choice(name: str, hints: Hints, may_be: Callable[[type], bool]) -> _Choice:
    """Choose the class that is stored as *name*, or those that are meant.

    A class that moved, or that a script defines, is stored under a name that this process does not
    know, or knows for another copy of it: then the hints say what it is called here.
    """
    known = class_named(name)
    meant = [cls for cls in map(class_of, hints) if cls is not None]
    if known is not None and (Any in hints or any(is_subclass(known, cls) for cls in meant)):
        return _Choice(name, [known], is_known=True)
    moved = _moved(name, meant)
    if known is None and not moved:
        moved = [cls for cls in meant if kind_of(cls) is not None and may_be(cls)]
    if moved or known is not None:
        return _Choice(name, moved or [cast("type", known)], is_known=not moved)
    if Any in hints:
        raise UnknownTypeError(name)
    raise MisfitError(f"{name!r} is not registered in this process, and not what was asked for")


def _moved(name: str, meant: list[type]) -> list[type]:
    last = name.rpartition(":")[2]
    return [cls for cls in meant if kind_of(cls) and cls.__qualname__ == last]


def _has_member(cls: type, payload: object) -> bool:
    if type(payload) is str:
        return issubclass(cls, Enum) and payload in cls.__members__
    return issubclass(cls, Flag)


def _member(cls: type, payload: object) -> Enum:
    if not issubclass(cls, Enum) or not _has_member(cls, payload):
        raise MisfitError("it has no such member")
    if type(payload) is str:
        return cls.__members__[payload]
    try:
        return cls(_unpack(payload, ANYTHING, 0))
    except Exception as error:  # _missing_ is the user's code
        raise MisfitError(reason_of(error)) from error


def _check_depth(depth: int) -> None:
    if depth >= DEEPEST:
        raise CorruptValueError(f"the stored value is nested deeper than {DEEPEST} levels")


def _malformed(tag: object) -> CorruptValueError:
    shown = repr(tag) if type(tag) is str and len(tag) <= _SHOWN_TAG else "another one"
    return CorruptValueError(f"not a stored value: an object with the tag {shown}")


_UNPACKERS: Final[dict[str, Callable[[_Object, Hints, int], object]]] = {
    "tuple": _unpack_tuple,
    "set": _unpack_set,
    "frozenset": _unpack_set,
    "dict": _unpack_pairs,
    "data": _unpack_record,
    "model": _unpack_record,
    "named": _unpack_record,
    "enum": _unpack_member,
}
