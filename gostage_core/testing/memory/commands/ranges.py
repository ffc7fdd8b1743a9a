"""Commands that read ranges of sorted sets, by rank or by score."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.commands.lists import between
from gostage_core.testing.memory.numbers import integer, number_text, real
from gostage_core.testing.memory.replies import CommandError, syntax_error
from gostage_core.testing.memory.values import SortedSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.testing.memory.keyspace import Keyspace

Scored = tuple[float, bytes]
_SCORE: Final = itemgetter(0)
_NO_LIMIT: Final = -1


class Ranges:
    """Every range is read from the order that a sorted set keeps of itself."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace

    @command(3, MANY, "list")
    def zrange(self, key: bytes, start: bytes, stop: bytes, *words: bytes) -> tuple[bytes, ...]:
        options = _read(words, {b"BYSCORE", b"REV", b"WITHSCORES"}, can_limit=True)
        if b"BYSCORE" in options.words:
            return self._by_score(key, start, stop, options)
        if options.limit is not None and options.limit[1] != _NO_LIMIT:
            raise CommandError(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
                "BYLEX"
            )
        return self._by_rank(key, start, stop, options)

    @command(3, 4, "list")
    def zrevrange(self, key: bytes, start: bytes, stop: bytes, *words: bytes) -> tuple[bytes, ...]:
        options = _read(words, {b"WITHSCORES"}, can_limit=False)
        return self._by_rank(key, start, stop, options.reversed())

    @command(3, MANY, "list")
    def zrangebyscore(
        self, key: bytes, low: bytes, high: bytes, *words: bytes
    ) -> tuple[bytes, ...]:
        return self._by_score(key, low, high, _read(words, {b"WITHSCORES"}, can_limit=True))

    @command(3, MANY, "list")
    def zrevrangebyscore(
        self, key: bytes, high: bytes, low: bytes, *words: bytes
    ) -> tuple[bytes, ...]:
        options = _read(words, {b"WITHSCORES"}, can_limit=True)
        return self._by_score(key, high, low, options.reversed())

    @command(3)
    def zcount(self, key: bytes, low: bytes, high: bytes) -> int:
        return len(self._between(key, low, high))

    @command(3)
    def zremrangebyscore(self, key: bytes, low: bytes, high: bytes) -> int:
        gone = self._between(key, low, high)
        if gone:
            held = self._keyspace.changing(key, SortedSet)
            held.order = None
            for _, member in gone:
                del held[member]
            self._keyspace.settle(key, held)
        return len(gone)

    def _by_rank(
        self, key: bytes, start: bytes, stop: bytes, options: Options
    ) -> tuple[bytes, ...]:
        first, last = integer(start), integer(stop)
        held = self._keyspace.held(key, SortedSet)
        if held is None:
            return ()
        order = held.in_order()
        if b"REV" in options.words:
            order = order[::-1]
        return _told(order[between(first, last, len(order))], options)

    def _by_score(
        self, key: bytes, start: bytes, stop: bytes, options: Options
    ) -> tuple[bytes, ...]:
        backwards = b"REV" in options.words
        found = self._between(key, *((stop, start) if backwards else (start, stop)))
        if backwards:
            found = found[::-1]
        offset, count = options.limit or (0, _NO_LIMIT)
        if offset < 0:
            return ()
        found = found[offset:] if count < 0 else found[offset : offset + count]
        return _told(found, options)

    def _between(self, key: bytes, low: bytes, high: bytes) -> list[Scored]:
        least, above = _bound(low)
        most, below = _bound(high)
        held = self._keyspace.held(key, SortedSet)
        if held is None:
            return []
        order = held.in_order()
        start = (bisect_right if above else bisect_left)(order, least, key=_SCORE)
        stop = (bisect_left if below else bisect_right)(order, most, key=_SCORE)
        return order[start:stop]


class Options(NamedTuple):
    """What is said of a range behind its ends."""

    words: frozenset[bytes]
    limit: tuple[int, int] | None

    def reversed(self) -> Options:
        """Return the same, from the other end."""
        return Options(self.words | {b"REV"}, self.limit)


_NONE: Final = Options(frozenset(), None)


def _read(words: tuple[bytes, ...], known: set[bytes], *, can_limit: bool) -> Options:
    if not words:
        return _NONE
    said, limit, at = set(), None, 0
    while at < len(words):
        word = words[at].upper()
        if can_limit and word == b"LIMIT" and len(words) > at + 2:
            limit = (integer(words[at + 1]), integer(words[at + 2]))
            at += 2
        elif word in known:
            said.add(word)
        else:
            raise syntax_error()
        at += 1
    return Options(frozenset(said), limit)


def _bound(text: bytes) -> tuple[float, bool]:
    """Return a score, and whether it is itself out of the range."""
    excluded = text.startswith(b"(")
    return real(text[excluded:], "ERR min or max is not a float"), excluded


def _told(found: Iterable[Scored], options: Options) -> tuple[bytes, ...]:
    if b"WITHSCORES" in options.words:
        return tuple([part for score, member in found for part in (member, number_text(score))])
    return tuple([member for _, member in found])
