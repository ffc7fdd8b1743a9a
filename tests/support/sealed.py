"""Keys for tests, and everything that a server keeps, as one may search it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from gostage_core.sealing.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, SECOND = (
    f"{name}:{base64.b64encode(name[:1].encode() * KEY_BYTES).decode()}"
    for name in ("first", "second")
)
BOTH = f"{SECOND},{FIRST}"
"""The second one writes, both read."""


def kept_by(client: Any) -> Iterator[tuple[str, bytes]]:
    """Yield all that a server keeps, each with its place: names of keys and fields included."""
    for key in client.scan_iter("*", count=1_000):
        place = key.decode("utf-8", "replace")
        yield place, key
        kind = client.type(key)
        for part in _PARTS[kind.decode() if isinstance(kind, bytes) else kind](client, key):
            yield place, part if isinstance(part, bytes) else str(part).encode()


def _hash(client: Any, key: bytes) -> Iterator[bytes]:
    for field, value in client.hgetall(key).items():
        yield field + b" = " + value


_PARTS = {
    "hash": _hash,
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: client.smembers(key),
    "string": lambda client, key: [client.get(key)],
    "zset": lambda client, key: client.zrange(key, 0, -1),
}
