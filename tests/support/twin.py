"""A client of two servers, the real one and the one in memory, that must not differ in anything."""

from __future__ import annotations

import json
from hashlib import sha1
from typing import TYPE_CHECKING, Any

import redis
from redis.client import Pipeline

from gostage_core.testing.memory import MemoryClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gostage_core.testing.memory import MemoryServer
    from tests.support.server import RedisServer

DATABASE = 9
"""Of the real server: nobody else's."""

_SCRIPTS = ("EVAL", "EVALSHA")
_NEVER, _SOON_MS = -1, 1_000
_WITHOUT_ORDER = ("KEYS", "HKEYS", "HVALS")


class Twin(redis.Redis):
    """Carries out each command on both, and compares the answers; after a script, all keys too.

    A script on the real server reads a clock that nobody holds. So the one in memory is put to each
    millisecond in which that may have been: with one of them all must be the same.
    """

    def __init__(self, server: RedisServer, memory: MemoryServer) -> None:
        super().__init__(protocol=2)
        options = {"encoding_errors": "surrogateescape"}
        self.real = redis.Redis(port=server.port, db=DATABASE, protocol=2, **options)  # type: ignore[arg-type]
        self.real.flushdb()
        self.real.script_flush()
        self.memory = memory
        self.twin = MemoryClient(memory)
        self.compared = 0
        self.ran: set[str] = set()
        """The digests of the scripts that were called."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        name = args[0].upper()
        if name in _SCRIPTS:
            return self._script(args, options)
        answer = outcome(self.real, args, options)
        if name == "TIME":
            self.memory.clock.microseconds = answer[0] * 1_000_000 + answer[1]
        other = outcome(self.twin, args, options)
        assert comparable(name, answer) == comparable(name, other), shown(args)
        self.compared += 1
        return unpacked(answer)

    def scan_iter(self, *args: Any, **options: Any) -> Iterator[bytes]:
        """Compare what both come to; how far each step goes is theirs."""
        found, other = (sorted(one.scan_iter(*args, **options)) for one in (self.real, self.twin))
        assert found == other, shown(args)
        yield from found

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> _OneByOne:
        return _OneByOne(self)

    def close(self) -> None:
        self.real.close()
        super().close()

    def _script(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self.ran.add(args[1] if args[0] == "EVALSHA" else sha1(args[1].encode()).hexdigest())
        before = self.memory.snapshot()
        first = self._now()
        answer = outcome(self.real, args, options)
        last = self._now()
        wanted = comparable("EVAL", answer), dump(self.real)
        assert first <= last, "the real server's clock went backwards"
        for now in range(first, last + 1):
            self.memory.restore(before)
            self.memory.clock.microseconds = now * 1000
            found = comparable("EVAL", outcome(self.twin, args, options)), dump(self.twin)
            if found == wanted:
                break
        assert found == wanted, shown(args)
        self.compared += 1
        return unpacked(answer)

    def _now(self) -> int:
        seconds, micro = self.real.time()
        return seconds * 1000 + micro // 1000


class _OneByOne(Pipeline):
    """Sends what it collects one after another."""

    def __init__(self, client: Twin) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, None)
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack, self.command_stack = self.command_stack, []
        answers = [outcome(self._client, args, options) for args, options in stack]
        return [unpacked(answer) if raise_on_error else answer for answer in answers]


def outcome(client: redis.Redis, args: Iterable[Any], options: dict[str, Any]) -> Any:
    """What a client answers, or the error that it raises; redis-py itself has some of them."""
    try:
        return client.execute_command(*args, **options)
    except (redis.RedisError, ValueError) as error:
        return error


def unpacked(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def comparable(name: str, answer: Any) -> Any:
    """An answer without what a server may choose: the order of fields and of members."""
    if name in _WITHOUT_ORDER and isinstance(answer, list):
        return sorted(answer)
    if name in _SCRIPTS and isinstance(answer, list):
        parts = map(_read, answer)
        return [sorted(map(repr, part)) if isinstance(part, list) else part for part in parts]
    return _read(answer)


def dump(client: redis.Redis) -> dict[bytes, Any]:
    """All keys, what they hold and whether they end. JSON is read: its order is Lua's own.

    Left out is what ends so soon that one server may have dropped it and the other not yet.
    """
    keys = sorted(client.scan_iter("*", count=1_000))
    kinds, values = client.pipeline(transaction=False), client.pipeline(transaction=False)
    for key in keys:
        kinds.type(key)
    for key, kind in zip(keys, kinds.execute(), strict=True):
        match kind:
            case b"hash":
                values.hgetall(key)
            case b"list":
                values.lrange(key, 0, -1)
            case b"set":
                values.smembers(key)
            case b"zset":
                values.zrange(key, 0, -1, withscores=True)
            case _:
                values.get(key)
        values.pttl(key)
    found = values.execute()
    pairs = zip(found[::2], found[1::2], strict=True)
    return {
        key: (_read(value), end > 0)
        for key, (value, end) in zip(keys, pairs, strict=True)
        if end == _NEVER or end > _SOON_MS
    }


def _read(value: Any) -> Any:
    if isinstance(value, Exception):
        return type(value), str(value)
    if isinstance(value, dict):
        return {field: _read(text) for field, text in value.items()}
    if isinstance(value, list):
        return [_read(text) for text in value]
    if isinstance(value, bytes) and value[:1] in (b"[", b"{"):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value


def shown(args: Iterable[Any]) -> str:
    return " ".join(f"{arg!r:.60}" for arg in args)
