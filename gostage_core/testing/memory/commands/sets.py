"""Commands on sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.values import Set

if TYPE_CHECKING:
    from gostage_core.testing.memory.keyspace import Keyspace


class Sets:
    """Members are told in their own order."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace

    @command(2, MANY)
    def sadd(self, key: bytes, *members: bytes) -> int:
        held = self._keyspace.changing(key, Set)
        before = len(held)
        held.update(members)
        return len(held) - before

    @command(2, MANY)
    def srem(self, key: bytes, *members: bytes) -> int:
        held = self._keyspace.held(key, Set)
        if held is None or held.isdisjoint(members):
            return 0
        held = self._keyspace.changing(key, Set)
        before = len(held)
        held.difference_update(members)
        self._keyspace.settle(key, held)
        return before - len(held)

    @command(1)
    def scard(self, key: bytes) -> int:
        return len(self._keyspace.held(key, Set) or ())

    @command(2)
    def sismember(self, key: bytes, member: bytes) -> int:
        return int(member in (self._keyspace.held(key, Set) or ()))

    @command(1, shape="list")
    def smembers(self, key: bytes) -> tuple[bytes, ...]:
        return tuple(sorted(self._keyspace.held(key, Set) or ()))
