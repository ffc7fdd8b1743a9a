"""The transport: lost connections, hints without a record, what others see, the head of a queue."""

from __future__ import annotations

import base64
import json
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.common import Broadcast

from gostage_core.broker.depth import queue_depth
from gostage_core.broker.transport import Channel, adopt_redis_urls
from tests.support.eventually import eventually
from tests.support.plain_worker import TRANSPORT, PlainWorker
from tests.support.queue_items import changed, item
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    import redis
    from kombu.message import Message

PREFORK = ["-P", "prefork", "-c", "2"]
THREADS = ["-P", "threads", "-c", "2"]
SOLO = ["-P", "solo"]
LOST = "Connection to broker lost"
URGENT = "celery\x06\x163"
"""The list of priority 3."""


@pytest.fixture(scope="module")
def broker() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def client(broker: RedisServer) -> Iterator[redis.Redis]:
    with broker.start().client() as client:
        client.flushall()
        yield client


@pytest.fixture
def connection(broker: RedisServer, client: redis.Redis) -> Iterator[Connection]:
    with Connection(broker.url, transport=TRANSPORT) as connection:
        yield connection


class Taken(list[Any]):
    """The messages that a consumer was handed, oldest first."""

    def __init__(self, connection: Connection, prefetch: int = 0) -> None:
        super().__init__()
        self.connection = connection
        self.channel: Any = connection.channel()
        self.consumer = Consumer(self.channel, [direct("celery")], on_message=self.append)
        self.consumer.qos(prefetch_count=prefetch)
        self.consumer.consume()

    def take(self, count: int = 1) -> Self:
        """Wait for so many messages in all."""
        eventually(lambda: self.poll() >= count)
        return self

    def poll(self) -> int:
        """Take what comes within a moment; return how many messages there are by then."""
        with suppress(TimeoutError):
            self.connection.drain_events(timeout=0.05)
        return len(self)


def direct(queue: str) -> Queue:
    """A queue that messages reach by its name alone, as Celery's do."""
    return Queue(queue, Exchange(""), routing_key=queue)


def texts(client: redis.Redis, key: str = "celery") -> list[str]:
    """The bodies of the messages in a list, the next one to be taken first."""
    queued = reversed(client.lrange(key, 0, -1))
    return [base64.b64decode(json.loads(raw)["body"]).decode() for raw in queued]


def markers(client: redis.Redis, key: str = "celery") -> list[str]:
    """The first arguments of the task messages in a list, the next one to be taken first."""
    return [json.loads(text)[0][0] for text in texts(client, key)]


def push(client: redis.Redis, *names: str, task: str = "gostage.action", gate: str = "") -> None:
    for name in names:
        arguments = (name, gate) if gate else (name,)
        client.lpush("celery", item(*arguments, task=task))


def done(client: redis.Redis) -> set[bytes]:
    return set(cast("list[bytes]", client.lrange("done", 0, -1)))


@pytest.mark.parametrize("pool", [PREFORK, THREADS], ids=["prefork", "threads"])
@pytest.mark.parametrize("held", ["plain.late", "gostage.action"])
def test_a_worker_that_holds_a_message_outlives_a_restart_of_the_server(
    broker: RedisServer, client: redis.Redis, tmp_path: Path, pool: list[str], held: str
) -> None:
    gate = tmp_path / "gate"
    with PlainWorker(broker.url, tmp_path / "w.log", *pool) as worker:
        push(client, "held", task=held, gate=str(gate))
        eventually(lambda: client.llen("begun"))
        pid = worker.pid

        broker.kill()
        eventually(lambda: LOST in worker.output)
        broker.start()

        push(client, "next", task="plain.early")
        eventually(lambda: b"next" in done(client) or not worker.alive)
        gate.touch()
        eventually(lambda: done(client) == {b"held", b"next"} or not worker.alive)
        assert worker.alive
        assert worker.pid == pid


@pytest.mark.parametrize("pool", [PREFORK, SOLO], ids=["prefork", "solo"])
def test_a_busy_worker_consumes_again_when_the_server_was_down_for_a_while(
    broker: RedisServer, client: redis.Redis, tmp_path: Path, pool: list[str]
) -> None:
    push(client, *map(str, range(2_000)))
    with PlainWorker(broker.url, tmp_path / "w.log", *pool) as worker:
        eventually(lambda: client.llen("done") > 50)
        broker.kill()
        # Several attempts to connect have failed by then.
        eventually(lambda: worker.output.count("Trying again in") >= 2)
        assert worker.alive
        broker.start()

        before = client.llen("done")
        eventually(lambda: client.llen("done") > before + 50 or not worker.alive)
        assert worker.alive


def test_acks_that_do_not_reach_the_server_do_not_stop_the_consumer(
    broker: RedisServer, client: redis.Redis, connection: Connection
) -> None:
    taken = Taken(connection, prefetch=1)
    push(client, "a", task="plain.late")
    [message] = taken.take()
    assert not taken.channel.qos.can_consume()

    broker.kill()
    with pytest.raises(connection.connection_errors):
        message.ack()
    assert taken.channel.qos.can_consume()


def test_hints_leave_no_record_of_their_delivery(
    broker: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    with PlainWorker(broker.url, tmp_path / "w.log", *PREFORK):
        push(client, "warm", task="plain.late")
        eventually(lambda: done(client) == {b"warm"})
        eventually(lambda: client.hlen("unacked") == 0)
        client.config_resetstat()

        push(client, *map(str, range(20)))
        eventually(lambda: client.llen("done") == 21)
        calls = client.info("commandstats")
        assert not {"cmdstat_hset", "cmdstat_zadd", "cmdstat_hdel", "cmdstat_zrem"} & set(calls)

        push(client, "late", task="plain.late")
        eventually(lambda: b"late" in done(client))
        assert client.info("commandstats")["cmdstat_hset"]["calls"] == 1


@pytest.mark.parametrize("pool", [PREFORK, THREADS], ids=["prefork", "threads"])
def test_prefetched_hints_are_given_back_before_a_worker_has_shut_down(
    broker: RedisServer, client: redis.Redis, tmp_path: Path, pool: list[str]
) -> None:
    gate = tmp_path / "gate"
    with PlainWorker(broker.url, tmp_path / "w.log", *pool) as worker:
        push(client, "running", "running too", gate=str(gate))
        eventually(lambda: client.llen("begun") == 2)
        push(client, "a", "b", "c", "d")
        eventually(lambda: markers(client) == ["c", "d"])

        worker.signal(signal.SIGTERM)
        eventually(lambda: markers(client) == ["a", "b", "c", "d"])
        assert worker.alive, "it still runs what it had begun"
        gate.touch()
        assert worker.wait(20) == 0
        assert markers(client) == ["a", "b", "c", "d"]
        assert done(client) == {b"running", b"running too"}


def test_a_solo_worker_gives_back_nothing_that_it_has_done(
    broker: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with PlainWorker(broker.url, tmp_path / "w.log", *SOLO) as worker:
        push(client, "running", gate=str(gate))
        eventually(lambda: client.llen("begun") == 1)
        push(client, "a", "b")
        worker.signal(signal.SIGTERM)
        eventually(lambda: "Warm shutdown" in worker.output)
        gate.touch()
        assert worker.wait(20) == 0
    assert done(client) == {b"running"}
    assert markers(client) == ["a", "b"]


def test_a_channel_that_closes_gives_its_hints_back_where_they_came_from(
    client: redis.Redis, connection: Connection
) -> None:
    push(client, "a", "b", "c", "d")
    client.lpush(URGENT, item("e"), item("f"))
    queued = client.lrange("celery", 0, -1)
    taken = Taken(connection, prefetch=5).take(5)
    acked = next(message for message in taken if message.payload[0] == ["e"])
    acked.ack()

    taken.channel.close()
    assert client.lrange("celery", 0, -1) == queued
    assert markers(client, URGENT) == ["f"]


def test_an_ack_on_a_closed_channel_is_silent(client: redis.Redis, connection: Connection) -> None:
    push(client, "a")
    push(client, "b", task="plain.late")
    first, second = Taken(connection).take(2)

    connection.close()
    first.ack()
    second.ack()
    assert sorted(markers(client)) == ["a", "b"]


def test_a_connection_closes_at_once_when_the_server_is_gone(
    broker: RedisServer, client: redis.Redis, connection: Connection
) -> None:
    push(client, "a")
    taken = Taken(connection)
    queue = Broadcast("everybody")
    Consumer(taken.channel, [queue], on_message=lambda message: None).consume()
    [message] = taken.take()

    broker.kill()
    connection.close()
    assert taken.channel.closed
    message.ack()
    connection.close()


def test_copies_of_one_hint_count_one_by_one(client: redis.Redis, connection: Connection) -> None:
    copies = [item("a", properties={"delivery_tag": "the same"}) for _ in range(5)]
    client.lpush("celery", *copies)
    taken = Taken(connection, prefetch=2)
    taken.take(2)
    taken.poll()
    assert len(taken) == 2

    taken[0].ack()
    taken.take(3)
    taken.poll()
    assert len(taken) == 3
    for message in taken[1:]:
        message.ack()
    taken.take(5)


def test_a_hint_that_is_rejected_is_dropped_or_goes_to_the_end(
    client: redis.Redis, connection: Connection
) -> None:
    push(client, "a", "b", "c", "d")
    taken = Taken(connection, prefetch=2).take(2)
    taken[0].reject(requeue=True)
    taken[1].reject()
    assert markers(client) == ["c", "d", "a"]
    assert taken.channel.qos.can_consume()


def test_a_hint_for_a_cancelled_consumer_stays_the_next_one(
    client: redis.Redis, connection: Connection
) -> None:
    taken = Taken(connection)
    taken.poll()  # a pop waits at the server
    push(client, "a", "b")
    eventually(lambda: client.llen("celery") == 1)

    taken.consumer.cancel()
    assert markers(client) == ["a", "b"]


def test_messages_of_others_are_recorded_and_restored_as_kombu_does(
    client: redis.Redis, connection: Connection
) -> None:
    push(client, "a", "b", task="plain.late")
    taken = Taken(connection).take(2)
    assert client.hlen("unacked") == client.zcard("unacked_index") == 2
    taken[0].ack()
    assert client.hlen("unacked") == 1

    taken.channel.close()
    assert client.hlen("unacked") == 0
    [restored] = client.lrange("celery", 0, -1)
    assert json.loads(restored)["headers"]["redelivered"] is True


def test_consumers_of_other_kinds_see_messages_as_they_are(
    client: redis.Redis, connection: Connection
) -> None:
    odd = {"task": ["no", "name"], "timelimit": 5}
    client.lpush("celery", changed("headers", to=odd, body="anything"))
    [message] = Taken(connection).take()
    assert message.headers == odd
    assert message.payload == "anything"


def test_an_error_of_a_consumer_of_another_kind_is_its_own(
    client: redis.Redis, connection: Connection
) -> None:
    def fail(message: Message) -> None:
        raise ValueError(message.delivery_tag)

    with Consumer(connection, [direct("celery")], on_message=fail):
        push(client, "a", task="plain.early")
        with pytest.raises(ValueError, match="-"):
            connection.drain_events(timeout=10)
    assert not client.exists("celery.quarantine")


@pytest.mark.parametrize("expires", [None, 60])
def test_a_message_with_the_head_header_is_the_next_one_taken(
    client: redis.Redis, connection: Connection, expires: float | None
) -> None:
    queue = Queue("celery", Exchange(""), routing_key="celery", expires=expires)
    queue(connection.default_channel).declare()
    producer = connection.Producer()
    producer.publish("first", routing_key="celery")
    producer.publish("second", routing_key="celery", headers={"gostage_head": True})

    assert texts(client) == ["second", "first"]
    assert (client.pttl("celery") > 0) == (expires is not None)


def test_the_head_header_counts_in_a_batch_and_for_a_priority(
    client: redis.Redis, connection: Connection
) -> None:
    producer: Any = connection.Producer()
    with producer.batch(10):
        producer.publish("first", routing_key="celery", priority=3)
        producer.publish("second", routing_key="celery", priority=3, headers={"gostage_head": True})
        assert not client.exists(URGENT)
    assert texts(client, URGENT) == ["second", "first"]


def test_an_event_of_a_connection_that_is_gone_does_not_stop_the_loop(
    connection: Connection,
) -> None:
    """Its number may be that of a new connection, on which there is nothing to read."""
    heard: list[Any] = []
    channel: Any = connection.channel()
    everyone = Exchange("everyone", type="fanout")
    consumer = Consumer(channel, [Queue("mine", everyone)], on_message=heard.append)
    consumer.consume()
    producer = Producer(connection.channel(), exchange=everyone)

    def hears(count: int) -> bool:
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.05)
        if len(heard) < count:
            producer.publish("x")
        return len(heard) >= count

    eventually(lambda: hears(1))
    while channel.subclient.connection.can_read(timeout=0.2):
        channel._receive()
    thread = threading.Thread(target=channel._receive, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    eventually(lambda: hears(len(heard) + 1))


def test_the_depth_of_a_queue_is_that_of_all_its_priorities(
    broker: RedisServer, client: redis.Redis, connection: Connection
) -> None:
    assert queue_depth(connection, "celery") == 0
    for priority in (0, 3, 6, 9):
        connection.Producer().publish("x", routing_key="celery", priority=priority)
    assert queue_depth(connection, "celery") == 4
    with Connection(broker.url, transport_options={"global_keyprefix": "mine:"}) as prefixed:
        prefixed.Producer().publish("x", routing_key="celery")
        assert queue_depth(prefixed, "celery") == 1

    broker.kill()
    assert queue_depth(connection, "celery") is None


def test_the_depth_is_known_of_other_transports_where_the_queue_exists() -> None:
    with Connection("memory://") as connection:
        assert queue_depth(connection, "celery") is None
        connection.SimpleQueue("celery").put("x")
        assert queue_depth(connection, "celery") == 1


def test_every_redis_url_is_served_after_adoption(
    monkeypatch: pytest.MonkeyPatch, broker: RedisServer, client: redis.Redis
) -> None:
    for name in ("TRANSPORT_ALIASES", "_transport_cache"):
        monkeypatch.setattr("kombu.transport." + name, {})
    path = f"{broker.data_dir}/s"
    with RedisServer("--unixsocket", path):
        adopt_redis_urls()
        with Connection(f"redis+socket://{path}?virtual_host=0") as connection:
            assert isinstance(connection.default_channel, Channel)
    with Connection(f"redis://127.0.0.1:1/0;{broker.url}") as connection:
        connection.ensure_connection(max_retries=3, interval_start=0)
        assert isinstance(connection.default_channel, Channel)
    assert Connection("rediss://127.0.0.1/0").ssl
