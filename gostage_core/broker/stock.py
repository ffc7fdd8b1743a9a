"""kombu's Redis classes, typed: its stubs leave out what a subclass overrides and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

if TYPE_CHECKING:
    from collections import OrderedDict

    from redis import Redis

    class RedisQoS(kombu_redis.QoS):
        """kombu's bookkeeping of what was delivered."""

        _delivered: OrderedDict[str, virtual.Message]
        _dirty: set[str]

        def _flush(self) -> None: ...

    class RedisChannel(kombu_redis.Channel):
        """kombu's channel on Redis."""

        connection_errors: tuple[type[Exception], ...]
        client: Any
        _in_poll: Any
        _expires: dict[str, int]
        _queue_cycle: Any

        def _basic_cancel(self, consumer_tag: str) -> None: ...
        def _brpop_read(self, **options: Any) -> bool: ...
        def _create_client(self, asynchronous: bool = False) -> Redis: ...
        def _flush_brpop_reauth(self) -> None: ...
        def _get_message_priority(self, message: Any, reverse: bool = False) -> int: ...
        def _get_pool(self, asynchronous: bool = False) -> Any: ...
        def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None: ...
        def _q_for_pri(self, queue: str, priority: int) -> str: ...
        def _receive_one(self, client: Any) -> Any: ...

    class Message(virtual.Message):
        """kombu's message of a transport that emulates AMQP."""

        _raw: dict[str, Any]

else:
    RedisQoS = kombu_redis.QoS
    RedisChannel = kombu_redis.Channel
    Message = virtual.Message

__all__ = ["Message", "RedisChannel", "RedisQoS"]
