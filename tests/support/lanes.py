"""What a faulty network does to one connection: two lanes, one a direction, and the weather."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_END = b""
"""Stands in a lane for the end of the stream."""


class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class DroppedAnswer:
    """Waits for a request that has *request* in it, lets it through, and cuts before the answer."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self._happened = threading.Event()

    @property
    def has_happened(self) -> bool:
        """Whether an answer was dropped."""
        return self._happened.is_set()

    def happen(self) -> None:
        """Note that it has."""
        self._happened.set()


@dataclass
class Weather:
    """What all connections of one proxy suffer from."""

    delay: float = 0.0
    """Seconds that everything takes longer, each way."""
    rate: float | None = None
    """Bytes a second, each way of each connection."""
    dark: frozenset[Direction] = frozenset()
    """Where nothing arrives: it is held, as by a network that comes back in time to resend."""
    drops: list[DroppedAnswer] = field(default_factory=list)


class Lane:
    """One direction of a connection."""

    def __init__(self, weather: Weather, direction: Direction) -> None:
        self._weather = weather
        self._direction = direction
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0
        self.end: asyncio.Transport | None = None

    def put(self, data: bytes) -> None:
        """Send *data* along; nothing at all is the end of the stream."""
        self._waiting.append((asyncio.get_running_loop().time(), data))
        self.pump()

    def pump(self) -> None:
        """Deliver what is due."""
        loop = asyncio.get_running_loop()
        while self._waiting and self.end is not None and not self._is_dark():
            arrived, data = self._waiting[0]
            due = max(arrived + self._weather.delay, self._free_at)
            if due > loop.time():
                loop.call_at(due, self.pump)
                return
            self._waiting.popleft()
            if self._weather.rate is not None:
                self._free_at = loop.time() + len(data) / self._weather.rate
            self._deliver(self.end, data)

    def is_holding(self, text: bytes) -> bool:
        """Whether something waits that has *text* in it."""
        return any(text in data for _, data in self._waiting)

    def _is_dark(self) -> bool:
        return self._direction in self._weather.dark

    @staticmethod
    def _deliver(end: asyncio.Transport, data: bytes) -> None:
        if data == _END:
            end.close()
        else:
            end.write(data)


class Connection:
    """One client's connection, and the one that stands for it at the server."""

    def __init__(self, weather: Weather, over: Callable[[Connection], None]) -> None:
        """Call *over* when both ends are closed."""
        self._weather = weather
        self._over = over
        self._lanes = {way: Lane(weather, way) for way in Direction}
        self._dropping: DroppedAnswer | None = None
        self._open = 0
        self._is_cut = False
        self._is_forgotten = False

    def pump(self) -> None:
        """Deliver what the weather held up."""
        for lane in self._lanes.values():
            lane.pump()

    def is_holding(self, text: bytes) -> bool:
        """Whether something is held up that has *text* in it."""
        return any(lane.is_holding(text) for lane in self._lanes.values())

    def cut(self) -> None:
        """Reset both ends, also one that is still being opened; what is under way is lost."""
        self._is_cut = True
        for lane in self._lanes.values():
            if lane.end is not None:
                _reset(lane.end)

    def forget(self) -> None:
        """Carry nothing any more, and tell neither end."""
        self._is_forgotten = True

    def opened(self, to: Direction, end: asyncio.Transport) -> None:
        """Take one end, to which *to* leads."""
        self._open += 1
        self._lanes[to].end = end
        if self._is_cut:
            _reset(end)
        self._lanes[to].pump()

    def closed(self, to: Direction) -> None:
        """Let the other end know, once what is before that has arrived."""
        self._open -= 1
        self._lanes[to].end = None
        if not self._is_forgotten:
            self._lanes[_OTHER[to]].put(_END)
        if not self._open:
            self._over(self)

    def received(self, on: Direction, data: bytes) -> None:
        """Carry *data* on, unless it is an answer that is to be dropped."""
        if self._is_forgotten:
            return
        if on is Direction.TO_SERVER:
            self._dropping = self._dropping or self._drop_for(data)
        elif self._dropping is not None:
            self._dropping.happen()
            self.cut()
            return
        self._lanes[on].put(data)

    def _drop_for(self, data: bytes) -> DroppedAnswer | None:
        for drop in self._weather.drops:
            if drop.request in data:
                self._weather.drops.remove(drop)
                return drop
        return None


class End(asyncio.Protocol):
    """One end of a connection: what it receives goes *on* to the other one."""

    def __init__(self, connection: Connection, on: Direction) -> None:
        self._connection = connection
        self._on = on

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.opened(_OTHER[self._on], cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._connection.received(self._on, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.closed(_OTHER[self._on])


_OTHER = {
    Direction.TO_SERVER: Direction.TO_CLIENT,
    Direction.TO_CLIENT: Direction.TO_SERVER,
}


def _reset(end: asyncio.Transport) -> None:
    """Close with a reset, where there is such a thing: a socket's file has none."""
    with contextlib.suppress(OSError):
        end.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    end.abort()
