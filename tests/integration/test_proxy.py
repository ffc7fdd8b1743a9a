"""The proxy on which other tests let the network fail: each fault is there, and can be healed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.eventually import eventually
from tests.support.lanes import Direction
from tests.support.proxy import FaultProxy
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["tcp", "unix"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FaultProxy]:
    socket = tmp_path / "socket"
    with RedisServer("--unixsocket", str(socket)) as server:
        url = server.url if request.param == "tcp" else f"unix://{socket}?db=0"
        with FaultProxy(url) as proxy:
            yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[redis.Redis]:
    """One that says at once what goes wrong."""
    with redis.Redis.from_url(
        proxy.url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0), protocol=2
    ) as client:
        yield client


def test_it_passes_on_what_both_say(proxy: FaultProxy, client: redis.Redis) -> None:
    value = b"x" * 1_000_000
    client.set("key", value)
    assert client.get("key") == value
    assert proxy.connections == 1


def test_a_black_hole_lets_nothing_arrive_until_it_is_healed(
    proxy: FaultProxy, client: redis.Redis
) -> None:
    client.incr("count")
    proxy.black_hole()
    with pytest.raises(redis.TimeoutError):
        client.incr("count")
    assert proxy.is_holding(b"INCRBY")
    proxy.heal()
    eventually(lambda: client.get("count") == b"2")
    assert not proxy.is_holding(b"INCRBY")


def test_half_a_black_hole_lets_the_other_half_through(
    proxy: FaultProxy, client: redis.Redis
) -> None:
    client.ping()
    proxy.black_hole(Direction.TO_CLIENT)
    with pytest.raises(redis.TimeoutError):
        client.incr("count")
    proxy.heal()
    assert client.get("count") == b"1"


def test_what_was_sent_into_a_black_hole_is_lost_when_it_is_cut(
    proxy: FaultProxy, client: redis.Redis
) -> None:
    client.incr("count")
    proxy.black_hole(Direction.TO_SERVER)
    with pytest.raises(redis.TimeoutError):
        client.incr("count")
    assert proxy.cut() == 1
    proxy.heal()
    assert client.get("count") == b"1"


def test_a_cut_ends_a_connection_that_waits_for_an_answer(
    proxy: FaultProxy, client: redis.Redis
) -> None:
    with client.pubsub() as waiting:  # type: ignore[no-untyped-call]
        waiting.subscribe("channel")
        eventually(waiting.get_message)
        assert proxy.cut(1) == 1
        with pytest.raises(redis.ConnectionError):
            waiting.get_message(timeout=10)
    assert client.ping()


def test_connections_that_were_forgotten_are_silent_and_new_ones_are_not(
    proxy: FaultProxy, client: redis.Redis
) -> None:
    client.ping()
    assert proxy.forget() == 1
    with pytest.raises(redis.TimeoutError):
        client.ping()
    proxy.heal()
    assert client.ping(), "over another connection"


def test_who_is_connected_goes_on_while_newcomers_are_refused(
    proxy: FaultProxy, client: redis.Redis
) -> None:
    client.ping()
    proxy.refuse()
    assert client.ping()
    proxy.cut()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    proxy.heal()
    assert client.ping()


def test_a_request_is_applied_though_its_answer_is_dropped(
    proxy: FaultProxy, client: redis.Redis
) -> None:
    drop = proxy.drop_answer(b"INCRBY")
    client.set("count", 5)
    assert not drop.has_happened
    with pytest.raises(redis.ConnectionError):
        client.incr("count")
    assert drop.has_happened
    assert client.incr("count") == 7, "it happens once"


def test_a_delay_holds_up_every_answer(proxy: FaultProxy, client: redis.Redis) -> None:
    client.ping()
    proxy.delay(1)
    with pytest.raises(redis.TimeoutError):
        client.ping()
    proxy.heal()
    assert client.ping()


def test_a_rate_holds_up_what_is_large(proxy: FaultProxy, client: redis.Redis) -> None:
    value = b"x" * 1_000_000
    client.set("large", value)
    proxy.throttle(10_000)
    with pytest.raises(redis.TimeoutError):
        client.get("large")
    proxy.heal()
    assert client.get("large") == value


def test_a_server_that_is_down_refuses_through_the_proxy(tmp_path: Path) -> None:
    server = RedisServer()
    with FaultProxy(server.url) as proxy:
        client = redis.Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0))
        with client, pytest.raises(redis.ConnectionError):
            client.ping()
        eventually(lambda: proxy.connections == 0)
