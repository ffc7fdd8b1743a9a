"""What an attempt does to single keys of its store, kept until it is committed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import StoreTypeError
from gostage_core.sealing.marks import Item, Value, Whole
from gostage_core.state.answers import Stored
from gostage_core.state.stored import (
    ABSENT,
    SECRET_TAG,
    check_list,
    checked_integer,
    grown,
    integer_in,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

KEEP_TTL: Final = -1
"""In place of a time to live: the one that the key has goes on."""

_MORE_BITS: Final = "int of more than 64 bits"

Arguments = list[object]
"""One change as the scripts read it: kind, key, and what the kind needs."""


@dataclass(frozen=True, slots=True)
class Put:
    """A value, whatever was there."""

    data: bytes
    ttl_ms: int | None = None
    tags: str = ""
    """JSON; empty where the key keeps what it has, as with properties."""
    properties: str = ""
    anew: bool = False
    """Whether the key was deleted first, so that it has nothing to keep."""
    items: list[bytes] = field(default_factory=list)
    """Appended since, encoded."""

    def incremented(self, name: str, by: int) -> Put:
        """Return this value plus *by*."""
        total = checked_integer(name, integer_in(name, self._stored()) + by, _MORE_BITS)
        return replace(self, data=b"%d" % total)

    def appended(self, name: str, item: bytes, _place: bytes) -> Put:
        """Add an item to this value."""
        check_list(name, Stored(self.data))
        self.items.append(item)
        return self

    def check(self, name: str, stored: Stored) -> None:
        """Any value may be replaced."""

    def over(self, _name: str, stored: Stored) -> Stored:
        """Return the key as it will be."""
        meta = self._meta(None if self.anew else stored.meta)
        return Stored(whole(self._stored()), meta)

    def arguments(self, name: str) -> Iterable[Arguments]:
        """Yield what the scripts are told."""
        if self.anew:
            yield ["d", name]
        ttl = "" if self.ttl_ms is None else self.ttl_ms
        value = Value(whole(self._stored()), name, is_secret=self._is_secret())
        properties = self.properties and Whole(
            self.properties.encode(), "properties", name, is_json=True
        )
        yield ["p", name, value, ttl, self.tags, properties]

    def _is_secret(self) -> bool:
        return bool(self.tags) and SECRET_TAG in json.loads(self.tags)

    def _stored(self) -> Stored:
        if not self.items:
            return Stored(self.data)
        return grown(Stored(self.data), (b":\n" + item for item in self.items))

    def _meta(self, before: bytes | None) -> bytes | None:
        if before is None and not self.tags and not self.properties:
            return None
        created, updated, expires, text = (before or b"0|0|0|{}").split(b"|", 3)
        labels: dict[str, Any] = {"tags": [], "properties": {}, **json.loads(text)}
        if self.tags:
            labels["tags"] = json.loads(self.tags)
        if self.properties:
            labels["properties"] = json.loads(self.properties)
        expires = expires if self.ttl_ms == KEEP_TTL else b"0"
        return b"|".join((created, updated, expires, json.dumps(labels).encode()))


@dataclass(frozen=True, slots=True)
class Step:
    """An integer, added by the server."""

    by: int

    def incremented(self, name: str, by: int) -> Step:
        """Return both steps as one."""
        return Step(checked_integer(name, self.by + by, _MORE_BITS))

    def appended(self, name: str, _item: bytes, _place: bytes) -> Step:
        """Refuse: what a step can be added to is no list."""
        raise StoreTypeError(name, "a list", "int")

    def check(self, name: str, stored: Stored) -> None:
        """Check that the step can be added to what *stored* holds."""
        checked_integer(name, integer_in(name, stored) + self.by, _MORE_BITS)

    def over(self, name: str, stored: Stored) -> Stored:
        """Return the key as it would be now."""
        self.check(name, stored)
        return Stored(b"%d" % (integer_in(name, stored) + self.by), stored.meta)

    def arguments(self, name: str) -> Iterable[Arguments]:
        """Yield what the scripts are told."""
        yield ["i", name, self.by]


@dataclass(frozen=True, slots=True)
class Grown:
    """Items at the end of a list, put in order when they are read."""

    items: list[bytes]
    """Each behind the place of who appended it and a newline."""

    def incremented(self, name: str, _by: int) -> Grown:
        """Refuse: what an item can be appended to is no integer."""
        raise StoreTypeError(name, "a 64-bit integer", "list")

    def appended(self, _name: str, item: bytes, place: bytes) -> Grown:
        """Add one more item."""
        self.items.append(place + b"\n" + item)
        return self

    def check(self, name: str, stored: Stored) -> None:
        """Check that *stored* holds a list."""
        check_list(name, stored)

    def over(self, name: str, stored: Stored) -> Stored:
        """Return the key as it would be now."""
        self.check(name, stored)
        return grown(stored, self.items)

    def arguments(self, name: str) -> Iterable[Arguments]:
        """Yield what the scripts are told."""
        for item in self.items:
            yield ["a", name, Item(item, name)]


class Deleted:
    """Nothing, whatever was there."""

    __slots__ = ()

    def incremented(self, _name: str, by: int) -> Put:
        """Return a count that begins at 0."""
        return Put(b"%d" % by, anew=True)

    def appended(self, _name: str, item: bytes, _place: bytes) -> Put:
        """Return a list of its own."""
        return Put(b"[]", anew=True, items=[item])

    def check(self, name: str, stored: Stored) -> None:
        """Anything may be deleted."""

    def over(self, _name: str, _stored: Stored) -> Stored:
        """Return a key that is not there."""
        return ABSENT

    def arguments(self, name: str) -> Iterable[Arguments]:
        """Yield what the scripts are told."""
        yield ["d", name]


Change = Put | Step | Grown | Deleted


def replaces(change: Change | None) -> bool:
    """Tell whether the value that the key has does not matter any more."""
    return isinstance(change, Put | Deleted)


def put_over(
    change: Change | None, data: bytes, ttl_ms: int | None, tags: str = "", properties: str = ""
) -> Put:
    """Return a put of *data* behind an earlier *change* of the same attempt."""
    if isinstance(change, Put):
        tags, properties = tags or change.tags, properties or change.properties
        return Put(data, ttl_ms, tags, properties, change.anew)
    return Put(data, ttl_ms, tags, properties, anew=isinstance(change, Deleted))
