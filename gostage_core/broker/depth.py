"""How many messages wait in a queue on the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    from kombu import Connection


def queue_depth(connection: Connection, queue: str) -> int | None:
    """Count the messages that wait in a queue, in the lists of all priorities.

    Messages that a worker holds already do not count. Nothing is declared or changed; safe to
    repeat. It opens a channel of its own and closes it.

    Args:
        connection: A connection to the broker, of any transport.
        queue: The name of the queue.

    Returns:
        The number, or None if the broker does not answer, refuses, or does not know the queue.
    """
    refusals: tuple[type[BaseException], ...] = (
        OperationalError,
        *connection.connection_errors,
        *connection.channel_errors,
    )
    try:
        # Without this, kombu waits 2 s before it gives up.
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        with connection.channel() as channel:
            return _count(channel, queue, connection.transport.driver_type == "redis")
    except refusals:
        return None


def _count(channel: Any, queue: str, is_redis: bool) -> int:
    # kombu's passive declaration on Redis says "not found" of a queue that is empty, and with a
    # global_keyprefix of every queue. The other one does nothing there but to count.
    declared = channel.queue_declare(queue=queue, passive=not is_redis)
    return int(declared.message_count)
