"""A way to a Redis server on which the network fails when a test says so."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from tests.support.lanes import Connection, Direction, DroppedAnswer, End, Weather
from tests.support.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Self

T = TypeVar("T")

_HOST: Final = "127.0.0.1"
_SUFFIX: Final = ".proxy"
_ANSWER_SECONDS: Final = 10.0
_BOTH: Final = (Direction.TO_SERVER, Direction.TO_CLIENT)


class FaultProxy:
    """Listens where clients are sent, and passes on to the server what they say.

    ``with FaultProxy(server.url) as proxy:`` serves ``proxy.url``, over TCP, or over a socket's
    file beside the server's where that is how the server is reached. One fault may come on top of
    another; :meth:`heal` ends them all. The methods may be called from any thread, and return when
    the fault is there. There is no flow control: what one end does not take is kept in memory.
    """

    def __init__(self, upstream: str) -> None:
        """Lead to the server at *upstream*, a ``redis://`` or ``unix://`` url."""
        parts = urlsplit(upstream)
        self._is_file = parts.scheme == "unix"
        self._server = (parts.hostname or _HOST, parts.port or 6379)
        self._path = f"{parts.path}{_SUFFIX}"
        self._port = 0 if self._is_file else free_port()
        place = f"unix://{self._path}" if self._is_file else f"redis://{_HOST}:{self._port}/0"
        self.url = f"{place}?{parts.query}" if parts.query else place
        self._weather = Weather()
        self._connections: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait_for(self._listen())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._ask(lambda: len(self._connections))

    def delay(self, seconds: float) -> None:
        """Let everything take so much longer, each way."""
        self._change(delay=seconds)

    def throttle(self, bytes_per_second: float) -> None:
        """Let no more through, each way of each connection."""
        self._change(rate=bytes_per_second)

    def black_hole(self, *directions: Direction) -> None:
        """Let nothing arrive, in both directions or in these; connections stay open.

        What was sent meanwhile arrives when the fault is healed, as TCP would have it, unless it is
        cut before: requests of clients that have long given up among it.
        """
        self._change(dark=frozenset(directions or _BOTH))

    def is_holding(self, text: bytes) -> bool:
        """Tell whether something that has *text* in it was sent and has not arrived."""
        return self._ask(lambda: any(one.is_holding(text) for one in self._connections))

    def refuse(self) -> None:
        """Take no new connections; those that are open go on."""
        self._ask(self._stop_listening)

    def cut(self, most: int | None = None) -> int:
        """Reset connections, *most* of them or all; return how many."""
        return self._ask(lambda: self._each(Connection.cut, most))

    def forget(self) -> int:
        """Carry nothing more over the connections that are open, ever; return how many.

        As a firewall does that has forgotten them: neither end is told, and new ones are as good
        as any.
        """
        return self._ask(lambda: self._each(Connection.forget, None))

    def drop_answer(self, request: bytes = b"") -> DroppedAnswer:
        """Pass on the next request that has *request* in it, and reset before its answer."""
        drop = DroppedAnswer(request)
        self._ask(lambda: self._weather.drops.append(drop))
        return drop

    def heal(self) -> None:
        """End every fault, and deliver what was held up."""
        self._change(**vars(Weather()))
        self._wait_for(self._listen())

    def _change(self, **weather: object) -> None:
        def change() -> None:
            for name, value in weather.items():
                setattr(self._weather, name, value)
            for connection in tuple(self._connections):
                connection.pump()

        self._ask(change)

    def _each(self, do: Callable[[Connection], None], most: int | None) -> int:
        chosen = tuple(self._connections)[:most]
        for connection in chosen:
            do(connection)
        return len(chosen)

    async def _listen(self) -> None:
        if self._listener is not None:
            return
        if self._is_file:
            self._listener = await self._loop.create_unix_server(self._accept, self._path)
        else:
            self._listener = await self._loop.create_server(self._accept, _HOST, self._port)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            if self._is_file:
                Path(self._path).unlink(missing_ok=True)

    def _accept(self) -> End:
        connection = Connection(self._weather, self._connections.discard)
        self._connections.add(connection)
        self._loop.create_task(self._connect(connection))
        return End(connection, Direction.TO_SERVER)

    async def _connect(self, connection: Connection) -> None:
        def end() -> End:
            return End(connection, Direction.TO_CLIENT)

        try:
            if self._is_file:
                await self._loop.create_unix_connection(end, self._path.removesuffix(_SUFFIX))
            else:
                await self._loop.create_connection(end, *self._server)
        except OSError:
            connection.cut()  # the server is down, and the client is told so

    def _ask(self, question: Callable[[], T]) -> T:
        async def answer() -> T:
            return question()

        return self._wait_for(answer())

    def _wait_for(self, what: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_ANSWER_SECONDS)
