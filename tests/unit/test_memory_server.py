"""A server in memory: its clock, its times to live, its copies, and what it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from random import Random

import pytest
import redis

from gostage_core.errors import ConfigurationError
from gostage_core.preflight import check_server, inspect_server
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from gostage_core.testing.memory import START, Clock, MemoryClient, MemoryServer
from tests.support.random_commands import Commands
from tests.support.twin import outcome


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def client(server: MemoryServer) -> MemoryClient:
    return MemoryClient(server)


def test_time_stands_still_until_it_is_advanced(server: MemoryServer, client: MemoryClient) -> None:
    assert client.time() == client.time() == (START, 0)
    server.clock.advance(1.5)
    assert client.time() == (START + 1, 500_000)
    assert server.clock.now == datetime(2024, 1, 1, 0, 0, 1, 500_000, UTC)
    assert server.clock.seconds == START + 1.5
    server.clock.advance(-2)
    assert client.time() == (START - 1, 500_000)


def test_servers_may_have_one_clock() -> None:
    clock = Clock(start=100)
    first, second = MemoryClient(MemoryServer(clock)), MemoryClient(MemoryServer(clock))
    clock.advance(5)
    assert first.time() == second.time() == (105, 0)


def test_a_script_sees_the_clock(server: MemoryServer, client: MemoryClient) -> None:
    server.clock.advance(0.25)
    assert client.eval("return redis.call('TIME')", 0) == [b"%d" % START, b"250000"]


def test_keys_end_by_the_clock(server: MemoryServer, client: MemoryClient) -> None:
    client.set("short", "x", px=1_500)
    client.set("long", "x", ex=60)
    client.hset("hash", "a", "b")
    client.expire("hash", 2)
    assert (client.pttl("short"), client.ttl("long"), client.ttl("hash")) == (1_500, 60, 2)
    server.clock.advance(1.501)
    assert client.get("short") is None
    assert client.pttl("hash") == 499
    server.clock.advance(1)
    assert client.keys("*") == [b"long"]
    assert client.dbsize() == 1


def test_a_time_to_live_is_kept_or_lost_as_on_a_server(client: MemoryClient) -> None:
    client.set("n", 1, ex=60)
    client.incr("n")
    assert client.ttl("n") == 60
    client.set("n", 5, keepttl=True)
    assert client.ttl("n") == 60
    client.set("n", 5)
    assert client.ttl("n") == -1
    client.pexpireat("n", (START + 9) * 1000)
    assert client.ttl("n") == 9
    assert client.expire("n", 5, gt=True) is False
    assert client.expire("n", 5, lt=True) is True
    assert client.persist("n") is True
    client.expireat("n", START)
    assert client.exists("n") == 0


def test_what_has_no_order_is_told_in_the_order_of_names(client: MemoryClient) -> None:
    for name in ("c", "a", "b"):
        client.hset("h", name, name)
        client.sadd("s", name)
        client.set(name, 1)
    script = "return redis.call(ARGV[1], KEYS[1])"
    assert client.eval(script, 1, "h", "HGETALL") == [b"a", b"a", b"b", b"b", b"c", b"c"]
    assert client.eval(script, 1, "s", "SMEMBERS") == [b"a", b"b", b"c"]
    assert list(client.scan_iter("[a-c]")) == [b"a", b"b", b"c"]


def test_a_server_goes_back_to_a_snapshot_as_often_as_asked(
    server: MemoryServer, client: MemoryClient
) -> None:
    fill(client)
    snapshot, before = server.snapshot(), server.content()
    for _ in range(3):
        server.clock.advance(5)
        change(client)
        assert server.content() != before
        server.restore(snapshot)
        assert server.content() == before
        assert client.time() == (START, 0)
        assert client.zrange("z", 0, -1) == [b"m"]


def test_a_snapshot_goes_to_another_server_and_neither_changes_the_other(
    server: MemoryServer, client: MemoryClient
) -> None:
    fill(client)
    snapshot = server.snapshot()
    other = MemoryServer()
    other.restore(snapshot)
    change(client)
    assert other.content() != server.content()
    change(MemoryClient(other))
    assert other.content() == server.content()
    server.restore(snapshot)
    assert client.hgetall("h") == {b"a": b"1"}


def fill(client: MemoryClient) -> None:
    client.set("t", "x", ex=60)
    client.hset("h", "a", "1")
    client.rpush("l", "x")
    client.sadd("s", "x")
    client.zadd("z", {"m": 1})


def change(client: MemoryClient) -> None:
    client.append("t", "y")
    client.hset("h", "b", "2")
    client.rpush("l", "y")
    client.sadd("s", "y")
    client.zadd("z", {"n": 0})
    client.delete("none")
    client.persist("t")


def test_content_is_the_same_whatever_led_to_it(server: MemoryServer) -> None:
    one, other = MemoryClient(server), MemoryClient(MemoryServer())
    for name in ("a", "b", "c"):
        one.hset("h", name, name)
        one.zadd("z", {name: 1})
    for name in ("c", "b", "x", "a"):
        other.hset("h", name, name)
        other.zadd("z", {name: 2})
        other.zadd("z", {name: 1})
    other.server.clock.advance(60)
    assert one.server.content() != other.server.content()
    other.hdel("h", "x")
    other.zrem("z", "x")
    assert one.server.content() == other.server.content()
    assert hash(one.server.content()) == hash(other.server.content())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["SET", "k", "1"], ["SET", "k", "2"]),
        (["HSET", "k", "a", "1"], ["HSET", "k", "a", "2"]),
        (["RPUSH", "k", "a", "b"], ["RPUSH", "k", "b", "a"]),
        (["RPUSH", "k", "a"], ["SADD", "k", "a"]),
        (["ZADD", "k", "1", "a"], ["ZADD", "k", "1.5", "a"]),
        (["SET", "k", "1"], ["SET", "k", "1", "EX", "60"]),
        (["SET", "k", "1"], ["SET", "j", "1"]),
    ],
)
def test_content_tells_what_differs(first: list[str], second: list[str]) -> None:
    servers = MemoryServer(), MemoryServer()
    for server, command in zip(servers, (first, second), strict=True):
        MemoryClient(server).execute_command(*command)
    assert servers[0].content() != servers[1].content()


@pytest.mark.parametrize("seed", range(20))
def test_the_same_commands_lead_to_the_same_from_any_snapshot(seed: int) -> None:
    chance = Random(seed)
    commands = Commands(chance)
    straight, winding = MemoryClient(MemoryServer()), MemoryClient(MemoryServer())
    for _ in range(100):
        snapshot = winding.server.snapshot()
        for _ in range(chance.randrange(4)):
            outcome(winding, commands.one(), {})
        winding.server.restore(snapshot)
        command = commands.one()
        assert repr(outcome(straight, command, {})) == repr(outcome(winding, command, {}))
        assert straight.server.content() == winding.server.content()


ANSWERS_OF_COMMANDS = """
from random import Random
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.random_commands import Commands
from tests.support.twin import outcome
commands, client = Commands(Random(1)), MemoryClient(MemoryServer())
for _ in range(2_000):
    answer = outcome(client, commands.one(), {})
    print(sorted(map(repr, answer)) if isinstance(answer, set) else answer)
"""


def test_answers_are_the_same_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", ANSWERS_OF_COMMANDS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
    assert len(told.pop().splitlines()) >= 2_000


def test_gostage_takes_it_for_a_server_that_keeps_nothing_on_a_disk(
    client: MemoryClient, caplog: pytest.LogCaptureFixture
) -> None:
    levels = {f.setting: f.level for f in inspect_server(State(Settings(), client))}
    assert levels == {
        "version": "ok",
        "role": "ok",
        "maxmemory-policy": "ok",
        "appendonly": "warning",
    }
    check_server(State(Settings(durability="none"), client))
    client.config_set("appendonly", "yes")
    check_server(State(Settings(durability="strict"), client))
    assert client.config_get("append*") == {"appendonly": "yes"}
    with pytest.raises(redis.ResponseError, match="'port'"):
        client.config_set("port", 1)


def test_without_lupa_the_error_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lupa.lua51", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'gostage\[testing\]'"):
        MemoryServer()


def test_a_context_for_an_action_needs_no_lupa() -> None:
    program = (
        "import sys; sys.modules['lupa'] = None; import gostage_core.testing.memory;"
        "from gostage_core.testing import context; print(context(store={'a': 1}).store['a'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "1\n"
