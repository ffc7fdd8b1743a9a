"""How many messages of a queue stand before one."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from redis import Redis

_PIECE: Final = 500
_FARTHEST: Final = 20_000
"""How many messages are looked at, at most."""


def position(client: Redis, queue: str, run_id: str, entry: str) -> int:
    """Return how many messages stand before the one of an entry; -1 where it is not found.

    Only for a queue in the Redis of *client*, as kombu keeps it: the oldest message is the last of
    a list. Nothing is changed; reads up to 20,000 messages.
    """
    wanted = [run_id, entry]
    for start in range(0, _FARTHEST, _PIECE):
        items = cast("list[bytes]", client.lrange(queue, -(start + _PIECE), -(start + 1)))
        for place, item in enumerate(reversed(items)):
            if run_id.encode() in _body(item) and _arguments(item) == wanted:
                return start + place
        if len(items) < _PIECE:
            break
    return -1


def _body(item: bytes) -> bytes:
    try:
        return base64.b64decode(json.loads(item)["body"])
    except (ValueError, KeyError, TypeError):
        return b""


def _arguments(item: bytes) -> list[str]:
    try:
        arguments = json.loads(_body(item))[0]
    except (ValueError, LookupError, TypeError):
        return []
    return arguments if isinstance(arguments, list) else []
