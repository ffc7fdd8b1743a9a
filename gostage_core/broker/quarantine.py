"""Where queue items go that cannot be delivered: a bounded list beside their queue."""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from kombu.message import Message
    from redis import Redis

logger: Final = logging.getLogger(__name__)

MAX_ENTRIES: Final = 1_000
"""Entries kept a queue; the oldest leave first."""
MAX_ITEM_BYTES: Final = 64 * 1024
"""Bytes kept of one item."""

ITEM_FAULTS: Final[tuple[type[Exception], ...]] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading untrusted data raises when the data is at fault.

Errors of the connection, of a result backend or of the system are not among these, but for
KeyError, which kombu lists among its connection errors too.
"""


class MalformedItemError(ValueError):
    """A queue item that no consumer can use.

    Attributes:
        reason: What is wrong, without anything of the item's content.
        message: The message made of it, if it got that far; it may wait for an ack.
    """

    def __init__(self, reason: str, message: Message | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


def quarantine_key(queue: str) -> str:
    """Return the Redis list that keeps what was malformed in a queue, the newest entry first."""
    return f"{queue}.quarantine"


def quarantine(client: Redis, queue: str, item: bytes, reason: str, prefix: str = "") -> None:
    """Keep an item in the quarantine of its queue and say so once, as a warning.

    A server that refuses is no reason to stop consuming: the item is then only logged.

    Args:
        client: A client of the broker; it may be kombu's own that puts ``prefix`` before keys.
        queue: The queue that the item came from.
        item: What was popped from it.
        reason: What is wrong with the item, without its content.
        prefix: kombu's ``global_keyprefix``.
    """
    key = quarantine_key(queue)
    try:
        with client.pipeline(transaction=False) as pipe:
            pipe.lpush(key, _entry(item, reason))
            # kombu's client prefixes the keys of certain commands; LTRIM is not one of them.
            pipe.ltrim(prefix + key, 0, MAX_ENTRIES - 1)
            pipe.execute()
    except (RedisError, OSError) as error:
        logger.warning(
            "queue %r: a malformed item of %d bytes is lost (%s), as %r could not be written: %s",
            queue,
            len(item),
            reason,
            key,
            type(error).__name__,
        )
    else:
        logger.warning(
            "queue %r: a malformed item of %d bytes was put into %r: %s",
            queue,
            len(item),
            key,
            reason,
        )


def _entry(item: bytes, reason: str) -> str:
    return json.dumps(
        {
            "item": base64.b64encode(item[:MAX_ITEM_BYTES]).decode(),
            "size": len(item),
            "reason": reason,
            "at": datetime.now(UTC).isoformat(),
        }
    )
