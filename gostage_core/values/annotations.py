"""Type annotations as hints: which types a stored value may be, and each part of it."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import InitVar
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, ForwardRef, Literal, TypeVar, Union, cast

from gostage_core.values.records import annotations_of, kind_of

Hints = tuple[object, ...]
"""The alternatives for one value; ``Any`` among them stands for every registered class."""

_ANY: Final = cast("object", Any)
ANYTHING: Final[Hints] = (_ANY,)

_WRAPPERS: Final = (Annotated, typing.Required, typing.NotRequired, typing.Final, ClassVar)


def alternatives(annotation: object) -> Hints:
    """Return what *annotation* allows: unions, aliases and wrappers taken apart."""
    if annotation is _ANY or annotation is object:
        return ANYTHING
    try:
        return _cached(annotation)
    except TypeError:  # metadata that cannot be hashed, in an Annotated
        return _flat(annotation)


def item_hints(hints: Hints) -> Hints:
    """Return the hints for the members of a list or a set, and for the keys of a dict."""
    return ANYTHING if hints is ANYTHING else _gathered(hints, _of_item)


def place_hints(hints: Hints, index: int) -> Hints:
    """Return the hints for one place of a tuple."""
    return ANYTHING if hints is ANYTHING else _gathered(hints, lambda hint: _of_place(hint, index))


def value_hints(hints: Hints, key: object) -> Hints:
    """Return the hints for the value under one key of a dict."""
    return ANYTHING if hints is ANYTHING else _gathered(hints, lambda hint: _of_value(hint, key))


def field_hints(cls: type, name: str) -> Hints:
    """Return the hints for one field of a storable class."""
    return alternatives(annotations_of(cls).get(name, _ANY))


def class_of(hint: object) -> type | None:
    """Return the class that *hint* is or is made from: ``Box`` for ``Box[int]``."""
    origin = typing.get_origin(hint) or hint
    return origin if isinstance(origin, type) else None


def is_typed_dict(hint: object) -> bool:
    """Whether *hint* is a TypedDict, also one of ``typing_extensions``."""
    return isinstance(hint, type) and dict in hint.__bases__ and hasattr(hint, "__required_keys__")


def is_subclass(cls: type, other: type) -> bool:
    """Return ``issubclass``, and no where that cannot be asked."""
    try:
        return issubclass(cls, other)
    except TypeError:  # a Protocol that cannot be asked at run time
        return False


def classes_within(annotation: object) -> Iterator[type]:
    """Yield every storable class in *annotation*, at any depth, fields included."""
    pending: list[object] = [annotation]
    seen: dict[int, object] = {}
    while pending:
        for hint in alternatives(pending.pop()):
            if id(hint) in seen:
                continue
            seen[id(hint)] = hint
            pending.extend(typing.get_args(hint))
            cls = class_of(hint)
            if cls is not None and _has_fields(cls):
                pending.extend(annotations_of(cls).values())
            if cls is not None and kind_of(cls) is not None:
                yield cls


def _flat(annotation: object) -> Hints:
    """One level of an annotation after the other, until only types are left."""
    origin = typing.get_origin(annotation)
    if origin is Union or origin is UnionType:
        return _joined(typing.get_args(annotation))
    if origin is Literal:
        return tuple(dict.fromkeys(type(value) for value in typing.get_args(annotation)))
    if origin in _WRAPPERS:
        return alternatives(typing.get_args(annotation)[0])
    if annotation is None:
        return (NoneType,)
    if isinstance(annotation, str | ForwardRef):
        return ANYTHING  # unresolved
    if isinstance(annotation, TypeVar):
        return _joined(annotation.__constraints__ or (annotation.__bound__ or _ANY,))
    meant = _aliased(annotation if origin is None else origin)
    return (annotation,) if meant is None else alternatives(meant)


_cached = lru_cache(maxsize=4096)(_flat)


def _joined(annotations: Iterable[object]) -> Hints:
    return tuple(hint for annotation in annotations for hint in alternatives(annotation))


def _aliased(annotation: object) -> object | None:
    if isinstance(annotation, typing.NewType):
        return cast("object", annotation.__supertype__)
    if isinstance(annotation, InitVar):
        return cast("object", annotation.type)
    # typing has the class from Python 3.12 on; typing_extensions has its own for older ones.
    if type(annotation).__name__ == "TypeAliasType":
        return cast("object", cast("Any", annotation).__value__)
    return None


def _gathered(hints: Hints, part: Callable[[object], object]) -> Hints:
    return _joined(found for found in map(part, hints) if found is not None)


def _of_item(hint: object) -> object | None:
    args = typing.get_args(hint)
    if args and typing.get_origin(hint) is not tuple:
        return cast("object", args[0])
    return _unparametrised(hint)


def _of_place(hint: object, index: int) -> object | None:
    args = typing.get_args(hint)
    if len(args) == 1 or (len(args) == 2 and args[1] is Ellipsis):
        return cast("object", args[0])
    if args:
        return cast("object", args[index]) if index < len(args) else None
    return _unparametrised(hint)


def _of_value(hint: object, key: object) -> object | None:
    args = typing.get_args(hint)
    if len(args) == 2:
        return cast("object", args[1])
    cls = class_of(hint)
    if cls is not None and _has_fields(cls):
        return annotations_of(cls).get(key, _ANY) if isinstance(key, str) else None
    return _unparametrised(hint)


def _unparametrised(hint: object) -> object | None:
    """A bare container may hold anything; what is no container holds nothing."""
    if hint is _ANY:
        return _ANY
    is_container = isinstance(hint, type) and issubclass(hint, Iterable)
    return _ANY if is_container and hint is not str and hint is not bytes else None


def _has_fields(cls: type) -> bool:
    return is_typed_dict(cls) or kind_of(cls) in ("data", "model", "named")
