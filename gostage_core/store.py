"""The store of a run, as readers see it and as an attempt changes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar, overload

from gostage_core.duration import seconds
from gostage_core.errors import (
    KeyConflictError,
    KeyNotFoundError,
    NotStorableError,
    StoreTypeError,
    ValueTooLargeError,
)
from gostage_core.naming import check_name
from gostage_core.state.operations import Stored
from gostage_core.values.codec import decode, decode_as, encode, matches_type, type_of
from gostage_core.values.fields import updated_many
from gostage_core.values.key import Key
from gostage_core.values.schema import matches_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gostage_core.duration import Duration

T = TypeVar("T")
D = TypeVar("D")

_MISSING: Final[Any] = object()
_ABSENT: Final = Stored(None)
_LARGEST_STEP: Final = 2**62
_KEEP_TTL: Final = -1


class Source(Protocol):
    """Where the values of a store come from."""

    def read(self, names: Sequence[str]) -> list[Stored]:
        """Read these keys."""

    def dump(self) -> dict[str, Stored]:
        """Read every key that there is."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of one key beside its value."""

    tags: frozenset[str] = frozenset()
    properties: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None


class StoreReader:
    """The values of a run's store: ``[]``, ``in``, ``get``. Each read gives a fresh copy."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @overload
    def get(self, key: Key[T]) -> T: ...
    @overload
    def get(self, key: Key[T], *, default: D) -> T | D: ...
    @overload
    def get(self, key: str, type_: type[T]) -> T: ...
    @overload
    def get(self, key: str, type_: type[T], *, default: D) -> T | D: ...
    @overload
    def get(self, key: str, type_: Any = ..., *, default: Any = ...) -> Any: ...

    def get(self, key: Key[Any] | str, type_: Any = _MISSING, *, default: Any = _MISSING) -> Any:
        """Return the value of *key*, validated as *type_* (a typed key brings its own).

        Raises:
            KeyNotFoundError: no such key, and no *default*.
            StoreTypeError: the value is of another type.
            UnknownTypeError: read without a type, of a class that is not registered here.
        """
        name, wanted = _name_and_type(key, type_)
        stored = self._stored(name)
        if stored.value is None:
            if default is _MISSING:
                raise KeyNotFoundError(name)
            return default
        if wanted is _MISSING:
            return _decode(stored)
        return decode_as(_whole(stored), wanted, name)

    @overload
    def __getitem__(self, key: Key[T]) -> T: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...

    def __getitem__(self, key: Key[Any] | str) -> Any:
        return self.get(key)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, Key | str):
            return False
        return self._stored(_name_and_type(key)[0]).value is not None

    def metadata(self, key: Key[Any] | str) -> Metadata:
        """Return tags, properties and times of *key*.

        Times are kept only for keys that were put with tags, properties or a time to live.

        Raises:
            KeyNotFoundError: no such key.
        """
        name = _name_and_type(key)[0]
        stored = self._stored(name)
        if stored.value is None:
            raise KeyNotFoundError(name)
        return _metadata(stored)

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
        with these types.
        """
        conditions: list[Callable[[Stored], bool]] = []
        if tag is not None:
            conditions.append(lambda s: tag in _metadata(s).tags)
        if all_tags is not None:
            wanted = frozenset(all_tags)
            conditions.append(lambda s: wanted <= _metadata(s).tags)
        if any_tags is not None:
            either = frozenset(any_tags)
            conditions.append(lambda s: bool(either & _metadata(s).tags))
        if type is not None:
            conditions.append(lambda s: matches_type(_whole(s), type))
        if property is not None:
            conditions.append(lambda s: _has_property(s, *property))
        if schema is not None:
            conditions.append(lambda s: matches_schema(_whole(s), schema))
        return sorted(
            name
            for name, stored in self._everything().items()
            if all(condition(stored) for condition in conditions)
        )

    def export(self) -> dict[str, Any]:
        """Return every key with a copy of its value. This one reads the whole store."""
        return {name: _decode(stored) for name, stored in sorted(self._everything().items())}

    def _stored(self, name: str) -> Stored:
        return self._source.read([name])[0]

    def _everything(self) -> dict[str, Stored]:
        return self._source.dump()


@dataclass(slots=True)
class _Put:
    value: bytes
    ttl_ms: int | None = None
    meta: str = ""


@dataclass(slots=True)
class _Step:
    by: int = 0


@dataclass(slots=True)
class _Grown:
    items: list[bytes] = field(default_factory=list)


class _Deleted:
    pass


_Change = _Put | _Step | _Grown | _Deleted


class AttemptStore(StoreReader):
    """The store as one attempt sees it: what is committed, and its own changes on top.

    Changes are kept here and committed with the attempt, together or not at all. Not for use from
    more than one thread at a time.
    """

    def __init__(
        self, source: Source, *, place: str, value_limit: int, whole: dict[str, bytes] | None = None
    ) -> None:
        super().__init__(source)
        self._place = place
        self._limit = value_limit
        self._whole = whole is not None
        self._known = {name: Stored(value) for name, value in (whole or {}).items()}
        self._changes: dict[str, _Change] = {}

    def put(
        self,
        key: Key[T] | str,
        value: T | Any,
        *,
        ttl: Duration | None = None,
        tags: Iterable[str] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Set *key* to a copy of *value*.

        Tags and properties that the key has stay unless given anew; a time to live that it has
        ends, unless *ttl* is given. The time to live begins when the attempt is committed.

        Raises:
            NotStorableError: no type of the store holds *value*.
            StoreTypeError: *key* is a typed key and *value* is not of its type.
            ValueTooLargeError: encoded, it is larger than ``GOSTAGE_MAX_VALUE_BYTES``.
        """
        name, wanted = _name_and_type(key)
        data = encode(value)
        if wanted is not _MISSING:
            decode_as(data, wanted, name)
        if len(data) > self._limit:
            raise ValueTooLargeError(
                f"the value of {name!r}", len(data), self._limit, "GOSTAGE_MAX_VALUE_BYTES"
            )
        ttl_ms = None if ttl is None else max(1, round(seconds(ttl) * 1000))
        self._changes[name] = _Put(data, ttl_ms, self._new_meta(name, tags, properties))

    def __setitem__(self, key: Key[T] | str, value: T | Any) -> None:
        self.put(key, value)

    def delete(self, key: Key[Any] | str) -> bool:
        """Remove *key*; tell whether it was there."""
        name = _name_and_type(key)[0]
        there = self._stored(name).value is not None
        if there:
            self._changes[name] = _Deleted()
        return there

    def __delitem__(self, key: Key[Any] | str) -> None:
        if not self.delete(key):
            raise KeyNotFoundError(_name_and_type(key)[0])

    def update(
        self, key: Key[Any] | str, path: str | Mapping[str, Any], value: Any = _MISSING
    ) -> None:
        """Set one field of a stored value, or several: all of them or none. Validated.

        A dot in *path* goes into fields of models and dataclasses, keys of dicts, and items of lists.

        Raises:
            KeyNotFoundError: no such key.
            StoreTypeError: no such field, or the value does not fit it.
        """
        name, wanted = _name_and_type(key)
        fields = path if not isinstance(path, str) else {path: value}
        if isinstance(path, str) and value is _MISSING:
            raise TypeError("update() takes a key, a path and a value")
        stored = self._stored(name)
        if stored.value is None:
            raise KeyNotFoundError(name)
        current = _decode(stored) if wanted is _MISSING else decode_as(_whole(stored), wanted, name)
        meta = self._new_meta(name, None, None)
        data = encode(updated_many(current, dict(fields), name))
        self._changes[name] = _Put(data, _KEEP_TTL, meta)

    def increment(self, key: Key[int] | str, by: int = 1) -> None:
        """Add *by* to an integer; a missing key counts as 0. Commutes between parallel actions.

        Raises:
            StoreTypeError: the value is no 64-bit integer.
        """
        name = _name_and_type(key)[0]
        if isinstance(by, bool) or not isinstance(by, int) or abs(by) > _LARGEST_STEP:
            raise TypeError(f"increment() adds a 64-bit integer, not {by!r}")
        change = self._changes.get(name)
        if isinstance(change, _Step):
            change.by += by
        elif change is None:
            self._refuse_known(name, "a 64-bit integer", lambda data: matches_type(data, int))
            self._changes[name] = _Step(by)
        else:
            self._changes[name] = self._folded(name, change, lambda old: (old or 0) + by, int)

    def append(self, key: Key[Any] | str, item: Any) -> None:
        """Add *item* to the end of a list; a missing key counts as an empty one.

        What parallel actions append is all kept, and read in the order of the plan.

        Raises:
            NotStorableError: no type of the store holds *item*.
            StoreTypeError: the value is no list.
        """
        name = _name_and_type(key)[0]
        data = encode(item)
        if len(data) > self._limit:
            raise ValueTooLargeError(
                f"an item of {name!r}", len(data), self._limit, "GOSTAGE_MAX_VALUE_BYTES"
            )
        change = self._changes.get(name)
        if isinstance(change, _Grown):
            change.items.append(data)
        elif change is None:
            self._refuse_known(name, "a list", lambda old: matches_type(old, list))
            self._changes[name] = _Grown([data])
        else:
            self._changes[name] = self._folded(
                name, change, lambda old: [*(old or []), decode(data)], list
            )

    def merge(
        self,
        values: Mapping[str, Any],
        on_conflict: Literal["overwrite", "skip", "error"] = "overwrite",
    ) -> list[str]:
        """Put several values; return the keys that were there already, sorted.

        Raises:
            KeyConflictError: keys exist and *on_conflict* is ``"error"``; nothing was put.
        """
        if on_conflict not in ("overwrite", "skip", "error"):
            raise ValueError(f"on_conflict is 'overwrite', 'skip' or 'error', not {on_conflict!r}")
        there = sorted(name for name in values if name in self)
        if there and on_conflict == "error":
            raise KeyConflictError(tuple(there))
        for name in values:
            encode(values[name])
        for name, value in values.items():
            if on_conflict == "overwrite" or name not in there:
                self.put(name, value)
        return there

    def arguments(self) -> list[object]:
        """Return the changes as the scripts read them: a count, then each."""
        flat: list[object] = []
        count = 0
        for name, change in self._changes.items():
            for part in _change_arguments(name, change, self._place):
                flat += part
                count += 1
        return [count, *flat]

    def settled(self) -> None:
        """Take the changes as written: what is read next comes from the source again."""
        for name in self._changes:
            self._known.pop(name, None)
        self._whole = self._whole and not self._changes
        self._changes.clear()

    def _stored(self, name: str) -> Stored:
        stored = self._known.get(name)
        if stored is None:
            stored = _ABSENT if self._whole else self._source.read([name])[0]
            self._known[name] = stored
        return self._with_change(stored, self._changes.get(name))

    def _everything(self) -> dict[str, Stored]:
        everything = self._source.dump()
        self._known.update(everything)
        for name, change in self._changes.items():
            everything[name] = self._with_change(everything.get(name, _ABSENT), change)
        return {name: stored for name, stored in everything.items() if stored.value is not None}

    def _with_change(self, stored: Stored, change: _Change | None) -> Stored:
        if change is None:
            return stored
        if isinstance(change, _Deleted):
            return _ABSENT
        if isinstance(change, _Put):
            return Stored(change.value, _draft_meta(change))
        if isinstance(change, _Step):
            old = 0 if stored.value is None else int(_whole(stored))
            return Stored(str(old + change.by).encode(), stored.meta)
        items = [f"{self._place}\n".encode() + item for item in change.items]
        base = stored.value or b"L"
        return Stored(
            base if base.startswith(b"L") else b"L" + base,
            stored.meta,
            (*(stored.items or ()), *items),
        )

    def _folded(self, name: str, change: _Change, fold: Callable[[Any], Any], type_: Any) -> _Put:
        stored = self._with_change(self._known.get(name, _ABSENT), change)
        old = None if stored.value is None else decode_as(_whole(stored), type_, name)
        put = change if isinstance(change, _Put) else _Put(b"")
        return _Put(encode(fold(old)), put.ttl_ms, put.meta)

    def _refuse_known(self, name: str, wanted: str, fits: Callable[[bytes], bool]) -> None:
        stored = self._known.get(name)
        if stored and stored.value is not None and not fits(_whole(stored)):
            raise StoreTypeError(name, wanted, type_of(_whole(stored)))

    def _new_meta(
        self, name: str, tags: Iterable[str] | None, properties: Mapping[str, Any] | None
    ) -> str:
        change = self._changes.get(name)
        kept = change.meta if isinstance(change, _Put) else ""
        if tags is None and properties is None:
            return kept
        data: dict[str, Any] = json.loads(kept) if kept else {}
        if tags is not None:
            data["tags"] = sorted(_checked_tags(tags))
        if properties is not None:
            data["properties"] = dict(properties)
        try:
            return json.dumps(data, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise NotStorableError(f"properties of {name!r} must be JSON: {error}") from None


def stored_type(stored: Stored) -> str:
    """Return what type a stored value is of."""
    return "nothing" if stored.value is None else type_of(_whole(stored))


def _change_arguments(name: str, change: _Change, place: str) -> Iterable[list[object]]:
    if isinstance(change, _Put):
        yield ["p", name, change.value, "" if change.ttl_ms is None else change.ttl_ms, change.meta]
    elif isinstance(change, _Deleted):
        yield ["d", name]
    elif isinstance(change, _Step):
        yield ["i", name, change.by]
    else:
        for item in change.items:
            yield ["a", name, f"{place}\n".encode() + item]


def _name_and_type(key: Key[Any] | str, type_: Any = _MISSING) -> tuple[str, Any]:
    if isinstance(key, Key):
        return key.name, key.type if type_ is _MISSING else type_
    return check_name(key), type_


def _whole(stored: Stored) -> bytes:
    """The value as one text, what was appended to it included, in the order of the plan."""
    value = stored.value or b""
    if not value.startswith(b"L"):
        return value
    base = value[1:].strip()
    inner = base[1:-1] if base else b""
    parts = [part for part in (inner, *_in_plan_order(stored.items or ())) if part]
    return b"[" + b", ".join(parts) + b"]"


def _in_plan_order(items: Iterable[bytes]) -> list[bytes]:
    """Items of one stage by the place of who appended them; stages came one after another."""
    split = [
        (*head.partition(b":")[::2], data) for head, _, data in (i.partition(b"\n") for i in items)
    ]
    ordered: list[bytes] = []
    for _, group in groupby(split, key=lambda part: part[0]):
        ordered += [data for _, _, data in sorted(group, key=lambda part: part[1])]
    return ordered


def _decode(stored: Stored) -> Any:
    return decode(_whole(stored))


def _draft_meta(change: _Put) -> bytes | None:
    if not change.meta:
        return None
    return b"0|0|0|" + (change.meta or "{}").encode()


def _metadata(stored: Stored) -> Metadata:
    if stored.meta is None:
        return Metadata()
    created, updated, expires, text = stored.meta.split(b"|", 3)
    data = json.loads(text)
    return Metadata(
        tags=frozenset(data.get("tags", ())),
        properties=data.get("properties", {}),
        created_at=_moment(created),
        updated_at=_moment(updated),
        expires_at=_moment(expires),
    )


def _moment(ms: bytes) -> datetime | None:
    number = int(ms)
    return datetime.fromtimestamp(number / 1000, UTC) if number else None


def _has_property(stored: Stored, name: str, value: Any) -> bool:
    properties = _metadata(stored).properties
    return name in properties and properties[name] == value


def _checked_tags(tags: Iterable[str]) -> set[str]:
    if isinstance(tags, str):
        raise TypeError("tags is a list of words, not one text")
    return {check_name(tag) for tag in tags}
