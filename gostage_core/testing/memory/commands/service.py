"""Commands on the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.patterns import matcher
from gostage_core.testing.memory.replies import OK, CommandError, Status, syntax_error

if TYPE_CHECKING:
    from gostage_core.testing.memory.channels import Channels
    from gostage_core.testing.memory.clock import Clock
    from gostage_core.testing.memory.keyspace import Keyspace


class Service:
    """What the server says of itself: it is a primary, keeps nothing on a disk, and is never full.

    It has the configuration that gostage looks at; CONFIG SET changes it.
    """

    def __init__(self, keyspace: Keyspace, clock: Clock, channels: Channels) -> None:
        self._keyspace = keyspace
        self._clock = clock
        self._channels = channels
        self._settings = {
            b"appendonly": b"no",
            b"maxmemory": b"0",
            b"maxmemory-policy": b"noeviction",
        }

    @command(0, shape="list")
    def time(self) -> tuple[bytes, bytes]:
        seconds, micro = divmod(self._clock.microseconds, 1_000_000)
        return b"%d" % seconds, b"%d" % micro

    @command(0, 1, "any")
    def ping(self, *text: bytes) -> bytes:
        return text[0] if text else Status(b"PONG")

    @command(1)
    def echo(self, text: bytes) -> bytes:
        return text

    @command(2)
    def publish(self, channel: bytes, text: bytes) -> int:
        return self._channels.publish(channel, text)

    @command(0, MANY)
    def info(self, *_sections: bytes) -> bytes:
        """Answer with what is asked of it, whatever the section."""
        return b"".join(
            b"%s:%s\r\n" % line
            for line in (
                (b"redis_version", b"7.2.4"),
                (b"redis_mode", b"standalone"),
                (b"role", b"master"),
                (b"maxmemory", self._settings[b"maxmemory"]),
                (b"maxmemory_policy", self._settings[b"maxmemory-policy"]),
                (b"aof_enabled", b"%d" % (self._settings[b"appendonly"] == b"yes")),
                (b"db0", b"keys=%d" % len(self._keyspace.data)),
            )
        )

    @command(1, MANY, "any", in_scripts=False)
    def config(self, what: bytes, *words: bytes) -> bytes | tuple[bytes, ...]:
        match what.upper():
            case b"GET":
                return self._config_get(words)
            case b"SET" if words and len(words) % 2 == 0:
                return self._config_set(dict(zip(words[::2], words[1::2], strict=True)))
        raise syntax_error()

    def _config_get(self, patterns: tuple[bytes, ...]) -> tuple[bytes, ...]:
        wanted = [matcher(pattern.lower()) for pattern in patterns]
        found = [(n, v) for n, v in self._settings.items() if any(match(n) for match in wanted)]
        return tuple([part for pair in found for part in pair])

    def _config_set(self, given: dict[bytes, bytes]) -> bytes:
        settings = {name.lower(): value for name, value in given.items()}
        if unknown := settings.keys() - self._settings.keys():
            name = min(unknown).decode(errors="replace")
            raise CommandError(
                f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            )
        self._settings.update(settings)
        return OK
