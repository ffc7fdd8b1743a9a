"""What commands answer, and how they refuse."""

from __future__ import annotations

from typing import Final

Reply = int | bytes | tuple["Reply", ...]
"""An answer: a number, a text, a list of answers; ``NIL`` where there is nothing."""

NIL: Final = False
"""No value. It is what a script sees; a client is given ``None``."""


class Status(bytes):
    """An answer that is a word and no value: a script is given a table with ``ok``."""

    __slots__ = ()


OK: Final = Status(b"OK")


class CommandError(Exception):
    """A command or a script is refused; the text begins with its code, as on the wire."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def wrong_type() -> CommandError:
    """Return the error for a key that holds something else than the command is for."""
    return CommandError("WRONGTYPE Operation against a key holding the wrong kind of value")


def syntax_error() -> CommandError:
    """Return the error for options that do not go together, or are none."""
    return CommandError("ERR syntax error")


def wrong_number_of_arguments(command: str) -> CommandError:
    """Return the error for too few or too many arguments."""
    return CommandError(f"ERR wrong number of arguments for '{command.lower()}' command")
