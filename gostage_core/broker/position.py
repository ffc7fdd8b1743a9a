"""How many messages of a queue stand before those of a run."""

from __future__ import annotations

import base64
import json
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

_PIECE: Final = 500

FARTHEST: Final = 20_000
"""How many messages are looked at, at most."""

_STEPS: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""What kombu puts behind the name of a queue for each of its priorities, the first one first."""


def places(client: Redis, queue: str, run_id: str) -> dict[str, int]:
    """Return how many messages stand before that of each entry of a run that is in a queue.

    Only for a queue in the Redis of *client*, as kombu keeps it: one list for each priority, the
    oldest message last. Nothing is changed. Under ``""`` is how many were looked at, where there
    are more than that.
    """
    found: dict[str, int] = {}
    mark = run_id.encode()
    for place, item in enumerate(_waiting(client, queue)):
        if place == FARTHEST:
            found[""] = place
            break
        # Celery says the arguments in plain text too: nothing is unpacked that cannot be meant.
        hint = hint_in(item) if mark in item else None
        if hint is not None and hint[0] == run_id:
            found.setdefault(hint[1], place)
    return found


def _waiting(client: Redis, queue: str) -> Iterator[bytes]:
    for step in _STEPS:
        for start in count(0, _PIECE):
            name = f"{queue}{step}"
            items = cast("list[bytes]", client.lrange(name, -(start + _PIECE), -(start + 1)))
            yield from reversed(items)
            if len(items) < _PIECE:
                break


def hint_in(item: bytes) -> tuple[str, str] | None:
    """Return the run and the entry that a message of a queue is for, if it is one of ours."""
    try:
        body: Any = json.loads(base64.b64decode(json.loads(item)["body"]))
        run_id, entry = body[0]
    except (LookupError, ValueError, TypeError, RecursionError):
        return None
    return (run_id, str(entry)) if isinstance(run_id, str) else None
