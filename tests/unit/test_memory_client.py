"""Clients of a server in memory: faults on the way, pipelines, and notices."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gostage_core.errors import StoreUnavailableError
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from gostage_core.testing.memory import Fault, MemoryClient, MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> MemoryClient:
    return MemoryClient(server)


class Weather:
    """Faults that come one after another, and the requests that met them."""

    def __init__(self, *faults: Fault | None) -> None:
        self.met: list[list[bytes]] = []
        self._faults: Iterator[Fault | None] = iter(faults)

    def __call__(self, commands: Sequence[Sequence[bytes]]) -> Fault | None:
        self.met.append([words[0] for words in commands])
        return next(self._faults, None)


def test_a_request_that_is_lost_once_is_sent_again(client: MemoryClient) -> None:
    client.faults = weather = Weather(Fault.LOST)
    assert client.incr("n") == 1
    assert weather.met == [[b"INCRBY"]] * 2


def test_a_request_whose_answer_is_lost_is_carried_out_twice(client: MemoryClient) -> None:
    client.faults = Weather(Fault.UNANSWERED)
    assert client.incr("n") == 2


@pytest.mark.parametrize(("fault", "count"), [(Fault.LOST, None), (Fault.UNANSWERED, b"4")])
def test_a_connection_that_breaks_each_time_is_an_error(
    client: MemoryClient, fault: Fault, count: bytes | None
) -> None:
    client.faults = Weather(*[fault] * 4)
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    assert client.get("n") == count


def test_who_asks_is_told_of_an_answer_before_it_is_used(client: MemoryClient) -> None:
    told: list[bytes] = []

    def die(commands: Sequence[Sequence[bytes]]) -> None:
        told.append(commands[0][0])
        raise KeyboardInterrupt

    client.answered = die
    with pytest.raises(KeyboardInterrupt):
        client.incr("n")
    client.answered = None
    assert (told, client.get("n")) == ([b"INCRBY"], b"1")


def test_an_answer_that_is_lost_is_told_when_it_comes(client: MemoryClient) -> None:
    told: list[bytes] = []
    client.faults = Weather(Fault.UNANSWERED, Fault.LOST)
    client.answered = lambda commands: told.append(commands[0][0])
    assert client.incr("n") == 2
    assert told == [b"INCRBY"]


def test_an_error_that_is_lost_is_no_answer(client: MemoryClient) -> None:
    client.set("t", "x")
    client.faults = Weather(Fault.UNANSWERED)
    with pytest.raises(redis.ResponseError, match="not an integer"):
        client.incr("t")


def test_faults_are_of_one_client(server: MemoryServer) -> None:
    cut_off = MemoryClient(server, faults=lambda _commands: Fault.LOST)
    MemoryClient(server).set("t", "x")
    with pytest.raises(redis.ConnectionError):
        cut_off.get("t")
    cut_off.faults = None
    assert cut_off.get("t") == b"x"


def test_a_state_tells_that_the_server_is_out_of_reach(server: MemoryServer) -> None:
    state = State(Settings(), MemoryClient(server, faults=lambda _commands: Fault.LOST))
    with pytest.raises(StoreUnavailableError):
        state.server_ms()


def test_a_pipeline_is_one_request(client: MemoryClient) -> None:
    client.faults = weather = Weather(Fault.LOST)
    assert client.pipeline().incr("n").incr("n").execute() == [1, 2]
    assert weather.met == [[b"INCRBY", b"INCRBY"]] * 2


def test_a_pipeline_without_commands_asks_nothing(client: MemoryClient) -> None:
    client.faults = weather = Weather()
    assert client.pipeline().execute() == []
    assert weather.met == []


def test_there_is_no_watch(client: MemoryClient) -> None:
    with pytest.raises(redis.ResponseError, match="unknown command 'WATCH'"):
        client.pipeline().watch("n")


def test_a_script_of_a_pipeline_is_loaded_with_it(client: MemoryClient) -> None:
    pipeline = client.pipeline()
    client.register_script("return ARGV[1]")(args=["x"], client=pipeline)
    assert pipeline.execute() == [b"x"]


def test_a_notice_reaches_who_has_subscribed_in_order(client: MemoryClient) -> None:
    notices = client.pubsub()
    notices.subscribe("a", "b")
    assert (client.publish("a", "1"), client.publish("b", "2"), client.publish("c", "3")) == (
        1,
        1,
        0,
    )
    assert [taken["type"] for taken in (notices.get_message(), notices.get_message())] == [
        "subscribe"
    ] * 2
    assert notices.get_message() == {
        "type": "message",
        "pattern": None,
        "channel": b"a",
        "data": b"1",
    }
    assert notices.get_message()["data"] == b"2"
    assert notices.get_message() is None


def test_who_has_unsubscribed_or_closed_hears_nothing_more(client: MemoryClient) -> None:
    with client.pubsub(ignore_subscribe_messages=True) as notices:
        notices.subscribe("a", "b")
        notices.unsubscribe("a")
        assert client.publish("a", "1") == 0
        assert notices.subscribed
    assert not notices.subscribed
    assert client.publish("b", "1") == 0
    assert notices.get_message() is None


def test_a_script_publishes_too(client: MemoryClient) -> None:
    notices = client.pubsub(ignore_subscribe_messages=True)
    notices.subscribe("a")
    assert client.eval("return redis.call('PUBLISH', 'a', 12)", 0) == 1
    assert notices.get_message() is None
    assert notices.get_message()["data"] == b"12"


def test_time_passes_for_who_waits_in_vain(server: MemoryServer, client: MemoryClient) -> None:
    notices = client.pubsub()
    before = server.clock.seconds
    assert notices.get_message(timeout=90) is None
    assert server.clock.seconds == before + 90
    notices.get_message()
    assert server.clock.seconds == before + 90


def test_what_goes_on_while_somebody_waits_is_said_by_who_holds_the_server(
    server: MemoryServer, client: MemoryClient
) -> None:
    notices = client.pubsub(ignore_subscribe_messages=True)
    notices.subscribe("a")
    notices.get_message()
    server.on_wait = lambda seconds: client.publish("a", f"after {seconds:g} s")
    assert notices.get_message(timeout=60)["data"] == b"after 60 s"


def test_who_holds_the_server_may_say_that_nothing_ever_comes(
    server: MemoryServer, client: MemoryClient
) -> None:
    def stuck(_seconds: float) -> None:
        raise AssertionError("nothing is left to do")

    server.on_wait = stuck
    with pytest.raises(AssertionError, match="nothing is left"):
        client.pubsub().get_message(timeout=1)
    with pytest.raises(RuntimeError, match="without end"):
        client.pubsub().get_message(timeout=None)


def test_another_thread_sleeps_until_it_hears_something(
    server: MemoryServer, client: MemoryClient
) -> None:
    notices = client.pubsub(ignore_subscribe_messages=True)
    notices.subscribe("a")
    notices.get_message()
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.append(notices.get_message(timeout=None)))
    thread.start()
    client.publish("a", "1")
    thread.join(timeout=30)
    assert [notice["data"] for notice in heard] == [b"1"]


def test_threads_may_share_a_server(client: MemoryClient) -> None:
    def count() -> None:
        for _ in range(500):
            client.eval("return redis.call('INCR', 'n')", 0)
            client.incr("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert client.get("n") == b"4000"
