"""kombu's Redis transport that survives what the stock one dies of, and knows hints.

Chosen by ``broker_transport = "gostage_core.broker.transport:Transport"``. Queues and messages of
others behave as they do with kombu's own.
"""

from __future__ import annotations

import logging
from functools import partial
from queue import Empty
from typing import TYPE_CHECKING, Any, Final

from kombu import transport as kombu_transport
from kombu.transport import redis as kombu_redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gostage_core.broker.checks import decode_item, guard_tasks
from gostage_core.broker.hints import Hint, HintQoS, is_hint
from gostage_core.broker.messages import CheckedMessage
from gostage_core.broker.quarantine import MalformedItemError, quarantine
from gostage_core.broker.stock import RedisChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger: Final = logging.getLogger(__name__)

_BROADCAST_SECONDS: Final = 5.0
"""How long the rest of a message to all workers is waited for."""

HEAD_HEADER: Final = "gostage_head"
"""A message with this header goes to the consume end of its queue: it is the next one taken."""


class Channel(RedisChannel):
    """A channel whose consumers survive malformed items and a lost connection."""

    QoS = HintQoS
    Message = CheckedMessage

    max_inflated_bytes = 64 * 1024 * 1024
    """What a compressed body may unpack to, in anybody's message; a transport option."""

    kept_visibility = 30
    """Seconds until a message of ours that nobody sends again is taken from a worker that has not
    acknowledged it; a transport option. It is looked for as often as kombu looks for others."""

    from_transport_options = (
        *RedisChannel.from_transport_options,
        "max_inflated_bytes",
        "kept_visibility",
    )

    _cached_client: Any = None

    def close(self) -> None:
        """Close the channel and give back what it holds, whatever the connection does."""
        # Left to kombu, a reply that cannot be read stops the close half way, and the second one,
        # which has no transport any more, ends the worker (celery 5.7: 'NoneType' object has no
        # attribute 'hostname').
        self._drain_reply()
        try:
            super().close()
        except self.connection_errors:
            if self.closed:
                raise
            # Broadcast queues cannot be deleted from a server that is gone; that must not keep
            # the rest from being closed.
            self.auto_delete_queues.clear()
            super().close()

    def basic_consume(
        self,
        queue: str,
        no_ack: bool,
        callback: Callable[..., Any] | None,
        consumer_tag: str | None,
        **kwargs: Any,
    ) -> Any:
        """Start to consume from a queue; Celery's consumer is guarded from malformed messages."""
        return super().basic_consume(
            queue,
            no_ack=no_ack,
            callback=callback and guard_tasks(callback),
            consumer_tag=consumer_tag,
            **kwargs,
        )

    def return_hints(self, hints: Sequence[Hint]) -> None:
        """Push hints to the consume end of where they came from; the first will be next."""
        self._push("rpush", list(reversed(hints)))

    def requeue_hint(self, hint: Hint) -> None:
        """Push a hint to the end of where it came from, behind what waits there."""
        self._push("lpush", [hint])

    def messages_being_acked(self) -> list[CheckedMessage]:
        """Return the messages whose ack waits for its turn in the worker's event loop."""
        loop = getattr(self.connection, "loop", None)
        if loop is None:
            return []
        with loop._ready_lock:
            callbacks = list(loop._ready)
        owners = (getattr(getattr(each, "fun", None), "__self__", None) for each in callbacks)
        return [owner for owner in owners if isinstance(owner, CheckedMessage)]

    def settle(self, delivery_tag: str) -> None:
        """Acknowledge a delivery if it is counted; with ``no_ack`` it never was."""
        if delivery_tag in (self.qos._delivered or ()):
            self.qos.ack(delivery_tag)

    def _push(self, command: str, hints: Sequence[Hint]) -> None:
        try:
            with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
                for hint in hints:
                    getattr(pipe, command)(hint.key, hint.item)
                pipe.execute()
        except (RedisError, OSError) as error:
            logger.info("%d hints could not be given back (%r); they are sent again by recovery",
                        len(hints), error)  # fmt: skip

    def _create_client(self, asynchronous: bool = False) -> Any:
        # kombu makes a client for every command, at about a quarter of the cost of a task.
        if asynchronous:
            return super()._create_client(asynchronous=True)
        pool, client = self.pool, self._cached_client
        if client is None or client.connection_pool is not pool:
            client = self._cached_client = super()._create_client()
        return client

    def _get_pool(self, asynchronous: bool = False) -> Any:
        # A message may be acked when its channel is closed and its transport dropped; kombu fails
        # then with an AttributeError, which ends the worker.
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the channel is closed")
        return super()._get_pool(asynchronous=asynchronous)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        if not (message.get("headers") or {}).get(HEAD_HEADER):
            super()._put(queue, message, **kwargs)
            return
        key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
        commands: list[tuple[Any, ...]] = [("rpush", key, dumps(message))]
        if queue in self._expires:
            lists = [self._q_for_pri(queue, step) for step in self.priority_steps]
            commands += [("pexpire", name, self._expires[queue]) for name in lists]
        self._run(commands, kwargs.get("_publish_batch"))

    def _run(self, commands: list[tuple[Any, ...]], batch: Any) -> None:
        if batch is not None:
            for command in commands:
                batch.add(*command)
            return
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            for name, *arguments in commands:
                getattr(pipe, name)(*arguments)
            pipe.execute()

    def _basic_cancel(self, consumer_tag: str) -> None:
        super()._basic_cancel(consumer_tag)
        if not self._consumers and not self.closed:
            # A worker that shuts down cancels first, and may then wait minutes for what runs.
            self._drain_reply()
            if isinstance(self._qos, HintQoS):
                self._qos.return_hints()

    def _drain_reply(self) -> None:
        # A pop that was sent may have taken a message.
        if not self._in_poll:
            return
        try:
            self._brpop_read()
        except Empty:
            pass
        except Exception as error:  # noqa: BLE001 - what a consumer raises must not stop a close
            logger.info("a pending reply of the broker could not be read (%r)", error)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            reply = self._read_reply(**options)
            if not reply:
                raise Empty
            # Nothing is pending from here on, and the consumer may close this channel.
            self._in_poll = None
            key, item = bytes_to_str(reply[0]), reply[1]
            queue = key.rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            self._receive_item(queue, key, item)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _read_reply(self, **options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise

    def _receive_item(self, queue: str, key: str, item: bytes) -> None:
        try:
            self._deliver(queue, key, item)
        except MalformedItemError as error:
            with self.conn_or_acquire() as client:
                quarantine(client, queue, item, error.reason, self.global_keyprefix)
            if isinstance(error.message, CheckedMessage):
                error.message.settle()

    def _deliver(self, queue: str, key: str, item: bytes) -> None:
        envelope = decode_item(item)
        if is_hint(envelope):
            envelope = Hint(envelope, key, item)
            if queue not in (self.connection._callbacks or ()):
                self.return_hints([envelope])
                return
        self.connection._deliver(envelope, queue)

    def _receive_one(self, client: Any) -> Any:
        self._bound(client)
        try:
            return super()._receive_one(client)
        except (MalformedItemError, RecursionError) as error:
            # What is published to all workers is in no queue: there is nothing to keep.
            logger.warning("dropped a malformed broadcast message (%s)", type(error).__name__)
            return None

    def _bound(self, client: Any) -> None:
        """Have the next read of what is published to all workers end in time.

        Left to kombu it waits without end, whatever the socket's timeout is (redis-py's
        ``PubSub.parse_response``), and the whole worker with it: where the event was of a
        connection that has been dropped since, whose number a new one has, and where the network
        fails within a message.

        Raises:
            Empty: there is nothing to read.
        """
        try:
            if not client.connection.can_read(timeout=0):
                raise Empty
        except self.connection_errors:
            self._in_listen = None
            raise
        if "parse_response" not in vars(client):
            bounded = partial(client.parse_response, block=False, timeout=_BROADCAST_SECONDS)
            client.parse_response = bounded


class Transport(kombu_redis.Transport):
    """The Redis transport with :class:`Channel`; for ``redis://`` and ``rediss://`` urls."""

    Channel = Channel

    loop: Any = None
    """The event loop of the worker, where there is one."""

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the worker's event loop watch the connections."""
        self.loop = loop
        super().register_with_event_loop(connection, loop)


def adopt_redis_urls() -> None:
    """Make this transport the one of all ``redis`` urls in this process.

    The setting ``broker_transport`` does not reach all of them: kombu takes the transport of
    ``redis+socket://`` from the url, that of the second url of a list too, and gives ``rediss://``
    its default TLS options by the name of the transport. Safe to repeat; connections that exist
    already stay as they are.
    """
    known: dict[str, Any] = kombu_transport._transport_cache  # type: ignore[attr-defined]  # not in the stubs
    for name in ("redis", "rediss"):
        kombu_transport.TRANSPORT_ALIASES[name] = f"{__name__}:{Transport.__name__}"
        known.pop(name, None)
