"""The store of a run as readers see it: single keys, queries, everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast, overload

from gostage_core.errors import CorruptValueError, KeyNotFoundError
from gostage_core.naming import check_name
from gostage_core.state.stored import metadata_of, whole
from gostage_core.values.codec import decode, decode_as, matches_type
from gostage_core.values.key import Key
from gostage_core.values.schema import matches_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gostage_core.state.answers import Stored
    from gostage_core.state.stored import Metadata
    from gostage_core.values.key import ReadKey

T = TypeVar("T")
D = TypeVar("D")

MISSING: Final[Any] = object()
"""Stands where no argument was given."""


class Source(Protocol):
    """Where the values of a store come from."""

    def read(self, names: Sequence[str]) -> list[Stored]:
        """Read these keys."""

    def dump(self) -> dict[str, Stored]:
        """Read every key that there is."""


class StoreReader:
    """The values of a run's store: ``[]``, ``in``, ``get``. Each read gives a fresh copy."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @overload
    def get(self, key: ReadKey[T]) -> T: ...
    @overload
    def get(self, key: ReadKey[T], *, default: D) -> T | D: ...
    @overload
    def get(self, key: str, type_: type[T]) -> T: ...
    @overload
    def get(self, key: str, type_: type[T], *, default: D) -> T | D: ...
    @overload
    def get(self, key: str, type_: Any = ..., *, default: Any = ...) -> Any: ...

    def get(self, key: ReadKey[Any] | str, type_: Any = MISSING, *, default: Any = MISSING) -> Any:
        """Return the value of *key*, validated as *type_* (a typed key brings its own).

        Raises:
            KeyNotFoundError: no such key, and no *default*.
            StoreTypeError: the value is of another type.
            UnknownTypeError: read without a type, of a class that is not registered here.
        """
        name, wanted = name_and_type(key, type_)
        stored = self._stored(name)
        if stored.value is None:
            if default is MISSING:
                raise KeyNotFoundError(name)
            return default
        return read_as(stored, wanted, name)

    @overload
    def __getitem__(self, key: ReadKey[T]) -> T: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...

    def __getitem__(self, key: ReadKey[Any] | str) -> Any:
        return self.get(key)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, Key | str):
            return False
        return self._stored(name_and_type(key)[0]).value is not None

    def metadata(self, key: Key[Any] | str) -> Metadata:
        """Return tags, properties and times of *key*.

        Times are kept only for keys that were put with tags, properties or a time to live. What the
        running attempt put has them once it is committed.

        Raises:
            KeyNotFoundError: no such key.
        """
        name = name_and_type(key)[0]
        stored = self._stored(name, for_metadata=True)
        if stored.value is None:
            raise KeyNotFoundError(name)
        return metadata_of(stored)

    def keys(
        self,
        *,
        tag: str | None = None,
        all_tags: Iterable[str] | None = None,
        any_tags: Iterable[str] | None = None,
        type: Any = None,
        property: tuple[str, Any] | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Return the keys that answer every condition, sorted. This one reads the whole store.

        *schema* is part of a JSON Schema: a value matches when it has at least these properties
        with these types. A damaged value answers no condition.
        """
        conditions: list[Callable[[Stored], bool]] = []
        if tag is not None:
            conditions.append(lambda s: tag in metadata_of(s).tags)
        if all_tags is not None:
            wanted = frozenset(all_tags)
            conditions.append(lambda s: wanted <= metadata_of(s).tags)
        if any_tags is not None:
            either = frozenset(any_tags)
            conditions.append(lambda s: bool(either & metadata_of(s).tags))
        if type is not None:
            conditions.append(lambda s: matches_type(whole(s), type))
        if property is not None:
            conditions.append(lambda s: _has_property(s, *property))
        if schema is not None:
            conditions.append(lambda s: matches_schema(whole(s), schema))
        everything = self._everything().items()
        return sorted(name for name, stored in everything if _answers(stored, conditions))

    def export(self) -> dict[str, Any]:
        """Return every key with a copy of its value. This one reads the whole store."""
        return {name: decode(whole(stored)) for name, stored in sorted(self._everything().items())}

    def _stored(self, name: str, *, for_metadata: bool = False) -> Stored:
        return self._source.read([name])[0]

    def _everything(self) -> dict[str, Stored]:
        return self._source.dump()


def name_and_type(key: ReadKey[Any] | str, type_: Any = MISSING) -> tuple[str, Any]:
    """Return what *key* is called, and the type that its value is read as; typed keys bring one.

    Raises:
        InvalidKeyError: nothing can be called so.
    """
    if isinstance(key, Key):
        return key.name, key.type if type_ is MISSING else type_
    return check_name(cast("str", key)), type_


def read_as(stored: Stored, type_: Any, name: str) -> Any:
    """Return the value, as *type_* if there is one."""
    data = whole(stored)
    return decode(data) if type_ is MISSING else decode_as(data, type_, name)


def _answers(stored: Stored, conditions: Iterable[Callable[[Stored], bool]]) -> bool:
    try:
        return all(condition(stored) for condition in conditions)
    except CorruptValueError:
        return False


def _has_property(stored: Stored, name: str, value: Any) -> bool:
    properties = metadata_of(stored).properties
    return name in properties and properties[name] == value
