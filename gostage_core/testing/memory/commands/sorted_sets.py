"""Commands on sorted sets, but for what reads ranges of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.numbers import integer, number_text, real
from gostage_core.testing.memory.replies import NIL, CommandError, syntax_error
from gostage_core.testing.memory.values import SortedSet

if TYPE_CHECKING:
    from gostage_core.testing.memory.keyspace import Keyspace

_OPTIONS: Final = frozenset({b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"})
_NO_POSITIVE: Final = "ERR value is out of range, must be positive"


class SortedSets:
    """Members are in the order of their scores, and of their names where these are the same."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace

    @command(3, MANY)
    def zadd(self, key: bytes, first: bytes, member: bytes, *more: bytes) -> int | bytes | bool:
        if more or first.upper() in _OPTIONS:
            return self._add((first, member, *more), key)
        score = real(first)
        held = self._changing(key)
        new = member not in held
        held[member] = score
        return int(new)

    @command(3)
    def zincrby(self, key: bytes, by: bytes, member: bytes) -> bytes | bool:
        step = real(by)
        held = self._keyspace.held(key, SortedSet)
        return self._increment(key, held, Pair(step, member), frozenset())

    @command(2, MANY)
    def zrem(self, key: bytes, *members: bytes) -> int:
        held = self._keyspace.held(key, SortedSet)
        if held is None or held.keys().isdisjoint(members):
            return 0
        held = self._changing(key)
        gone = sum(held.pop(member, None) is not None for member in members)
        self._keyspace.settle(key, held)
        return gone

    @command(1)
    def zcard(self, key: bytes) -> int:
        return len(self._keyspace.held(key, SortedSet) or ())

    @command(2)
    def zscore(self, key: bytes, member: bytes) -> bytes | bool:
        score = (self._keyspace.held(key, SortedSet) or SortedSet()).get(member)
        return NIL if score is None else number_text(score)

    @command(2)
    def zrank(self, key: bytes, member: bytes) -> int | bool:
        held = self._keyspace.held(key, SortedSet)
        if held is None or member not in held:
            return NIL
        return held.in_order().index((held[member], member))

    @command(2)
    def zrevrank(self, key: bytes, member: bytes) -> int | bool:
        rank = self.zrank(key, member)
        if rank is NIL:
            return NIL
        return self.zcard(key) - 1 - rank

    @command(1, 2, "list")
    def zpopmin(self, key: bytes, *count: bytes) -> tuple[bytes, ...]:
        most = integer(count[0], _NO_POSITIVE) if count else 1
        if most < 0:
            raise CommandError(_NO_POSITIVE)
        held = self._keyspace.held(key, SortedSet)
        if not held or not most:
            return ()
        lowest = held.in_order()[:most]
        self.zrem(key, *[member for _, member in lowest])
        return tuple([part for score, member in lowest for part in (member, number_text(score))])

    def _add(self, words: tuple[bytes, ...], key: bytes) -> int | bytes | bool:
        count = 0
        while count < len(words) and words[count].upper() in _OPTIONS:
            count += 1
        options = frozenset([word.upper() for word in words[:count]])
        pairs = _pairs(words[count:], options)
        scores = self._keyspace.held(key, SortedSet)
        if b"INCR" in options:
            return self._increment(key, scores, pairs[0], options)
        if scores is None and b"XX" in options:
            return 0
        held = self._changing(key)
        before, changed = len(held), 0
        for score, member in pairs:
            old = held.get(member)
            if old != score and _is_wanted(old, score, options):
                held[member] = score
                changed += 1
        return changed if b"CH" in options else len(held) - before

    def _changing(self, key: bytes) -> SortedSet:
        held = self._keyspace.changing(key, SortedSet)
        held.order = None
        return held

    def _increment(
        self, key: bytes, held: SortedSet | None, pair: Pair, options: frozenset[bytes]
    ) -> bytes | bool:
        old = None if held is None else held.get(pair.member)
        score = pair.score + (old or 0.0)
        if math.isnan(score):
            raise CommandError("ERR resulting score is not a number (NaN)")
        if not _is_wanted(old, score, options):
            return NIL
        self._changing(key)[pair.member] = score
        return number_text(score)


class Pair(NamedTuple):
    """A member and what its score is to be, or to grow by."""

    score: float
    member: bytes


def _pairs(words: tuple[bytes, ...], options: frozenset[bytes]) -> list[Pair]:
    if not words or len(words) % 2:
        raise syntax_error()
    if {b"NX", b"XX"} <= options:
        raise CommandError("ERR XX and NX options at the same time are not compatible")
    if len({b"NX", b"GT", b"LT"} & options) > 1:
        raise CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in options and len(words) > 2:
        raise CommandError("ERR INCR option supports a single increment-element pair")
    return [Pair(real(words[i]), words[i + 1]) for i in range(0, len(words), 2)]


def _is_wanted(old: float | None, new: float, options: frozenset[bytes]) -> bool:
    """Tell whether the options of ZADD let a member get this score."""
    if not options:
        return True
    if old is None:
        return b"XX" not in options
    if b"NX" in options:
        return False
    return not ((b"GT" in options and new <= old) or (b"LT" in options and new >= old))
