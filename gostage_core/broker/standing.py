"""How queues stand: how many messages wait in each, and which ones have waited longest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kombu.exceptions import OperationalError

from gostage_core.broker.depth import queue_depth
from gostage_core.broker.position import hint_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kombu import Connection

_OLDEST: Final = 5
"""How many messages are looked at, of those that come next: the first one may be none of ours, or
for an entry that was done meanwhile."""


@dataclass(frozen=True, slots=True)
class QueueStanding:
    """One queue."""

    depth: int | None
    """How many messages wait, in all priorities; ``None`` where the broker does not say."""
    oldest: tuple[tuple[str, str], ...] = ()
    """Whose messages come next, ``(run, entry)``; none where the broker lets nobody look."""


def standings(connection: Connection, queues: Iterable[str]) -> dict[str, QueueStanding]:
    """Look at *queues*. Nothing is declared or changed; safe to repeat.

    A broker that is Redis is asked once for all of them, another one once for each. One that does
    not answer says nothing of any.
    """
    names = list(queues)
    refusals: tuple[type[BaseException], ...] = (
        OperationalError,
        *connection.connection_errors,
        *connection.channel_errors,
    )
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        if connection.transport.driver_type != "redis":
            return {name: QueueStanding(queue_depth(connection, name)) for name in names}
        with connection.channel() as channel:
            return _in_redis(channel, names)
    except refusals:
        return {name: QueueStanding(None) for name in names}


def _in_redis(channel: Any, queues: list[str]) -> dict[str, QueueStanding]:
    steps = channel.priority_steps
    with channel.conn_or_acquire() as client:
        pipeline = client.pipeline(transaction=False)
        for queue in queues:
            for step in steps:
                key = channel._q_for_pri(queue, step)
                pipeline.llen(key)
                # kombu's client puts the prefix before the keys of some commands alone.
                pipeline.lrange(f"{channel.global_keyprefix}{key}", -_OLDEST, -1)
        answers = pipeline.execute()
    found = {}
    for position, queue in enumerate(queues):
        part = answers[2 * len(steps) * position :][: 2 * len(steps)]
        hints = [hint_in(item) for items in part[1::2] for item in items]
        found[queue] = QueueStanding(sum(part[::2]), tuple(one for one in hints if one is not None))
    return found
