"""Bookkeeping of delivered hints: in memory alone, for the engine re-sends what is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.transport import redis as kombu_redis
from kombu.utils.uuid import uuid

from gostage_core.broker.quarantine import MalformedItemError

if TYPE_CHECKING:
    from collections import OrderedDict

    from kombu.transport.virtual import Message

    from gostage_core.broker.transport import Channel

#: The task whose messages are hints.
HINT_TASK = "gostage.action"


class Hint(dict[str, Any]):
    """The envelope of a hint, and how to put it back as it was.

    Attributes:
        key: The list that it was popped from (the one of its priority).
        item: The bytes that were popped.
    """

    __slots__ = ("item", "key")

    def __init__(self, envelope: dict[str, Any], key: str, item: bytes) -> None:
        super().__init__(envelope)
        self.key = key
        self.item = item


def is_hint(envelope: object) -> bool:
    """Whether a decoded queue item is a message of the engine's own task."""
    if not isinstance(envelope, dict):
        return False
    headers = envelope.get("headers")
    return isinstance(headers, dict) and headers.get("task") == HINT_TASK


class HintQoS(kombu_redis.QoS):
    """kombu's prefetch and ack bookkeeping, with nothing of hints written to Redis.

    Other messages are kept in ``unacked`` and ``unacked_index`` as kombu does.
    """

    channel: Channel
    _delivered: OrderedDict[str, Message]
    _dirty: set[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Stays right when _delivered is emptied by a lost connection: an ack that comes after
        # that must know without asking Redis that there is nothing to do.
        self._hints: set[str] = set()

    def append(self, message: Message, delivery_tag: str) -> None:
        """Counts a delivered message against the prefetch limit."""
        if not isinstance(_envelope(message), Hint):
            _require_origin(message)
            super().append(message, delivery_tag)
            return
        if delivery_tag in self._delivered:
            # Copies of one hint must count one by one, or the limit means nothing.
            delivery_tag = message.delivery_tag = uuid()
        self._hints.add(delivery_tag)
        # Of the two classes above, only the lower one writes to Redis.
        super(kombu_redis.QoS, self).append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Ends the delivery of a message; for a hint this never fails."""
        if delivery_tag in self._hints:
            self._settle(delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Ends the delivery of a message; with ``requeue`` it goes to the end of its queue."""
        if delivery_tag not in self._hints:
            super().reject(delivery_tag, requeue=requeue)
            return
        message = self._delivered.get(delivery_tag)
        if requeue and message is not None:
            self.channel.requeue_hint(_envelope(message))
        self._settle(delivery_tag)

    def restore_unacked(self, client: Any | None = None) -> None:
        """Gives all messages back that are not acked yet."""
        self.return_hints()
        super().restore_unacked(client)

    def return_hints(self) -> None:
        """Gives the hints back that are not acked yet, in the order in which they came."""
        self._flush()
        tags = [tag for tag in self._delivered if tag in self._hints]
        hints = [_envelope(self._delivered.pop(tag)) for tag in tags]
        if hints:
            self.channel.return_hints(hints)

    def _settle(self, delivery_tag: str) -> None:
        self._hints.discard(delivery_tag)
        # A tag that is not counted must not be subtracted from the count.
        if delivery_tag in self._delivered:
            self._dirty.add(delivery_tag)

    if TYPE_CHECKING:

        def _flush(self) -> None: ...


def _envelope(message: Message) -> Any:
    return message._raw  # type: ignore[attr-defined]  # kombu's stubs leave it out


def _require_origin(message: Message) -> None:
    # kombu restores by these two, and reads them with [].
    origin = message.delivery_info
    if "exchange" not in origin or "routing_key" not in origin:
        raise MalformedItemError("its delivery_info has no exchange or no routing_key")
