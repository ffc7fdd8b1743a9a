"""The registry of storable classes: which class is stored under which name."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, overload
from weakref import WeakKeyDictionary

from gostage_core.errors import DefinitionError
from gostage_core.naming import fault_of, qualified_name
from gostage_core.values.annotations import classes_within
from gostage_core.values.records import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Registration(NamedTuple):
    """How instances of one class are stored."""

    name: str
    kind: Kind


_lock: Final = threading.RLock()
_classes: Final[dict[str, type]] = {}
# Weak, so that a class that a reload replaced can go away.
_registrations: Final[WeakKeyDictionary[type, Registration]] = WeakKeyDictionary()


@overload
def stored(name: str) -> Callable[[type[T]], type[T]]: ...
@overload
def stored(name: type[T]) -> type[T]: ...
def stored(name: str | type[T]) -> type[T] | Callable[[type[T]], type[T]]:
    """Register a class whose instances the store may hold: ``@stored`` or ``@stored("name")``.

    The name is what stored data says; with one of its own a class may move to another module.
    Without, it is ``module:qualname``. Safe to repeat for the same class, and for its reload.

    Raises:
        DefinitionError: not a pydantic model, dataclass, Enum or NamedTuple, or the name belongs
            to another class.
    """
    if isinstance(name, str):
        return lambda cls: register(cls, name)
    return register(name)


def register(cls: type[T], name: str | None = None) -> type[T]:
    """Register *cls* under *name*, or under its default name, and return it.

    Raises:
        DefinitionError: as :func:`stored`.
    """
    kind = kind_of(cls)
    if kind is None:
        raise DefinitionError(
            f"{qualified_name(cls)} cannot be stored: it must be a pydantic model, a dataclass, "
            f"an Enum or a NamedTuple (with @dataclass, @stored stands above it)"
        )
    fault = fault_of(name) if name is not None else None
    if fault is not None:
        raise DefinitionError(f"{qualified_name(cls)} cannot be stored under that name: {fault}")
    with _lock:
        if name is None and cls in _registrations:
            return cls
        default = default_name(cls)
        _claim(name or default, cls)
        if name is not None and _is_free(default, cls):
            _classes[default] = cls  # what was stored before the class had a name of its own
        _registrations[cls] = Registration(name or default, kind)
    return cls


def register_annotation(annotation: object) -> None:
    """Register every storable class in a type annotation, the types of their fields included.

    Names that cannot be resolved yet are passed over. Safe to repeat.

    Raises:
        DefinitionError: a default name belongs to another class.
    """
    for cls in classes_within(annotation):
        register(cls)


def registration_of(cls: type) -> Registration | None:
    """Return how instances of *cls* are stored, or ``None`` if they cannot be.

    A class that was not registered is, under its default name.

    Raises:
        DefinitionError: its default name belongs to another class.
    """
    found = _registrations.get(cls)
    if found is None and kind_of(cls) is not None:
        register(cls)
        found = _registrations[cls]
    return found


def class_named(name: str) -> type | None:
    """Return the class that is registered under *name* in this process, if any."""
    return _classes.get(name)


def default_name(cls: type) -> str:
    """Return ``module:qualname``; for a generic model's ``Box[Item]`` with whole names inside."""
    generic = cls.__dict__.get("__pydantic_generic_metadata__") or {}
    if not generic.get("origin"):
        return qualified_name(cls)
    return f"{qualified_name(generic['origin'])}[{', '.join(map(label, generic['args']))}]"


def label(type_: object) -> str:
    """Return how messages call a type: the name that its values are stored under, if it has one."""
    if type_ is None or type_ is type(None):
        return "None"
    if not isinstance(type_, type):
        return str(type_).replace("typing.", "")
    if type_ in _registrations:
        return _registrations[type_].name
    if kind_of(type_) is not None:
        return default_name(type_)
    return type_.__qualname__


def _claim(name: str, cls: type) -> None:
    if not _is_free(name, cls):
        raise DefinitionError(
            f"{name!r} is the stored name of {qualified_name(_classes[name])} already; "
            f"give {qualified_name(cls)} another one with @stored(…)"
        )
    _classes[name] = cls


def _is_free(name: str, cls: type) -> bool:
    """A reload or a notebook cell makes the same class again, and may replace it."""
    taken = _classes.get(name)
    return taken is None or taken is cls or default_name(taken) == default_name(cls)
