"""What keys hold.

A value belongs to one generation of the keyspace: a later one has its own copy before it writes, so
that a snapshot keeps what it saw without copying it. ``form`` is what the value is worth in a
comparison, kept until the next write.
"""

from __future__ import annotations

from collections.abc import Hashable

Form = tuple[str, Hashable]
"""A kind and its content, hashable. Frozen sets keep their hash, so a form is hashed once."""


class Hash(dict[bytes, bytes]):
    """Fields and their values."""

    __slots__ = ("form", "generation")
    generation: object
    form: Form | None

    def frozen(self) -> Form:
        """Return its form."""
        return ("hash", frozenset(self.items()))


class List(list[bytes]):
    """Items in order."""

    __slots__ = ("form", "generation")
    generation: object
    form: Form | None

    def frozen(self) -> Form:
        """Return its form: items with their places, as a tuple would be hashed each time anew."""
        return ("list", frozenset(enumerate(self)))


class Set(set[bytes]):
    """Members without order."""

    __slots__ = ("form", "generation")
    generation: object
    form: Form | None

    def frozen(self) -> Form:
        """Return its form."""
        return ("set", frozenset(self))


class SortedSet(dict[bytes, float]):
    """Members and their scores."""

    __slots__ = ("form", "generation", "order")
    generation: object
    form: Form | None
    order: list[tuple[float, bytes]] | None
    """Scores and members, sorted; made when it is asked for, and void after a write."""

    def frozen(self) -> Form:
        """Return its form."""
        return ("zset", frozenset(self.items()))

    def in_order(self) -> list[tuple[float, bytes]]:
        """Return scores and members, the lowest first."""
        if self.order is None:
            self.order = sorted([(score, member) for member, score in self.items()])
        return self.order


Value = bytes | Hash | List | Set | SortedSet

NAMES: dict[type, bytes] = {
    bytes: b"string",
    Hash: b"hash",
    List: b"list",
    Set: b"set",
    SortedSet: b"zset",
}
"""What TYPE calls each kind."""
