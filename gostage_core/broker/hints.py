"""Bookkeeping of delivered hints: in memory alone, for the engine re-sends what is lost."""

from __future__ import annotations

from contextlib import contextmanager
from time import time
from typing import TYPE_CHECKING, Any, Final, cast

from kombu.transport import redis as kombu_redis
from kombu.utils.uuid import uuid

from gostage_core.broker.quarantine import MalformedItemError
from gostage_core.broker.stock import RedisQoS
from gostage_core.broker.task_names import KEPT_TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.broker.stock import Message
    from gostage_core.broker.transport import Channel

HINT_TASK: Final = "gostage.action"
"""The task whose messages are hints."""


class Hint(dict[str, Any]):
    """The envelope of a hint, and how to put it back as it was.

    Attributes:
        key: The list that it was popped from, which is the one of its priority.
        item: The bytes that were popped.
    """

    __slots__ = ("item", "key")

    def __init__(self, envelope: dict[str, Any], key: str, item: bytes) -> None:
        super().__init__(envelope)
        self.key = key
        self.item = item


def is_hint(envelope: object) -> bool:
    """Tell whether a decoded queue item is a message of the engine's own task."""
    if not isinstance(envelope, dict):
        return False
    headers = envelope.get("headers")
    return isinstance(headers, dict) and headers.get("task") == HINT_TASK


class HintQoS(RedisQoS):
    """kombu's prefetch and ack bookkeeping, with nothing of hints written to Redis.

    Other messages are kept in ``unacked`` and ``unacked_index`` as kombu does.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Outlives _delivered, which is emptied when the channel closes: an ack that comes later
        # must know without asking Redis that there is nothing to do.
        self._hints: set[str] = set()

    def append(self, message: Message, delivery_tag: str) -> None:
        """Count a delivered message against the prefetch limit."""
        if not isinstance(message._raw, Hint):
            _require_origin(message)
            super().append(message, delivery_tag)
            if _is_kept(message):
                self._restore_soon(delivery_tag)
            return
        if delivery_tag in self._delivered:
            # Copies of one hint must count one by one, or the limit means nothing.
            delivery_tag = message.delivery_tag = uuid()
        self._hints.add(delivery_tag)
        # Of the two classes above, only the lower one writes to Redis.
        super(kombu_redis.QoS, self).append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """End the delivery of a message; for a hint this never fails."""
        if delivery_tag in self._hints:
            self._settle(delivery_tag)
            return
        with self._freeing(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """End the delivery of a message; with ``requeue`` it goes to the end of its queue."""
        if delivery_tag not in self._hints:
            with self._freeing(delivery_tag):
                super().reject(delivery_tag, requeue=requeue)
            return
        message = self._delivered.get(delivery_tag)
        if requeue and message is not None:
            self._channel.requeue_hint(_hint_of(message))
        self._settle(delivery_tag)

    def restore_unacked(self, client: Any | None = None) -> None:
        """Give back all messages that are not acked yet."""
        self.return_hints()
        super().restore_unacked(client)

    def return_hints(self) -> None:
        """Give back the hints that nobody has started, in the order in which they came."""
        self._flush()
        # A started one is acked early, and that may still wait for a turn of the event loop.
        started = self._channel.messages_being_acked()
        tags = [
            tag
            for tag, message in self._delivered.items()
            if tag in self._hints and message not in started
        ]
        hints = [_hint_of(self._delivered.pop(tag)) for tag in tags]
        if hints:
            self._channel.return_hints(hints)

    def _restore_soon(self, delivery_tag: str) -> None:
        """Have a message given to another worker soon, if this one dies with it.

        As if it had been delivered earlier: the timeout itself is one for all messages of a server.
        """
        sooner = self.visibility_timeout - self._channel.kept_visibility
        if sooner <= 0:
            return
        with self.pipe_or_acquire() as pipe:
            pipe.zadd(self.unacked_index_key, {delivery_tag: time() - sooner}, xx=True).execute()

    @property
    def _channel(self) -> Channel:
        return cast("Channel", self.channel)

    @contextmanager
    def _freeing(self, delivery_tag: str) -> Iterator[None]:
        # kombu keeps counting a message whose ack did not reach the server. When the connection
        # that pops stays up, nothing ends that, and after prefetch_count of them the worker looks
        # well and consumes no more. The record in Redis brings the message back in its time.
        try:
            yield
        except self._channel.connection_errors:
            self._settle(delivery_tag)
            raise

    def _settle(self, delivery_tag: str) -> None:
        self._hints.discard(delivery_tag)
        # A tag that is not counted must not be subtracted from the count.
        if delivery_tag in self._delivered:
            self._dirty.add(delivery_tag)


def _hint_of(message: object) -> Hint:
    return cast("Hint", cast("Message", message)._raw)


def _is_kept(message: Message) -> bool:
    headers: object = message.headers
    task = headers.get("task") if isinstance(headers, dict) else None
    return isinstance(task, str) and task in KEPT_TASKS


def _require_origin(message: Message) -> None:
    # kombu restores a message by these two, and reads them without asking.
    origin = message.delivery_info
    for name in ("exchange", "routing_key"):
        if name not in origin or not isinstance(origin[name], (str, type(None))):
            raise MalformedItemError(f"its delivery_info has no {name}")
