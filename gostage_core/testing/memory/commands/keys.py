"""Commands on keys, whatever they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.numbers import integer
from gostage_core.testing.memory.patterns import matcher
from gostage_core.testing.memory.replies import OK, CommandError, Status, syntax_error
from gostage_core.testing.memory.values import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.testing.memory.clock import Clock
    from gostage_core.testing.memory.keyspace import Keyspace

_SECOND: Final = 1_000
_CONDITIONS: Final = frozenset({b"NX", b"XX", b"GT", b"LT"})
_NO_KEY: Final = -2
_NO_END: Final = -1


class Keys:
    """SCAN and KEYS tell names in their own order."""

    def __init__(self, keyspace: Keyspace, clock: Clock) -> None:
        self._keyspace = keyspace
        self._clock = clock

    @command(1, MANY)
    def del_(self, *keys: bytes) -> int:
        return sum([self._keyspace.remove(key) for key in keys])

    @command(1, MANY)
    def unlink(self, *keys: bytes) -> int:
        return self.del_(*keys)

    @command(1, MANY)
    def exists(self, *keys: bytes) -> int:
        data = self._keyspace.data
        return sum([key in data for key in keys])

    @command(1, shape="any")
    def type_(self, key: bytes) -> bytes:
        value = self._keyspace.data.get(key)
        return Status(b"none" if value is None else NAMES[value.__class__])

    @command(0)
    def dbsize(self) -> int:
        return len(self._keyspace.data)

    @command(0, 1, "any")
    def flushdb(self, *_how: bytes) -> bytes:
        self._keyspace.clear()
        return OK

    @command(0, 1, "any")
    def flushall(self, *_how: bytes) -> bytes:
        return self.flushdb()

    @command(1, shape="list")
    def keys(self, pattern: bytes) -> tuple[bytes, ...]:
        return tuple(self._matching(pattern, None))

    @command(1, 7, "any")
    def scan(self, cursor: bytes, *words: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        if not cursor.isdigit():
            raise CommandError("ERR invalid cursor")
        options = _scan_options(words)
        names = list(self._matching(options.get(b"MATCH", b"*"), options.get(b"TYPE")))
        # All at once: a scan that goes on would have to remember what it has told.
        return b"0", tuple(names)

    @command(2, 3)
    def expire(self, key: bytes, length: bytes, *condition: bytes) -> int:
        return self._set_end(key, length, condition, _SECOND)

    @command(2, 3)
    def pexpire(self, key: bytes, length: bytes, *condition: bytes) -> int:
        return self._set_end(key, length, condition, 1)

    @command(2, 3)
    def expireat(self, key: bytes, moment: bytes, *condition: bytes) -> int:
        return self._set_end(key, moment, condition, _SECOND, at=True)

    @command(2, 3)
    def pexpireat(self, key: bytes, moment: bytes, *condition: bytes) -> int:
        return self._set_end(key, moment, condition, 1, at=True)

    @command(1)
    def persist(self, key: bytes) -> int:
        return int(self._keyspace.deadlines.pop(key, None) is not None)

    @command(1)
    def ttl(self, key: bytes) -> int:
        left = self.pttl(key)
        return left if left < 0 else (left + 500) // 1000

    @command(1)
    def pttl(self, key: bytes) -> int:
        if key not in self._keyspace.data:
            return _NO_KEY
        deadline = self._keyspace.deadlines.get(key)
        return _NO_END if deadline is None else deadline - self._clock.milliseconds

    def _set_end(
        self, key: bytes, number: bytes, words: tuple[bytes, ...], unit: int, *, at: bool = False
    ) -> int:
        """Let *key* end after a length of time, or *at* a moment."""
        condition = words[0].upper() if words else b""
        if words and condition not in _CONDITIONS:
            raise CommandError(f"ERR Unsupported option {words[0].decode(errors='replace')}")
        deadline = integer(number) * unit + (0 if at else self._clock.milliseconds)
        if key not in self._keyspace.data:
            return 0
        if not _is_met(condition, self._keyspace.deadlines.get(key), deadline):
            return 0
        if deadline <= self._clock.milliseconds:
            self._keyspace.remove(key)
        else:
            self._keyspace.deadlines[key] = deadline
        return 1

    def _matching(self, pattern: bytes, kind: bytes | None) -> Iterator[bytes]:
        matches, data = matcher(pattern), self._keyspace.data
        for key in sorted(data):
            if matches(key) and (kind is None or NAMES[data[key].__class__] == kind.lower()):
                yield key


def _scan_options(words: tuple[bytes, ...]) -> dict[bytes, bytes]:
    options = dict(zip([word.upper() for word in words[::2]], words[1::2], strict=False))
    if len(words) % 2 or not options.keys() <= {b"MATCH", b"COUNT", b"TYPE"}:
        raise syntax_error()
    if integer(options.get(b"COUNT", b"1")) < 1:
        raise syntax_error()
    return options


def _is_met(condition: bytes, old: int | None, new: int) -> bool:
    """Tell whether the condition of EXPIRE holds; what has no end ends later than anything."""
    if condition == b"NX":
        return old is None
    if condition == b"XX":
        return old is not None
    if condition == b"GT":
        return old is not None and new > old
    if condition == b"LT":
        return old is None or new < old
    return True
