"""The server in memory answers as the real one does, and holds the same afterwards."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gostage_core.settings import Settings
from gostage_core.state.client import connect
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.bench import Bench
from tests.support.living import World
from tests.support.random_commands import Commands
from tests.support.random_json import Texts
from tests.support.twin import DATABASE, Twin, dump, outcome
from tests.support.twin_scripts import scripts as given_scripts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.server import RedisServer


@pytest.mark.parametrize("seed", range(8))
def test_commands_by_chance_are_answered_alike(twin: Twin, seed: int) -> None:
    commands = Commands(Random(seed))
    for _ in range(500):
        command = commands.one()
        outcome(twin, command, {})
        assert dump(twin.real) == dump(twin.twin), command
    assert twin.compared == 500


@pytest.mark.parametrize("script", given_scripts())
def test_a_script_returns_and_raises_the_same(twin: Twin, script: str) -> None:
    twin.set("s", "text")
    outcome(twin, ["EVAL", script, 1, "s", "x", "y"], {})
    assert twin.compared == 2


READ_AND_WRITE = "local x = cjson.encode({cjson.decode(ARGV[1])}) return x"


@pytest.mark.parametrize("seed", range(4))
def test_json_by_chance_is_read_and_written_alike(twin: Twin, seed: int) -> None:
    texts = Texts(Random(seed))
    for _ in range(500):
        text = texts.one()
        found, other = (written(client, text) for client in (twin.real, twin.twin))
        assert found == other, text


def written(client: redis.Redis, text: str) -> Any:
    """What a script makes of JSON; the order in an object is Lua's own."""
    answer = outcome(client, ["EVAL", READ_AND_WRITE, 0, text], {})
    return str(answer) if isinstance(answer, Exception) else json.loads(answer)


NUMBERS = (
    "redis.call('SET', 'n', tonumber(ARGV[1])) return {redis.call('GET', 'n'), tonumber(ARGV[1])}"
)


def test_numbers_of_scripts_are_written_alike(twin: Twin) -> None:
    chance = Random(1)
    for power in range(54):
        for number in (
            2**power,
            chance.randrange(2**53),
            chance.randrange(2**20) / 8,
            10.0**-power,
        ):
            twin.eval(NUMBERS, 0, number)
            twin.zadd("z", {"m": -number})
            twin.execute_command("ZSCORE", "z", "m")


CALLS: dict[str, Callable[[redis.Redis], Any]] = {
    "hgetall": lambda c: c.hgetall("h"),
    "hget": lambda c: c.hget("h", "a"),
    "hget none": lambda c: c.hget("h", "none"),
    "hmget": lambda c: c.hmget("h", "a", "none"),
    "hkeys": lambda c: sorted(c.hkeys("h")),
    "hexists": lambda c: c.hexists("h", "a"),
    "hset": lambda c: c.hset("h", mapping={"n": 1, "m": 2.5}),
    "hincrby": lambda c: c.hincrby("h", "n", 4),
    "hdel": lambda c: c.hdel("h", "n", "m"),
    "lrange": lambda c: c.lrange("l", 0, -1),
    "llen": lambda c: c.llen("l"),
    "lpush": lambda c: c.lpush("l", "z"),
    "lpop": lambda c: c.lpop("l"),
    "lpop many": lambda c: c.lpop("l", 2),
    "lset": lambda c: c.lset("l", 0, "x"),
    "smembers": lambda c: set(c.smembers("s")),
    "sismember": lambda c: c.sismember("s", "a"),
    "zrange": lambda c: c.zrange("z", 0, -1),
    "zrange with scores": lambda c: c.zrange("z", 0, -1, withscores=True),
    "zrange by score": lambda c: c.zrange("z", "-inf", 2, byscore=True, offset=0, num=1),
    "zrevrange": lambda c: c.zrevrange("z", 0, 0),
    "zrevrange with scores": lambda c: c.zrevrange("z", 0, -1, withscores=True),
    "zrangebyscore": lambda c: c.zrangebyscore("z", "-inf", "+inf", start=0, num=5),
    "zscore": lambda c: c.zscore("z", "a"),
    "zscore none": lambda c: c.zscore("z", "none"),
    "zrank": lambda c: c.zrank("z", "b"),
    "zrevrank none": lambda c: c.zrevrank("z", "none"),
    "zadd": lambda c: c.zadd("z", {"a": 5}, xx=True, ch=True),
    "zadd incr": lambda c: c.zadd("z", {"a": 5}, incr=True),
    "zincrby": lambda c: c.zincrby("z", 1.5, "a"),
    "zpopmin": lambda c: c.zpopmin("z"),
    "zcard": lambda c: c.zcard("z"),
    "get": lambda c: c.get("t"),
    "set nx": lambda c: c.set("t", "v", nx=True),
    "set px": lambda c: c.set("t", "v", px=100_000),
    "incr": lambda c: c.incr("n"),
    "exists": lambda c: c.exists("h", "none"),
    "expire": lambda c: c.expire("h", 1000),
    "persist": lambda c: c.persist("h"),
    "ttl": lambda c: c.ttl("none"),
    "type": lambda c: c.type("h"),
    "delete": lambda c: c.delete("h", "none"),
    "unlink": lambda c: c.unlink("s"),
    "scan": lambda c: sorted(c.scan_iter("[lz]*")),
    "config": lambda c: c.config_get("maxmemory-policy"),
    "publish": lambda c: c.publish("none", "text"),
    "ping": lambda c: c.ping(),
    "echo": lambda c: c.echo("x"),
    "script load": lambda c: c.script_load("return 1"),
    "script exists": lambda c: c.script_exists("e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
    "registered": lambda c: c.register_script("return ARGV[1]")(args=["x"]),
    "dbsize": lambda c: c.dbsize(),
    "wrong type": lambda c: c.llen("h"),
    "flushdb": lambda c: c.flushdb(),
}  # fmt: skip


def test_what_redis_py_makes_of_an_answer_is_the_same(server: RedisServer) -> None:
    real = connect(server.url.replace("/0", f"/{DATABASE}"))
    memory = MemoryClient(MemoryServer())
    for client in (real, memory):
        client.flushdb()
        client.hset("h", mapping={"a": "1", "b": "é"})
        client.rpush("l", "x", "y", "z", b"\xff")
        client.sadd("s", "a", "b")
        client.zadd("z", {"a": 1, "b": 2.5, "c": 3})
    for name, call in CALLS.items():
        found, other = (answered(call, client) for client in (real, memory))
        assert (name, found, type(found)) == (name, other, type(other))
    real.close()


def answered(call: Callable[[redis.Redis], Any], client: redis.Redis) -> Any:
    try:
        return call(client)
    except redis.RedisError as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("raises", [True, False])
def test_a_pipeline_answers_alike(server: RedisServer, together: bool, raises: bool) -> None:
    real = connect(server.url.replace("/0", f"/{DATABASE}"))
    for wrong in ("llen", "get", "none"):

        def call(client: redis.Redis, wrong: str = wrong) -> Any:
            client.flushdb()
            pipeline = client.pipeline(transaction=together)
            pipeline.hset("h", "a", "1").hgetall("h").hincrby("h", "a", 2)
            pipeline.execute_command(wrong, "h")
            pipeline.set("t", 1).zadd("z", {"m": 1}).zrange("z", 0, -1, withscores=True)
            answers = pipeline.execute(raise_on_error=raises)
            return [str(one) if isinstance(one, Exception) else one for one in answers]

        memory = MemoryClient(MemoryServer())
        assert answered(call, real) == answered(call, memory)
        assert real.exists("t") == memory.exists("t")
    real.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_run_by_chance_leaves_the_same_after_each_operation(
    twin: Twin, fresh_registry: None, seed: int
) -> None:
    bench = Bench(Settings(namespace="twin"), twin)
    World(bench, Random(seed)).live()
    assert twin.compared > 10
    bench.close()
