"""The commands that run scripts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from gostage_core.testing.memory.command import MANY, command
from gostage_core.testing.memory.numbers import integer
from gostage_core.testing.memory.replies import OK, CommandError, syntax_error

if TYPE_CHECKING:
    from gostage_core.testing.memory.interpreter import Interpreter, Script


class Scripting:
    """The scripts that a server knows, by their digest. Each is compiled once."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._scripts: dict[bytes, Script] = {}

    @command(2, MANY, "any", in_scripts=False)
    def evalsha(self, digest: bytes, count: bytes, *words: bytes) -> Any:
        script = self._scripts.get(digest) or self._scripts.get(digest.lower())
        if script is None:
            raise CommandError("NOSCRIPT No matching script.")
        return self._run(script, count, words)

    @command(2, MANY, "any", in_scripts=False)
    def eval_(self, text: bytes, count: bytes, *words: bytes) -> Any:
        return self._run(self._scripts[self._load(text)], count, words)

    @command(1, MANY, "any", in_scripts=False)
    def script(self, what: bytes, *words: bytes) -> Any:
        match what.upper():
            case b"LOAD" if len(words) == 1:
                return self._load(words[0])
            case b"EXISTS" if words:
                return tuple([int(digest.lower() in self._scripts) for digest in words])
            case b"FLUSH":
                self._scripts.clear()
                return OK
        raise syntax_error()

    def _load(self, text: bytes) -> bytes:
        digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
        if digest not in self._scripts:
            self._scripts[digest] = self._interpreter.compile(text)
        return digest

    def _run(self, script: Script, count: bytes, words: tuple[bytes, ...]) -> Any:
        keys = 1 if count == b"1" else integer(count)
        if keys < 0:
            raise CommandError("ERR Number of keys can't be negative")
        if keys > len(words):
            raise CommandError("ERR Number of keys can't be greater than number of args")
        return self._interpreter.run(script, words[:keys], words[keys:])
