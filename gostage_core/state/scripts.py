"""Loads the atomic operations, one Lua file each, and runs them by their content's digest."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, cast

import redis

from gostage_core.state.keys import spell_in_lua

if TYPE_CHECKING:
    from collections.abc import Sequence

_LUA: Final = files("gostage_core.state") / "lua"
_INCLUDE: Final = re.compile(r'^--- @(?P<how>include|inline) "(?P<name>\w+)"\n', re.MULTILINE)

_CALL: Final = re.compile(r"(?<![\w.])call\(")

THOUGH_FULL: Final = "#!lua flags=allow-oom\n"
"""Before the text of a script that may write though ``maxmemory`` is reached; Redis 7 and later."""

_NEW_WORK: Final = frozenset(
    ("submit", "fork", "fire", "schedule", "retry", "signal", "edit", "deliver", "say", "ask")
)
"""What a full server refuses. The rest serves runs that it has, and only their end makes room."""

Reply = list[object]
Argument = Any
"""What redis-py encodes: text, bytes, numbers."""


@cache
def names() -> tuple[str, ...]:
    """Return the name of every operation."""
    return tuple(sorted(p.name[:-4] for p in _LUA.iterdir() if p.name.endswith(".lua")))


@cache
def source(name: str) -> str:
    """Return the text of the operation *name* as the server gets it.

    What is included stands there once, for all that follows. What is inlined stands within a
    function, for that one alone: the server makes every function of a script anew at each call, and
    what is seldom needed is then made only where it is. For the same reason ``call`` and the prefix
    are globals there: to find a local of the script, a function that is made looks through all of
    them, which took a tenth of a commit.

    Raises:
        ValueError: an include that includes itself.
    """
    header, separator, body = _read(f"{name}.lua").partition("]]\n")
    text = spell_in_lua(_expand(body, set(), (name,)))
    return header + separator + _CALL.sub("redis.call(", text)


@cache
def digest(name: str) -> str:
    """Return the name by which the server knows the operation: EVALSHA's SHA-1.

    Content is the name, so that two versions of gostage live side by side on one server.
    """
    return _sha(source(name))


def run(
    client: redis.Redis | redis.client.Pipeline, name: str, key: str, args: Sequence[Argument]
) -> Reply:
    """Run the operation *name*; the server is given its text when it does not know it.

    Where the server is full, an operation on a run that it has is repeated as one that may write
    all the same. Not so from the start: before Redis 7 there is no such thing.
    """
    try:
        return _run(client, source(name), digest(name), key, args)
    except redis.exceptions.OutOfMemoryError:
        if name in _NEW_WORK:
            raise
        text = THOUGH_FULL + source(name)
        return _run(client, text, _sha(text), key, args)


def _run(
    client: redis.Redis | redis.client.Pipeline,
    text: str,
    known_as: str,
    key: str,
    args: Sequence[Argument],
) -> Reply:
    try:
        return cast("Reply", client.evalsha(known_as, 1, key, *args))
    except redis.exceptions.NoScriptError:
        return cast("Reply", client.eval(text, 1, key, *args))


def _sha(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


def _read(path: str) -> str:
    return _LUA.joinpath(path).read_text(encoding="utf-8")


def _expand(text: str, seen: set[str], stack: tuple[str, ...]) -> str:
    def paste(match: re.Match[str]) -> str:
        name = match["name"]
        if name in stack:
            raise ValueError(f"include circle: {' -> '.join((*stack, name))}")
        if match["how"] == "inline":
            return _expand(_read(f"include/{name}.lua"), {*seen, name}, (*stack, name))
        if name in seen:
            return ""
        seen.add(name)
        return _expand(_read(f"include/{name}.lua"), seen, (*stack, name))

    return _INCLUDE.sub(paste, text)
