"""Scripts in a server in memory: what ends them, what they may use, and what stays."""

from __future__ import annotations

import pytest
import redis

from gostage_core.errors import CorruptRunError
from gostage_core.settings import Settings
from gostage_core.state.client import our_errors
from gostage_core.state.operations import State
from gostage_core.testing.memory import MemoryClient, MemoryServer
from gostage_core.testing.memory.command import Command
from gostage_core.testing.memory.interpreter import Interpreter


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient(MemoryServer())


def test_a_script_is_known_by_its_digest_until_scripts_are_flushed(client: MemoryClient) -> None:
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0)
    assert client.eval("return 1", 0) == 1
    assert client.evalsha("E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", 0) == 1
    client.script_flush()
    assert client.script_exists("e0e1f9fabfc9d4800c877a703b823ac0578ff8db") == [False]


def test_a_script_that_another_server_knows_is_one_of_this_server_s_own() -> None:
    text = "n = nil; redis.call('INCR', 'n')\nerror('as there')"
    for _ in range(2):
        client = MemoryClient(MemoryServer())
        with pytest.raises(redis.ResponseError, match=r"on @user_script:1\."):
            client.eval(text, 0)
    counting = "return redis.call('INCR', 'n')"
    assert [MemoryClient(MemoryServer()).eval(counting, 0) for _ in range(2)] == [1, 1]


def test_what_a_script_wrote_before_its_error_stays(client: MemoryClient) -> None:
    with pytest.raises(redis.ResponseError, match="user_script:2: too late"):
        client.eval("redis.call('SET', 'k', 'v')\nerror('too late')", 0)
    assert client.get("k") == b"v"


def test_an_error_of_a_script_is_read_as_that_of_a_server(client: MemoryClient) -> None:
    with (
        pytest.raises(CorruptRunError, match=r"is damaged: record r1$"),
        our_errors("run"),
    ):
        client.eval("error('CORRUPT record r1')", 0)
    client.set("{gostage}:run:r", "x")
    with pytest.raises(CorruptRunError, match="WRONGTYPE"):
        State(Settings(), client).halt("r", "cancelled", "{}")


@pytest.mark.parametrize("count", [0, 1, 2, 3_999, 4_000, 4_001, 30_000])
def test_any_number_of_arguments_goes_in_and_comes_out(client: MemoryClient, count: int) -> None:
    given = [b"%d" % i for i in range(count)]
    assert client.eval("return ARGV", 1, "k", *given) == given
    assert client.eval("return {ARGV}", 0, *given) == [given]
    assert client.eval("return KEYS", count, *given) == given
    if given:
        client.rpush("l", *given)
    assert client.eval("return redis.call('LRANGE', 'l', 0, -1)", 0) == given


def test_a_script_has_neither_chance_nor_real_time_nor_files(client: MemoryClient) -> None:
    for name in ("os", "io", "require", "dofile", "loadstring", "print", "python"):
        with pytest.raises(redis.ResponseError, match=f"nonexistent global variable '{name}'"):
            client.eval(f"local x = {name}", 0)
    assert client.eval("return type(math.random)", 0) == b"nil"


def test_a_script_leaves_nothing_behind_for_the_next_one(client: MemoryClient) -> None:
    for attempt in ("x = 1", "_G.x = 1", "rawset(_G, 'x', 1)", "string.x = 1", "KEYS = {}"):
        with pytest.raises(redis.ResponseError, match="readonly table"):
            client.eval(attempt, 0)
    assert client.eval("KEYS[1] = 'other' return KEYS", 1, "k") == [b"other"]
    assert client.eval("return {#KEYS, #ARGV}", 0) == [0, 0]


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('BREAK')",
        "return redis.pcall('BREAK')",
        "local ok = pcall(redis.call, 'BREAK') return 1",
        "local ok = xpcall(function() redis.call('BREAK') end, function(p) return p end) return 1",
        "local ok = pcall(function() local ok = pcall(redis.call, 'BREAK') return 1 end)",
    ],
)
def test_no_script_catches_an_interrupt_or_a_fault_of_the_server(script: str) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    interpreter = Interpreter()
    interpreter.offer(b"BREAK", Command(interrupted, 0, 0, "value", True))
    compiled = interpreter.compile(script.encode())
    with pytest.raises(KeyboardInterrupt):
        interpreter.run(compiled, [], [])
    assert interpreter.run(interpreter.compile(b"return 'on'"), [], []) == b"on"
