"""What the header of each atomic operation says is what its body does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gostage_core.state import scripts
from gostage_core.state.keys import _TEMPLATES, Keys, spell_in_lua
from gostage_core.state.operations import State

if TYPE_CHECKING:
    from pathlib import Path

LUA = scripts._LUA
OPERATIONS = scripts.names()
INCLUDES = sorted(p.name[:-4] for p in (LUA / "include").iterdir() if p.name.endswith(".lua"))
TYPES = {"hash", "list", "set", "zset"}

INCLUDE = re.compile(r'^--- @(?:include|inline) "(\w+)"$', re.MULTILINE)
KEY_LINE = re.compile(r"^  KEYS\[1\]  (\w+) +(\w+) +\S", re.MULTILINE)
ARGUMENT = re.compile(r"^  ARGV\[(\d+)(…?)\] +(\S+) +\S", re.MULTILINE)
READS = re.compile(r"\b(?:arg|number)\(\)")
RETURN = re.compile(r"\breturn \{ ([^,}]+)")
READY = re.compile(r'\bready_reply\(run, "(\w+)"')
REFUSED = re.compile(r'\breturn \{ "(\w+)"')
WORD = re.compile(r'"(\w+)"')
COMPARED = re.compile(r'== "(\w+)"')
COMMAND = re.compile(r'\b(?:call|redis\.call|redis\.pcall)\("(\w+)"')


def text_of(name: str) -> str:
    return (LUA / f"{name}.lua").read_text(encoding="utf-8")


def header_and_body(name: str) -> tuple[str, str]:
    header, end, body = text_of(name).partition("\n]]\n")
    assert end, "the header has no end"
    return header + "\n", body


def included(name: str) -> str:
    """All that an operation runs, without its header and before keys are spelt out."""
    _, body = header_and_body(name)
    return scripts._expand(body, set(), (name,))


def words_that_are_returned(body: str) -> set[str]:
    """First elements of what the body returns: written there, or by an include that it asks."""
    words = set(READY.findall(body))
    for first in RETURN.findall(body):
        compared = set(COMPARED.findall(first))
        words |= set(WORD.findall(COMPARED.sub("", first)))
        if re.search(r"\bword\b", first):
            words |= refusals() - compared
    if "= refuse(" in body or '@inline "replanning"' in body:
        words |= set(REFUSED.findall(text_of("include/edits")))
    if "= refused(" in body:
        words |= set(REFUSED.findall(text_of("include/values")))
    if "= take_back(" in body:
        words |= words_that_are_returned(text_of("include/losing"))
    return words


def refusals() -> set[str]:
    """What an attempt that is none is answered."""
    return set(re.findall(r'return [^"\n]*"(\w+)"$', text_of("include/attempt"), re.MULTILINE))


def documented_words(header: str) -> set[str]:
    returns = header.partition("  Returns  ")[2]
    assert returns, "the header does not say what is returned"
    return set(WORD.findall(returns))


def test_there_are_operations_to_look_at() -> None:
    assert {"submit", "claim", "commit", "fail", "tick", "read"} <= set(OPERATIONS)
    assert refusals() == {"gone", "fenced", "repeated"}
    assert words_that_are_returned(header_and_body("lose")[1]) > {"taken", "later"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_header_says_what_the_operation_does_and_names_its_key(name: str) -> None:
    header, _ = header_and_body(name)
    assert header.startswith("--[[\n  ")
    assert header.splitlines()[1].strip()[0].isupper()
    assert len(re.findall(r"KEYS\[", header)) == 1
    [(key, kind)] = KEY_LINE.findall(header)
    assert kind in TYPES
    assert Keys("ns").of(key, *["x"] * template_places(key)).startswith("{ns}:")


def template_places(name: str) -> int:
    return _TEMPLATES[name].count("%s")


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_header_numbers_every_argument_in_order(name: str) -> None:
    header, body = header_and_body(name)
    numbered = ARGUMENT.findall(header)
    assert len(numbered) == len(re.findall(r"ARGV\[", header)), "a line that is not read"
    assert [int(number) for number, _, _ in numbered] == list(range(1, len(numbered) + 1))
    assert numbered[0][2] == "prefix"
    assert not any(more for _, more, _ in numbered[:-1])
    reads = len(READS.findall(body))
    if numbered[-1][1]:
        assert reads >= len(numbered) - 2
    else:
        assert reads == len(numbered) - 1, "the prefix is read by an include, and each other once"


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_header_lists_every_word_that_is_returned_and_no_other(name: str) -> None:
    header, body = header_and_body(name)
    assert words_that_are_returned(body) == documented_words(header)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_names_one_key_and_finds_the_others_by_the_prefix(name: str) -> None:
    text = included(name)
    assert set(re.findall(r"KEYS\[(\d+)\]", text)) <= {"1"}
    assert set(re.findall(r"ARGV\[(\w+)\]", text)) <= {"1", "cursor", "i"}
    assert "{" not in "".join(re.findall(r'ARGV\[1\] \.\. "([^"]*)"', spell_in_lua(text)))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_never_looks_through_all_keys(name: str) -> None:
    commands = {command.upper() for command in COMMAND.findall(included(name))}
    assert commands.isdisjoint(
        {
            "KEYS",
            "SCAN",
            "HSCAN",
            "SSCAN",
            "ZSCAN",
            "RANDOMKEY",
            "FLUSHDB",
            "FLUSHALL",
            "EVAL",
            "SORT",
        }
    )
    assert commands <= ALLOWED, "a command that an access list of the server must learn"


ALLOWED = {
    "TIME", "EXISTS", "DEL", "UNLINK", "PUBLISH",
    "HGET", "HSET", "HDEL", "HMGET", "HGETALL", "HEXISTS", "HINCRBY", "HSETNX", "HLEN", "HSTRLEN",
    "HKEYS", "PEXPIRE",
    "LLEN", "LRANGE", "RPUSH", "LPUSH", "LINDEX", "LPOP", "LREM", "LTRIM", "LSET",
    "SADD", "SREM", "SMEMBERS", "SCARD", "SISMEMBER",
    "ZADD", "ZREM", "ZSCORE", "ZCARD", "ZRANGEBYSCORE", "ZRANGE", "ZCOUNT",
    "SET", "GET", "INCR",
}  # fmt: skip


@pytest.mark.parametrize("name", [*OPERATIONS, *(f"include/{name}" for name in INCLUDES)])
def test_every_include_is_there(name: str) -> None:
    assert set(INCLUDE.findall(text_of(name))) <= set(INCLUDES)
    assert len(re.findall("@inc|@inl", text_of(name))) == len(INCLUDE.findall(text_of(name)))


def test_every_include_is_used_and_says_what_it_is_for() -> None:
    used = set(INCLUDE.findall("".join(text_of(name) for name in OPERATIONS)))
    while more := set(INCLUDE.findall("".join(text_of(f"include/{n}") for n in used))) - used:
        used |= more
    assert used == set(INCLUDES)
    for name in INCLUDES:
        assert text_of(f"include/{name}").startswith("--[["), name


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_include_is_pasted_once_and_no_key_is_left_unspelt(name: str) -> None:
    source = scripts.source(name)
    assert "@inc" not in source
    assert "@inl" not in source
    assert source.count("local function arg()") == 1
    assert "K." not in re.sub(r"--.*", "", source)


def test_includes_that_go_in_a_circle_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "round.lua").write_text('--[[\n]]\n--- @include "a"\n')
    (tmp_path / "include" / "a.lua").write_text('--- @include "b"\n')
    (tmp_path / "include" / "b.lua").write_text('--- @include "a"\n')
    monkeypatch.setattr(scripts, "_LUA", tmp_path)
    with pytest.raises(ValueError, match="include circle: round -> a -> b -> a"):
        scripts.source("round")


def test_an_include_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lonely.lua").write_text('--[[\n]]\n--- @include "nowhere"\n')
    monkeypatch.setattr(scripts, "_LUA", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.lua"):
        scripts.source("lonely")


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_server_compiles_each_operation_under_the_name_that_we_give_it(
    state: State, name: str
) -> None:
    assert state.client.script_load(scripts.source(name)) == scripts.digest(name)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_key_of_an_operation_is_spelt_in_one_place(name: str) -> None:
    for key, arguments in re.findall(r"K\.(\w+)\(([^()]*)\)", included(name)):
        assert key in _TEMPLATES, key
        given = [part for part in arguments.split(",") if part.strip()]
        assert len(given) == template_places(key), key
    assert len(re.findall(r"\bK\.", included(name))) == len(
        re.findall(r"K\.\w+\([^()]*\)", included(name))
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_a_method(name: str) -> None:
    method = getattr(State, name)
    assert method.__doc__
    assert name in method.__code__.co_consts, "the method runs another operation"


def test_no_two_keys_can_be_confused() -> None:
    keys = Keys("ns")
    parts = {"items": ("r", "k")}
    spelt = {
        name: keys.of(name, *parts.get(name, ("r",) * template_places(name))) for name in _TEMPLATES
    }
    assert len(set(spelt.values())) == len(spelt)
    assert keys.of("items", "a", "b:c") != keys.of("items", "a:b", "c")
