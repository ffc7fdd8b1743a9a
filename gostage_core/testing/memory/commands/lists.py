"""Commands on lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.numbers import integer
from gostage_core.testing.memory.replies import NIL, OK, CommandError
from gostage_core.testing.memory.values import List

if TYPE_CHECKING:
    from gostage_core.testing.memory.keyspace import Keyspace


class Lists:
    """Places count from 0, and from the end with -1."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace

    @command(2, MANY)
    def rpush(self, key: bytes, *items: bytes) -> int:
        held = self._keyspace.changing(key, List)
        held.extend(items)
        return len(held)

    @command(2, MANY)
    def lpush(self, key: bytes, *items: bytes) -> int:
        held = self._keyspace.changing(key, List)
        held[:0] = items[::-1]
        return len(held)

    @command(1)
    def llen(self, key: bytes) -> int:
        return len(self._keyspace.held(key, List) or ())

    @command(2)
    def lindex(self, key: bytes, place: bytes) -> bytes | bool:
        held = self._keyspace.held(key, List)
        if held is None:
            return NIL
        at = integer(place)
        return held[at] if -len(held) <= at < len(held) else NIL

    @command(3, shape="any")
    def lset(self, key: bytes, place: bytes, item: bytes) -> bytes:
        held = self._keyspace.held(key, List)
        if held is None:
            raise CommandError("ERR no such key")
        at = integer(place)
        if not -len(held) <= at < len(held):
            raise CommandError("ERR index out of range")
        self._keyspace.changing(key, List)[at] = item
        return OK

    @command(3, shape="list")
    def lrange(self, key: bytes, start: bytes, stop: bytes) -> tuple[bytes, ...]:
        first, last = integer(start), integer(stop)
        held = self._keyspace.held(key, List)
        return tuple(held[between(first, last, len(held))]) if held else ()

    @command(3, shape="any")
    def ltrim(self, key: bytes, start: bytes, stop: bytes) -> bytes:
        first, last = integer(start), integer(stop)
        if self._keyspace.held(key, List):
            held = self._keyspace.changing(key, List)
            held[:] = held[between(first, last, len(held))]
            self._keyspace.settle(key, held)
        return OK

    @command(1, 2, "any")
    def lpop(self, key: bytes, *count: bytes) -> bytes | bool | tuple[bytes, ...]:
        return self._pop(key, count, from_start=True)

    @command(1, 2, "any")
    def rpop(self, key: bytes, *count: bytes) -> bytes | bool | tuple[bytes, ...]:
        return self._pop(key, count, from_start=False)

    @command(3)
    def lrem(self, key: bytes, count: bytes, item: bytes) -> int:
        most = integer(count)
        places = [i for i, held in enumerate(self._keyspace.held(key, List) or ()) if held == item]
        gone = places[most:] if most < 0 else places[: most or None]
        if gone:
            held = self._keyspace.changing(key, List)
            for place in reversed(gone):
                del held[place]
            self._keyspace.settle(key, held)
        return len(gone)

    def _pop(
        self, key: bytes, count: tuple[bytes, ...], *, from_start: bool
    ) -> bytes | bool | tuple[bytes, ...]:
        most = _count(count[0]) if count else 1
        if not self._keyspace.held(key, List):
            return NIL
        held = self._keyspace.changing(key, List)
        popped = held[:most] if from_start else held[::-1][:most]
        if from_start:
            del held[:most]
        else:
            del held[max(0, len(held) - most) :]
        self._keyspace.settle(key, held)
        return tuple(popped) if count else popped[0]


def between(first: int, last: int, length: int) -> slice:
    """Return the slice from one place to another, both included, either of them from the end."""
    start = first if first >= 0 else max(0, length + first)
    stop = last if last >= 0 else length + last
    return slice(start, max(0, stop + 1))


def _count(text: bytes) -> int:
    refusal = "ERR value is out of range, must be positive"
    value = integer(text, refusal)
    if value < 0:
        raise CommandError(refusal)
    return value
