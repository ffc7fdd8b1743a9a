"""The store of a run as one attempt sees it: what is committed, and its own changes on top."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, overload

from gostage_core.duration import seconds
from gostage_core.errors import (
    KeyConflictError,
    KeyNotFoundError,
    NotStorableError,
    StoreTypeError,
    ValueTooLargeError,
)
from gostage_core.naming import check_name
from gostage_core.sealing.marks import Value
from gostage_core.state.changes import KEEP_TTL, Deleted, Grown, Put, Step, put_over, replaces
from gostage_core.state.reader import MISSING, Source, StoreReader, name_and_type, read_as
from gostage_core.state.stored import ABSENT, LARGEST, Metadata, stored_type, whole
from gostage_core.values.annotations import alternatives, item_hints
from gostage_core.values.codec import decode_as, encode
from gostage_core.values.fields import updated_many
from gostage_core.values.types import label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gostage_core.duration import Duration
    from gostage_core.state.answers import Stored
    from gostage_core.state.changes import Change
    from gostage_core.values.key import Key

__all__ = ["AttemptStore", "Metadata", "Source", "StoreReader", "encoded_value", "stored_type"]

T = TypeVar("T")


class AttemptStore(StoreReader):
    """The store as one attempt sees it: what is committed, and its own changes on top.

    Changes are kept here and committed with the attempt, together or not at all. Not for use from
    more than one thread at a time.
    """

    def __init__(
        self,
        source: Source,
        *,
        place: str,
        value_limit: int,
        whole: dict[str, Stored] | None = None,
        shared: bool = False,
    ) -> None:
        """See what *source* has; in a *shared* store others may write meanwhile, and are seen.

        Args:
            source: of the values that are committed.
            place: of the action in the plan, by which appended items are ordered.
            value_limit: bytes of the largest value.
            whole: all values, where they are known already.
            shared: whether each read is to ask anew.
        """
        super().__init__(source)
        self._place = place.encode()
        self._limit = value_limit
        self._whole = whole is not None
        self._shared = shared
        self._known = dict(whole or {})
        self._changes: dict[str, Change] = {}

    @overload
    def put(
        self,
        key: Key[T],
        value: T,
        *,
        ttl: Duration | None = ...,
        tags: Iterable[str] | None = ...,
        properties: Mapping[str, Any] | None = ...,
    ) -> None: ...
    @overload
    def put(
        self,
        key: str,
        value: Any,
        *,
        ttl: Duration | None = ...,
        tags: Iterable[str] | None = ...,
        properties: Mapping[str, Any] | None = ...,
    ) -> None: ...

    def put(
        self,
        key: Key[Any] | str,
        value: Any,
        *,
        ttl: Duration | None = None,
        tags: Iterable[str] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        """Set *key* to a copy of *value*.

        Tags and properties that the key has stay unless given anew; a time to live that it has
        ends, unless *ttl* is given. The time to live begins when the attempt is committed. The tag
        ``secret`` hides the value wherever runs are shown; where values are encrypted, an integer
        that is put with it is too, and the server cannot count with it.

        Raises:
            NotStorableError: no type of the store holds *value*, or *properties* are not JSON; or
                it is a secret, and there are no keys to encrypt it (as the attempt is committed).
            StoreTypeError: *key* is a typed key and *value* is not of its type.
            ValueTooLargeError: encoded, it is larger than ``GOSTAGE_MAX_VALUE_BYTES``.
        """
        name, data = encoded_value(key, value, self._limit)
        ttl_ms = None if ttl is None else max(1, round(seconds(ttl) * 1000))
        self._put(name, data, ttl_ms, _tags_text(tags), _properties_text(name, properties))

    @overload
    def __setitem__(self, key: Key[T], value: T) -> None: ...
    @overload
    def __setitem__(self, key: str, value: Any) -> None: ...

    def __setitem__(self, key: Key[Any] | str, value: Any) -> None:
        self.put(key, value)

    def encoded(self, key: Key[Any] | str) -> bytes:
        """Return the value of *key* as it is stored, whatever it is.

        Raises:
            KeyNotFoundError: no such key.
        """
        name = name_and_type(key)[0]
        stored = self._stored(name)
        if stored.value is None:
            raise KeyNotFoundError(name)
        return whole(stored)

    def put_encoded(self, key: Key[Any] | str, data: bytes) -> None:
        """Set *key* to a value that another store holds, as it is stored there.

        Raises:
            ValueTooLargeError: it is larger than ``GOSTAGE_MAX_VALUE_BYTES``.
        """
        name = name_and_type(key)[0]
        _check_size(f"the value of {name!r}", data, self._limit)
        self._put(name, data, None)

    def delete(self, key: Key[Any] | str) -> bool:
        """Remove *key*; tell whether it was there."""
        name = name_and_type(key)[0]
        there = self._stored(name).value is not None
        if there:
            self._changes[name] = Deleted()
        return there

    def __delitem__(self, key: Key[Any] | str) -> None:
        if not self.delete(key):
            raise KeyNotFoundError(name_and_type(key)[0])

    def update(
        self, key: Key[Any] | str, path: str | Mapping[str, Any], value: Any = MISSING
    ) -> None:
        """Set one field of a stored value, or several: all of them or none. Validated.

        A dot in *path* goes into fields of models and dataclasses, keys of dicts, and items of
        lists. Tags, properties and time to live stay.

        Raises:
            KeyNotFoundError: no such key.
            StoreTypeError: no such field, or the value does not fit it.
            ValueTooLargeError: encoded, the value is larger than ``GOSTAGE_MAX_VALUE_BYTES``.
        """
        name, wanted = name_and_type(key)
        if isinstance(path, str) == (value is MISSING):
            raise TypeError("update() takes a key, a path and a value; or a key and a dict of them")
        fields = {path: value} if isinstance(path, str) else dict(path)
        stored = self._stored(name)
        if stored.value is None:
            raise KeyNotFoundError(name)
        current = read_as(stored, wanted, name)
        data = encoded_value(key, updated_many(current, fields, name), self._limit)[1]
        change = self._changes.get(name)
        self._put(name, data, change.ttl_ms if isinstance(change, Put) else KEEP_TTL)

    def increment(self, key: Key[int] | str, by: int = 1) -> None:
        """Add *by* to an integer; a missing key counts as 0. Commutes between parallel actions.

        Raises:
            StoreTypeError: the value, or the sum, is no 64-bit integer. Where this attempt has not
                read the key, the attempt fails with it at its commit.
        """
        name = name_and_type(key)[0]
        if isinstance(by, bool) or not isinstance(by, int) or abs(by) > LARGEST:
            raise TypeError("increment() adds an integer of 64 bits")
        change = self._changes.get(name)
        self._amend(name, change.incremented(name, by) if change else Step(by))

    @overload
    def append(self, key: Key[list[T]], item: T) -> None: ...
    @overload
    def append(self, key: str, item: Any) -> None: ...

    def append(self, key: Key[Any] | str, item: Any) -> None:
        """Add *item* to the end of a list; a missing key counts as an empty one.

        What parallel actions append is all kept, and read in the order of the plan.

        Raises:
            NotStorableError: no type of the store holds *item*.
            StoreTypeError: the value is no list; as :meth:`increment`. Or *key* is a typed key, and
                *item* does not fit its type.
            ValueTooLargeError: encoded, the item is larger than ``GOSTAGE_MAX_VALUE_BYTES``.
        """
        name, wanted = name_and_type(key)
        data = encode([item])[1:-1]  # in its list, so that it is not nested too deeply there
        if wanted is not MISSING:
            _check_item(data, wanted, name)
        _check_size(f"an item of {name!r}", data, self._limit)
        change = self._changes.get(name)
        if change:
            self._amend(name, change.appended(name, data, self._place))
        else:
            self._amend(name, Grown([self._place + b"\n" + data]))

    def merge(
        self,
        values: Mapping[Any, Any],
        on_conflict: Literal["overwrite", "skip", "error"] = "overwrite",
    ) -> list[str]:
        """Put several values, all or none; return the keys that were there already, sorted.

        Raises:
            KeyConflictError: keys exist and *on_conflict* is ``"error"``.
            NotStorableError: as :meth:`put`, like the other errors.
        """
        if on_conflict not in ("overwrite", "skip", "error"):
            raise ValueError(f"on_conflict is 'overwrite', 'skip' or 'error', not {on_conflict!r}")
        encoded = dict(encoded_value(key, value, self._limit) for key, value in values.items())
        self._learn(encoded)
        there = sorted(name for name in encoded if name in self)
        if there and on_conflict == "error":
            raise KeyConflictError(tuple(there))
        for name, data in encoded.items():
            if on_conflict == "overwrite" or name not in there:
                self._put(name, data, None)
        return there

    def arguments(self) -> list[object]:
        """Return the changes as the scripts read them: a count, then each."""
        parts = [part for name, change in self._changes.items() for part in change.arguments(name)]
        return [len(parts), *(argument for part in parts for argument in part)]

    def settled(self) -> None:
        """Take the changes as written: what is read next comes from the source again."""
        for name in self._changes:
            self._known.pop(name, None)
        self._whole = self._whole and not self._changes
        self._changes.clear()

    def _put(
        self, name: str, data: bytes, ttl_ms: int | None, tags: str = "", properties: str = ""
    ) -> None:
        _check_size(f"the tags of {name!r}", tags, self._limit)
        _check_size(f"the properties of {name!r}", properties, self._limit)
        change = put_over(self._changes.get(name), data, ttl_ms, tags, properties)
        self._changes[name] = change

    def _amend(self, name: str, change: Change) -> None:
        known = self._known.get(name)
        if known is not None and change is not self._changes.get(name):
            change.check(name, known)
        self._changes[name] = change

    def _learn(self, names: Iterable[str]) -> None:
        """Read what is not known yet, in one round trip."""
        unknown = [name for name in names if self._shared or name not in self._known]
        if unknown:
            found = [ABSENT] * len(unknown) if self._whole else self._source.read(unknown)
            self._known.update(zip(unknown, found, strict=True))

    def _stored(self, name: str, *, for_metadata: bool = False) -> Stored:
        change = self._changes.get(name)
        if for_metadata or not replaces(change):
            self._learn([name])
        stored = self._known.get(name, ABSENT)
        return change.over(name, stored) if change else stored

    def _everything(self) -> dict[str, Stored]:
        everything = self._source.dump()
        self._known.update(everything)
        for name, change in self._changes.items():
            everything[name] = change.over(name, everything.get(name, ABSENT))
        return {name: stored for name, stored in everything.items() if stored.value is not None}


def encoded_value(key: Key[Any] | str, value: Any, limit: int) -> tuple[str, bytes]:
    """Return what *key* is called, and *value* as it is stored under it.

    Raises:
        InvalidKeyError: nothing can be called so.
        NotStorableError: no type of the store holds *value*.
        StoreTypeError: *key* is a typed key and *value* is not of its type.
        ValueTooLargeError: encoded, it is larger than *limit* bytes.
    """
    name, wanted = name_and_type(key)
    data = encode(value)
    if wanted is not MISSING:
        decode_as(data, wanted, name)
    _check_size(f"the value of {name!r}", data, limit)
    return name, data


def put_arguments(values: Mapping[Any, Any], limit: int) -> list[object]:
    """Return *values*, by key or typed key, as puts that the scripts read.

    Raises:
        StoreError: as :func:`encoded_value`.
    """
    encoded = dict(encoded_value(key, value, limit) for key, value in values.items())
    puts = [["p", name, Value(data, name), "", "", ""] for name, data in encoded.items()]
    return [len(puts), *(part for put in puts for part in put)]


def encoded_result(name: str, value: Any, limit: int) -> bytes:
    """Return what the action *name* returns as it is kept for the entry above it.

    Raises:
        NotStorableError: no type of the store holds *value*.
        ValueTooLargeError: encoded, it is larger than *limit* bytes.
    """
    data = encode(value)
    _check_size(f"what {name!r} returns", data, limit)
    return data


def _check_size(what: str, data: bytes | str, limit: int) -> None:
    if len(data) > limit:
        raise ValueTooLargeError(what, len(data), limit, "GOSTAGE_MAX_VALUE_BYTES")


def _check_item(data: bytes, list_type: Any, name: str) -> None:
    hints = item_hints(alternatives(list_type))
    if not hints:
        raise StoreTypeError(name, label(list_type), "list")
    if Any not in hints:
        decode_as(data, cast("Any", Union)[hints], name)


def _tags_text(tags: Iterable[str] | None) -> str:
    if tags is None:
        return ""
    if isinstance(tags, str):
        raise TypeError("tags is a list of words, not one text")
    return json.dumps(sorted({check_name(tag) for tag in tags}))


def _properties_text(name: str, properties: Mapping[str, Any] | None) -> str:
    if properties is None:
        return ""
    if not all(isinstance(key, str) for key in properties):
        raise NotStorableError(f"properties of {name!r} must be JSON: their names are text")
    try:
        return json.dumps(dict(properties), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotStorableError(f"properties of {name!r} must be JSON: {error}") from None
