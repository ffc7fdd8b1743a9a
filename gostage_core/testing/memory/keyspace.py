"""The keys and what they hold, and copies of all of it that cost next to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gostage_core.testing.memory.replies import wrong_type
from gostage_core.testing.memory.values import Hash, List, Set, SortedSet

if TYPE_CHECKING:
    from collections.abc import Hashable

    from gostage_core.testing.memory.values import Value

V = TypeVar("V", Hash, List, Set, SortedSet)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that a server holds at one moment; it goes back with :meth:`MemoryServer.restore`."""

    data: dict[bytes, Value]
    deadlines: dict[bytes, int]
    microseconds: int
    """What the server's clock showed."""


class Keyspace:
    """The keys of one database.

    Attributes:
        data: What each key holds; no value is empty. It stays the same object.
        deadlines: Until when keys with a time to live are there, in milliseconds since 1970.
    """

    __slots__ = ("_generation", "data", "deadlines")

    def __init__(self) -> None:
        self.data: dict[bytes, Value] = {}
        self.deadlines: dict[bytes, int] = {}
        self._generation = object()

    def held(self, key: bytes, kind: type[V]) -> V | None:
        """Return what *key* holds, to be read.

        Raises:
            CommandError: it is of another kind.
        """
        value = self.data.get(key)
        if value is None or type(value) is kind:
            return value
        raise wrong_type()

    def text(self, key: bytes) -> bytes | None:
        """Return the string that *key* holds.

        Raises:
            CommandError: it is of another kind.
        """
        value = self.data.get(key)
        if value is None or type(value) is bytes:
            return value
        raise wrong_type()

    def changing(self, key: bytes, kind: type[V]) -> V:
        """Return what *key* holds, to be written to; a new one where there is nothing.

        Whoever takes members out of it calls :meth:`settle` behind that.

        Raises:
            CommandError: it is of another kind.
        """
        value = self.data.get(key)
        if value is None:
            return self._own(key, kind())
        if type(value) is not kind:
            raise wrong_type()
        if value.generation is not self._generation:
            return self._own(key, kind(value))
        value.form = None
        return value

    def settle(self, key: bytes, value: Hash | List | Set | SortedSet) -> None:
        """Forget *key* if nothing is left of its *value*."""
        if not value:
            self.remove(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Let *key* hold a string, whatever it held, without an end."""
        self.data[key] = value
        self.deadlines.pop(key, None)

    def remove(self, key: bytes) -> bool:
        """Forget *key*; tell whether it was there."""
        self.deadlines.pop(key, None)
        return self.data.pop(key, None) is not None

    def end(self, now: int) -> None:
        """Forget the keys whose time is over at *now*, in milliseconds."""
        over = [key for key, deadline in self.deadlines.items() if deadline < now]
        for key in over:
            self.remove(key)

    def clear(self) -> None:
        """Forget everything."""
        self.data.clear()
        self.deadlines.clear()

    def snapshot(self, microseconds: int) -> Snapshot:
        """Return all that is there now: the next write to a value makes a copy of that one."""
        self._generation = object()
        return Snapshot(self.data.copy(), self.deadlines.copy(), microseconds)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to *snapshot*, which stays good. It may be another keyspace's."""
        self._generation = object()
        self.clear()
        self.data.update(snapshot.data)
        self.deadlines.update(snapshot.deadlines)

    def content(self) -> Hashable:
        """Return what is there, hashable: the same for the same content, whatever led to it."""
        ends = self.deadlines
        return frozenset(
            [(key, _form_of(value), ends.get(key)) for key, value in self.data.items()]
        )

    def _own(self, key: bytes, value: V) -> V:
        value.generation = self._generation
        value.form = None
        if isinstance(value, SortedSet):
            value.order = None
        self.data[key] = value
        return value


def _form_of(value: Value) -> Hashable:
    if isinstance(value, bytes):
        return value
    if value.form is None:
        value.form = value.frozen()
    return value.form
