"""Typed keys: the name of a value in the store together with its type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from gostage_core.naming import check_name
from gostage_core.values.types import register_annotation

if TYPE_CHECKING:
    import builtins

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ReadKey(Generic[T_co]):
    """A typed key where it is read: one of a list is one of something to iterate over, too."""

    __slots__ = ()


@dataclass(frozen=True, init=False, slots=True)
class Key(ReadKey[T], Generic[T]):
    """A name in the store and the type of its value: ``ORDER = Key("order", Order)``.

    Type checkers know what ``store[ORDER]`` is. The classes in the type are registered, so that
    what another process stored can be read.
    """

    name: str
    """What the value is called in the store."""

    type: Any = field(hash=False)
    """The type of the value: a class, or any other type form."""

    @overload
    def __init__(self, name: str, type: builtins.type[T]) -> None: ...
    @overload
    def __init__(self: Key[Any], name: str, type: object) -> None: ...
    def __init__(self, name: str, type: object) -> None:
        """Name a value and its type.

        Raises:
            InvalidKeyError: nothing in the store can have this name.
            DefinitionError: the stored name of a class in the type belongs to another class.
        """
        object.__setattr__(self, "name", check_name(name))
        object.__setattr__(self, "type", type)
        register_annotation(type)
