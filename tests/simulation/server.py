"""A server in memory that tells what each operation came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core.state import scripts
from gostage_core.testing.memory import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Hearer = Callable[[str, list[str], Any], None]


class ToldServer(MemoryServer):
    """Tells of each operation, by its name, with its arguments and what it answered."""

    def __init__(self) -> None:
        super().__init__()
        self.hear: Hearer = _deaf
        self._names = {}
        for name in scripts.names():
            self._names[b"EVALSHA", scripts.digest(name).encode()] = name
            self._names[b"EVAL", scripts.source(name).encode()] = name
        self._empty = self.snapshot()
        self.load()

    def load(self) -> None:
        """Know all scripts, as a server does that has been there for some time."""
        for name in scripts.names():
            self.ask("SCRIPT", "LOAD", scripts.source(name))

    def renew(self, hear: Hearer) -> None:
        """Be empty, as at first, and tell *hear* from now on."""
        self.restore(self._empty)
        self.load()
        self.hear = hear

    def ask(self, *words: str) -> Any:
        """Carry out a command of whoever looks on."""
        return super().execute([word.encode() for word in words])

    def name_of(self, words: Sequence[bytes]) -> str | None:
        """Return which operation a command calls, if it calls one."""
        return self._names.get((words[0], words[1])) if len(words) > 1 else None

    def execute(self, words: Sequence[bytes]) -> Any:
        """Carry out a command, and tell what came of it if it was an operation."""
        reply = super().execute(words)
        name = self.name_of(words)
        if name is not None:
            self.hear(name, [text.decode("utf-8", "replace") for text in words[5:]], reply)
        return reply


def _deaf(_name: str, _args: list[str], _reply: Any) -> None:
    """Hear nothing."""
