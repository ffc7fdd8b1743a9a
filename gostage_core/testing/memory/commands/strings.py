"""Commands on strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.numbers import integer, sum_of
from gostage_core.testing.memory.replies import NIL, OK, CommandError, syntax_error

if TYPE_CHECKING:
    from gostage_core.testing.memory.clock import Clock
    from gostage_core.testing.memory.keyspace import Keyspace

_UNITS: Final = {b"EX": 1_000, b"PX": 1, b"EXAT": 1_000, b"PXAT": 1}
_ALONE: Final = frozenset({b"NX", b"XX", b"GET", b"KEEPTTL"})


class Strings:
    """Times to live are by the server's clock."""

    def __init__(self, keyspace: Keyspace, clock: Clock) -> None:
        self._keyspace = keyspace
        self._clock = clock

    @command(1)
    def get(self, key: bytes) -> bytes | bool:
        value = self._keyspace.text(key)
        return NIL if value is None else value

    @command(2, MANY, "any")
    def set_(self, key: bytes, value: bytes, *words: bytes) -> bytes | bool:
        options, deadline = self._read(words)
        there = key in self._keyspace.data
        old = self.get(key) if b"GET" in options else NIL
        if (b"NX" in options and there) or (b"XX" in options and not there):
            return old
        kept = self._keyspace.deadlines.get(key) if b"KEEPTTL" in options else deadline
        self._keyspace.put(key, value)
        if kept is not None:
            self._keyspace.deadlines[key] = kept
        return old if b"GET" in options else OK

    @command(2)
    def setnx(self, key: bytes, value: bytes) -> int:
        if key in self._keyspace.data:
            return 0
        self._keyspace.put(key, value)
        return 1

    @command(1)
    def getdel(self, key: bytes) -> bytes | bool:
        value = self.get(key)
        if value is not NIL:
            self._keyspace.remove(key)
        return value

    @command(1, MANY, "list")
    def mget(self, *keys: bytes) -> tuple[bytes | bool, ...]:
        values = [self._keyspace.data.get(key) for key in keys]
        return tuple([value if isinstance(value, bytes) else NIL for value in values])

    @command(1)
    def strlen(self, key: bytes) -> int:
        return len(self._keyspace.text(key) or b"")

    @command(2)
    def append(self, key: bytes, value: bytes) -> int:
        whole = (self._keyspace.text(key) or b"") + value
        self._keyspace.data[key] = whole
        return len(whole)

    @command(1)
    def incr(self, key: bytes) -> int:
        return self._add(key, 1)

    @command(1)
    def decr(self, key: bytes) -> int:
        return self._add(key, -1)

    @command(2)
    def incrby(self, key: bytes, by: bytes) -> int:
        return self._add(key, integer(by))

    @command(2)
    def decrby(self, key: bytes, by: bytes) -> int:
        return self._add(key, -integer(by))

    def _add(self, key: bytes, by: int) -> int:
        old = self._keyspace.text(key)
        total = sum_of(0 if old is None else integer(old), by)
        self._keyspace.data[key] = b"%d" % total  # a time to live goes on
        return total

    def _read(self, words: tuple[bytes, ...]) -> tuple[set[bytes], int | None]:
        """Return the options of SET, and when the key is to end."""
        options: set[bytes] = set()
        ends: list[tuple[bytes, bytes]] = []
        rest = list(words)
        while rest:
            word = rest.pop(0).upper()
            options.add(word)
            if word in _UNITS and rest:
                ends.append((word, rest.pop(0)))
            elif word not in _ALONE:
                raise syntax_error()
        if {b"NX", b"XX"} <= options or len(ends) + (b"KEEPTTL" in options) > 1:
            raise syntax_error()
        return options, self._moment(*ends[0]) if ends else None

    def _moment(self, word: bytes, text: bytes) -> int:
        number = integer(text)
        if number <= 0:
            raise CommandError("ERR invalid expire time in 'set' command")
        start = 0 if word.endswith(b"AT") else self._clock.milliseconds
        return start + number * _UNITS[word]
