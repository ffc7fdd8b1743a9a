"""Runs scripts in Lua 5.1, the server's own language, with the package lupa."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import ConfigurationError
from gostage_core.testing.memory.crossing import (
    answered,
    listed,
    sha1hex,
    taking_texts,
    text_of,
    what_is_wrong,
)
from gostage_core.testing.memory.replies import CommandError, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.testing.memory.command import Command

Script = Any
"""A function of Lua."""

_compiled: Final[dict[bytes, bytes]] = {}
"""Scripts by their text, as any Lua takes them without reading that again."""
_MOST_COMPILED: Final = 200
"""Scripts that are remembered so; gostage has fewer by far."""

_AT_ONCE: Final = 4000
"""How many values go over Lua's stack at once; it holds 8000."""


class Interpreter:
    """One Lua. Not safe to share between threads."""

    def __init__(self) -> None:
        """Make a Lua in which no commands can be called yet; it takes about a millisecond.

        Raises:
            ConfigurationError: the package lupa is not installed.
        """
        lua = _new_lua()
        self._table = lua.table_from
        read, null = _load(lua, "decode")
        cjson = _load(lua, "cjson", _load(lua, "encode", null), read, null)
        self._add, *calls = _load(lua, "calls", what_is_wrong)
        sandbox = _load(lua, "sandbox", *calls, sha1hex, cjson)
        self._compile, self._dump, self._run_short, self._run_long = _load(
            lua, "scripts", what_is_wrong, listed, *sandbox
        )

    def offer(self, name: bytes, command: Command) -> None:
        """Let scripts call *command*, or have them told that they may not."""
        run, least, most, shape, is_allowed = command
        if shape == "value":
            run = taking_texts(run, least if least == most else None)
        else:
            run = self._in_pieces(run) if shape == "list" else self._as_table(run)
        self._add(name, run, least, most, shape.encode(), is_allowed)

    def compile(self, text: bytes) -> Script:
        """Return the script *text*, to be run any number of times.

        Raises:
            CommandError: it is no Lua.
        """
        script, problem = self._compile(_compiled.get(text, text))
        if script is None:
            shown = problem.decode("utf-8", "surrogateescape")
            raise CommandError(f"ERR Error compiling script (new function): {shown}")
        if len(_compiled) < _MOST_COMPILED and text not in _compiled:
            _compiled[text] = self._dump(script)
        return script

    def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        """Run *script* and return what it answers.

        Raises:
            CommandError: it has ended with an error; what it wrote before stays.
        """
        if len(keys) == 1 and len(arguments) <= _AT_ONCE:
            told = self._run_short(script, keys[0], *arguments)
        else:
            told = self._run_long(script, self._table(keys), self._table(arguments))
        return answered(*told) if type(told) is tuple else []  # a list of nothing: its mark alone

    def _in_pieces(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return *run* for Lua, which gets the items by themselves unless there are very many."""

        def answer(*arguments: Any) -> Any:
            for argument in arguments:
                if type(argument) is not bytes:
                    arguments = tuple(map(text_of, arguments))
                    break
            items = run(*arguments)
            return items if len(items) <= _AT_ONCE else self._table(items)

        return answer

    def _as_table(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return *run* for Lua, whatever it answers."""

        def answer(*arguments: Any) -> Any:
            return self._for_lua(run(*map(text_of, arguments)))

        return answer

    def _for_lua(self, reply: Any) -> Any:
        if isinstance(reply, Status):
            return self._table({b"ok": bytes(reply)})
        if isinstance(reply, tuple):
            return self._table([self._for_lua(item) for item in reply])
        return reply


def _new_lua() -> Any:
    try:
        from lupa.lua51 import LuaRuntime
    except ImportError:
        raise ConfigurationError(
            "a server in memory runs Lua with the package lupa, which is not installed: "
            "pip install 'gostage[testing]'"
        ) from None
    return LuaRuntime(
        encoding=None, unpack_returned_tuples=True, register_eval=False, register_builtins=False
    )


def _load(lua: Any, name: str, *given: Any) -> Any:
    return lua.execute(_source(name), *given)


@cache
def _source(name: str) -> bytes:
    return (files("gostage_core.testing.memory") / "lua" / f"{name}.lua").read_bytes()
