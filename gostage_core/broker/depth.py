"""How many messages wait in a queue."""
from __future__ import annotations

from typing import Any


def queue_depth(connection: Any, queue: str) -> int | None:
    """Return it, or None."""
    with connection.channel() as channel:
        size = getattr(channel, "_size", None)
        return None if size is None else int(size(queue))
