"""Clients of a server in memory, to be used like any other client of redis-py."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import redis

from gostage_core.testing.memory.line import Line
from gostage_core.testing.memory.pipeline import MemoryPipeline
from gostage_core.testing.memory.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.testing.memory.faults import Faults, Words
    from gostage_core.testing.memory.server import MemoryServer


@cache
def _pool() -> redis.ConnectionPool:
    """Return what stands where connections would be; making one takes longer than many requests."""
    return redis.ConnectionPool(protocol=2, encoding_errors="surrogateescape")


class MemoryClient(redis.Redis):
    """A client that gives bytes. Safe to share between threads.

    Attributes:
        server: Whose client it is; a server may have any number.
    """

    def __init__(self, server: MemoryServer, *, faults: Faults | None = None) -> None:
        """Make a client of *server*, whose requests meet *faults*."""
        super().__init__(connection_pool=_pool())
        self.server = server
        self._encode = self.get_encoder().encode
        self._line = Line(server, self._encode, self.response_callbacks)
        self.faults = faults

    @property
    def faults(self) -> Faults | None:
        """What says what becomes of each request, and may be set.

        It is asked for each request, with its commands, and again each time that the request is
        repeated, which is up to three times and at once. Then ``ConnectionError`` is raised.
        """
        return self._line.faults

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self._line.faults = faults

    @property
    def answered(self) -> Callable[[Sequence[Words]], None] | None:
        """What is told of each request when its answer has come, before the client sees that.

        May be set. What it raises goes to who has asked.
        """
        return self._line.answered

    @answered.setter
    def answered(self, answered: Callable[[Sequence[Words]], None] | None) -> None:
        self._line.answered = answered

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Carry out a command, and return what redis-py makes of the answer."""
        line = self._line
        return line.read(line.ask(line.words(args)), args[0], options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> MemoryPipeline:
        """Return what collects commands for one request."""
        return MemoryPipeline(self, self._line, together=transaction)

    def pubsub(self, **options: Any) -> Any:
        """Return what hears messages that are published."""
        return Subscription(self.server, self._encode, **options)
