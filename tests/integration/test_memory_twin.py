"""The server in memory answers as the real one does, and holds the same afterwards."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gostage_core import Action, ActionContext, Retry, Sleep, Stage, Throttle, Workflow
from gostage_core.attempt import Moment
from gostage_core.authoring.waits import Delivery
from gostage_core.errors import CorruptRunError
from gostage_core.settings import Settings
from gostage_core.state import scripts
from gostage_core.state.client import connect
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.bench import Bench
from tests.support.living import World
from tests.support.random_commands import Commands
from tests.support.random_json import Texts
from tests.support.twin import DATABASE, Twin, dump, outcome
from tests.support.twin_scripts import scripts as given_scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.state.operations import State
    from tests.support.server import RedisServer


@pytest.fixture
def twin(server: RedisServer) -> Iterator[Twin]:
    twin = Twin(server, MemoryServer())
    yield twin
    twin.close()


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


class Busy(Action):
    """Does what an action may do with its store, and tells of it."""

    def execute(self, ctx: ActionContext) -> None:
        ctx.store.put("count", 2**62, tags=["large"], ttl=3600)
        ctx.store.increment("tries", 1)
        ctx.store.append("log", {"at": "busy"})
        ctx.checkpoint()
        ctx.progress(0.5, "half of it")
        ctx.send("found", {"files": 12})
        assert ctx.store.get("count", int) == 2**62
        if "given" in ctx.store:
            ctx.store.delete("given")


class Wait(Action):
    """Waits for a parcel."""

    def execute(self, ctx: ActionContext) -> Delivery | None:
        return None if ctx.phase else Delivery("parcel", 60)


class Fail(Action):
    """Fails once."""

    def execute(self, ctx: ActionContext) -> None:
        if ctx.attempt == 1:
            raise ValueError("é")


class Ask(Action):
    """Does something once, waits for a signal, and fails unless that says that all is well."""

    def execute(self, ctx: ActionContext) -> None:
        ctx.once("call", lambda: {"é": 1})
        if ctx.wait_for("answer") != "well":
            raise ValueError("unwell")


def hold_and_try_again(bench: Bench) -> None:
    """Have a run do and suffer whatever may be asked of it from outside."""
    workflow = Workflow("asks")
    workflow.add_stage(Stage("s", [Busy().options(compensate=Busy()), Sleep(60), Ask()]))
    run = bench.submit(workflow)
    for _ in range(2):
        bench.step()
    run.pause("a while")
    run.resume()
    run.signal("answer", "unwell")
    assert bench.drain(run).compensated is True
    plain = Workflow("asks")
    plain.add_stage(Stage("s", [Busy(), Ask()]))
    run = bench.submit(plain)
    run.signal("answer", "unwell")
    bench.drain(run)
    forked = run.fork("Ask", store={"x": Decimal(1)})
    run.retry(skip=["Ask"], store={"given": 2})
    forked.cancel()
    assert bench.drain(run).status == "completed"
    forked.delete()


def throttle_and_schedule(bench: Bench) -> None:
    """Let one run at a time through, and have another one submitted at its time."""
    workflow = Workflow("one", throttle=Throttle(concurrency=1))
    workflow.add_stage(Stage("s", [Busy().options(throttle=Throttle("gate", concurrency=1))]))
    first, second = bench.submit(workflow), bench.submit(workflow)
    bench.pass_time()  # their messages are looked for
    bench.state.invite("gate", "set", 2, 0, 0)
    bench.drain(first)
    bench.drain(second)
    late = Workflow("late")
    late.add_stage(Stage("s", [Sleep(60).options(deadline=0.1, on_error="continue"), Busy()]))
    run = bench.submit(late)
    bench.step()
    while not bench.post.messages:
        bench.rescuer.tick()
    bench.drain(run)
    bench.runner.schedules.add("nightly", workflow, every=3600)
    schedule = bench.runner.schedules["nightly"]
    bench.drain(schedule.trigger())
    schedule.pause()
    schedule.remove()


def test_every_operation_leaves_the_same(twin: Twin, fresh_registry: None) -> None:
    bench = Bench(Settings(namespace="twin"), twin)
    state, keys = bench.state, bench.state.keys
    workflow = Workflow("w", tags=["a/b"])
    workflow.add_stage(Stage("s", [Busy(), Wait(), Fail().options(retry=Retry(2, delay=1))]))
    options = {"store": {"given": [1, None]}, "tags": ["t"]}
    run = bench.submit(workflow, key="event", reply_to="replies", **options)
    bench.submit(workflow, key="event")
    bench.die_at = Moment.CLAIMED
    bench.step("dead")
    bench.bury()
    waits, fails = "3", "4"
    bench.step()
    bench.step()
    state.deliver(run.run_id, waits, "parcel", "x")
    with run.edit(reason="later") as plan:
        plan.stages["s"].add(Busy())
    given = claimed(state, run.run_id, waits)
    state.release(given, delay=2, reason='{"type":"Asked","message":"é"}')
    state.note(run.run_id, nonce="n", kind="told", entry=fails, details='{"x":1}')
    assert bench.drain(run).store["log"] == [{"at": "busy"}] * 2
    state.ask(run.run_id, "asked")
    bench.pass_time()
    state.reply(run.run_id, '{"status":"completed"}')
    assert twin.llen("replies") == twin.llen("asked") == 1
    other = bench.submit(workflow, deadline=3600)
    twin.hset(keys.of("run", other.run_id), "bytes", "many")
    with pytest.raises(CorruptRunError):
        claimed(state, other.run_id, "2")
    twin.hset(keys.of("run", other.run_id), "bytes", 0)
    other.cancel()
    for one in (run, other):
        state.purge(one.run_id)
    hold_and_try_again(bench)
    throttle_and_schedule(bench)
    assert {scripts.digest(name) for name in scripts.names()} <= twin.ran
    bench.close()


def claimed(state: State, run_id: str, entry: str) -> Any:
    return state.claim(run_id, entry, nonce="n", process="p", slot="1", mark="queue")
