"""Commands on hashes."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Final

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.numbers import integer, sum_of
from gostage_core.testing.memory.replies import NIL, wrong_number_of_arguments, wrong_type
from gostage_core.testing.memory.values import Hash

if TYPE_CHECKING:
    from gostage_core.testing.memory.keyspace import Keyspace

_NO_INTEGER: Final = "ERR hash value is not an integer"


class Hashes:
    """Answers come in the order of the fields' names, so that they tell nothing of the past."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self._data = keyspace.data

    @command(2)
    def hget(self, key: bytes, field: bytes) -> bytes | bool:
        fields = self._data.get(key)
        if fields is None:
            return NIL
        if type(fields) is not Hash:
            raise wrong_type()
        return fields.get(field, NIL)

    @command(2, MANY, "list")
    def hmget(self, key: bytes, *names: bytes) -> tuple[bytes | bool, ...]:
        fields = self._keyspace.held(key, Hash)
        if fields is None:
            return (NIL,) * len(names)
        return tuple(map(fields.get, names, repeat(NIL)))

    @command(1, shape="list")
    def hgetall(self, key: bytes) -> tuple[bytes, ...]:
        fields = self._keyspace.held(key, Hash)
        return tuple(chain.from_iterable(sorted(fields.items()))) if fields else ()

    @command(1, shape="list")
    def hkeys(self, key: bytes) -> tuple[bytes, ...]:
        return tuple(sorted(self._keyspace.held(key, Hash) or ()))

    @command(1, shape="list")
    def hvals(self, key: bytes) -> tuple[bytes, ...]:
        fields = self._keyspace.held(key, Hash) or Hash()
        return tuple([value for _, value in sorted(fields.items())])

    @command(1)
    def hlen(self, key: bytes) -> int:
        return len(self._keyspace.held(key, Hash) or ())

    @command(2)
    def hexists(self, key: bytes, field: bytes) -> int:
        return int(field in (self._keyspace.held(key, Hash) or ()))

    @command(2)
    def hstrlen(self, key: bytes, field: bytes) -> int:
        return len((self._keyspace.held(key, Hash) or Hash()).get(field, b""))

    @command(3, MANY)
    def hset(self, key: bytes, field: bytes, value: bytes, *more: bytes) -> int:
        if not more:
            fields = self._keyspace.changing(key, Hash)
            new = field not in fields
            fields[field] = value
            return int(new)
        if len(more) % 2:
            raise wrong_number_of_arguments("hset")
        fields = self._keyspace.changing(key, Hash)
        before = len(fields)
        fields[field] = value
        fields.update(zip(more[::2], more[1::2], strict=True))
        return len(fields) - before

    @command(3)
    def hsetnx(self, key: bytes, field: bytes, value: bytes) -> int:
        if field in (self._keyspace.held(key, Hash) or ()):
            return 0
        self._keyspace.changing(key, Hash)[field] = value
        return 1

    @command(3)
    def hincrby(self, key: bytes, field: bytes, by: bytes) -> int:
        step = integer(by)
        old = (self._keyspace.held(key, Hash) or Hash()).get(field, b"0")
        total = sum_of(integer(old, _NO_INTEGER), step)
        self._keyspace.changing(key, Hash)[field] = b"%d" % total
        return total

    @command(2, MANY)
    def hdel(self, key: bytes, *names: bytes) -> int:
        fields = self._keyspace.held(key, Hash)
        if fields is None or fields.keys().isdisjoint(names):
            return 0
        fields = self._keyspace.changing(key, Hash)
        gone = sum(fields.pop(name, None) is not None for name in names)
        self._keyspace.settle(key, fields)
        return gone
