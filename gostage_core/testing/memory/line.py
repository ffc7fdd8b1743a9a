"""The way of a client's requests to the server, and of the answers back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import redis
from redis.connection import DefaultParser

from gostage_core.testing.memory.faults import Fault
from gostage_core.testing.memory.replies import NIL, CommandError, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gostage_core.testing.memory.faults import Faults, Words
    from gostage_core.testing.memory.server import MemoryServer

_TRIES: Final = 4
"""As often as clients of gostage send a request, when the connection breaks each time."""


class Line:
    """Carries requests of one client, unless a fault says otherwise.

    Attributes:
        faults: Says what becomes of each request; ``None`` lets all of them through.
        answered: Called with each request when its answer has come, before the client sees that.
    """

    def __init__(
        self,
        server: MemoryServer,
        encode: Callable[[Any], bytes],
        callbacks: Mapping[str, Callable[..., Any]],
    ) -> None:
        """Lead to *server*. *encode* and *callbacks* are redis-py's, for arguments and answers."""
        self.faults: Faults | None = None
        self.answered: Callable[[Sequence[Words]], None] | None = None
        self._server = server
        self._encode = encode
        self._callbacks = callbacks

    def words(self, args: Sequence[Any]) -> list[bytes]:
        """Return a command and its arguments as they go over the wire."""
        words = [arg if type(arg) is bytes else self._word(arg) for arg in args]
        if b" " in words[0]:  # SCRIPT LOAD, and the like
            words[:1] = words[0].split()
        return words

    def ask(self, words: Words) -> Any:
        """Return the answer to one command, which may be a refusal.

        Raises:
            ConnectionError: a fault, again and again.
        """
        if self.faults is self.answered is None:
            return self._reply(words)
        return self.send([words])[0]

    def send(self, commands: Sequence[Words]) -> list[Any]:
        """Return the answers to commands that are one request; nobody comes in between.

        Raises:
            ConnectionError: a fault, again and again.
        """
        for _ in range(_TRIES):
            fault = None if self.faults is None else self.faults(commands)
            if fault is Fault.LOST:
                continue
            with self._server.lock:
                replies = [self._reply(words) for words in commands]
            if fault is None:
                if self.answered is not None:
                    self.answered(commands)
                return replies
        raise redis.ConnectionError("the connection breaks each time")

    def check(self, words: Words) -> Exception | None:
        """Return why the server would not begin with this command, if so."""
        try:
            self._server.find(words)
        except CommandError as error:
            return _refusal(error)
        return None

    def read(self, reply: Any, name: str, options: dict[str, Any]) -> Any:
        """Return what redis-py makes of an answer to the command *name*.

        Raises:
            ResponseError: it is a refusal.
        """
        if isinstance(reply, CommandError):
            raise _refusal(reply)
        options.pop("keys", None)  # for a cache in the client
        received = reply if type(reply) is bytes else _received(reply)
        callback = self._callbacks.get(name)
        return received if callback is None else callback(received, **options)

    def _reply(self, words: Words) -> Any:
        try:
            return self._server.execute(words)
        except CommandError as error:
            return error

    def _word(self, arg: Any) -> bytes:
        kind = type(arg)
        if kind is str:
            return cast("str", arg).encode("utf-8", "surrogateescape")
        return b"%d" % arg if kind is int else self._encode(arg)


def _received(reply: Any) -> Any:
    """Return an answer as it comes off the wire."""
    if reply is NIL:
        return None
    kind = type(reply)
    if kind is tuple or kind is list:
        return [part if type(part) is bytes else _received(part) for part in reply]
    if kind is CommandError:
        return _refusal(reply)
    return bytes(reply) if kind is Status else reply


def _refusal(error: CommandError) -> Exception:
    return cast("Exception", cast("Any", DefaultParser).parse_error(error.text))
