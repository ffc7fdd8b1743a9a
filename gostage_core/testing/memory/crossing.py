"""What goes from Python to Lua and back: texts are bytes on both sides, numbers are numbers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from gostage_core.testing.memory.numbers import number_text
from gostage_core.testing.memory.replies import NIL, CommandError, Status

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST: Final = 2**63
_TOO_LARGE: Final = -(2**63)
"""What a number of a script becomes that is none of 64 bits, as on the server."""


def taking_texts(run: Callable[..., Any], count: int | None) -> Callable[..., Any]:
    """Return *run* for Lua, which gives numbers too; *count* is how many, where that is known.

    Most calls have one or two arguments: they are spared a loop.
    """

    def single(first: Any) -> Any:
        return run(first if type(first) is bytes else text_of(first))

    def pair(first: Any, second: Any) -> Any:
        if type(first) is type(second) is bytes:
            return run(first, second)
        return run(text_of(first), text_of(second))

    def any_number(*arguments: Any) -> Any:
        for argument in arguments:
            if type(argument) is not bytes:
                return run(*[one if type(one) is bytes else text_of(one) for one in arguments])
        return run(*arguments)

    if count == 1:
        return single
    return pair if count == 2 else any_number


def text_of(argument: Any) -> bytes:
    """Return an argument of a script's call as the command gets it.

    Raises:
        CommandError: it is neither a text nor a number.
    """
    kind = type(argument)
    if kind is bytes:
        return argument  # type: ignore[no-any-return]
    if kind is int or kind is float:
        return number_text(argument)
    raise CommandError("ERR Command arguments must be strings or integers")


def what_is_wrong(problem: object) -> bytes | bool:
    """Return the text of a refusal; false for what is no business of a script."""
    if isinstance(problem, CommandError):
        return problem.text.encode("utf-8", "surrogateescape")
    return False


def sha1hex(text: bytes) -> bytes:
    """Return the digest of *text*, for scripts."""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def listed(mark: bytes, *parts: Any) -> Any:
    """Return a table within an answer; an error there is a part like any other."""
    if mark == b"error":
        return _refusal(parts[0])
    return answered(mark, *parts)


def answered(mark: bytes, *parts: Any) -> Any:
    """Return the answer of a script from what Lua hands out, which is marked with what it is.

    Raises:
        CommandError: the script has ended with an error, or that is its answer.
    """
    if mark == b"list":
        return [part if type(part) is bytes else _plain(part) for part in parts]
    if mark == b"one":
        return _plain(parts[0])
    if mark == b"long":
        table, count = parts
        return [_plain(table[place]) for place in range(1, count + 1)]
    if mark == b"status":
        return Status(parts[0])
    if mark == b"foreign":
        raise parts[0]
    if mark == b"ended":
        text, line = parts
        raise _refusal(b"%s script: on @user_script:%d." % (text, line))
    raise _refusal(parts[0])


def _refusal(text: bytes) -> CommandError:
    return CommandError(text.decode("utf-8", "surrogateescape"))


def _plain(part: Any) -> Any:
    """Return a value of Lua as an answer: numbers are cut, true is 1, what is no answer is none."""
    kind = type(part)
    if kind is bytes or kind is int or kind is list:
        return part
    if kind is float:
        return int(part) if abs(part) < _MOST else _TOO_LARGE
    if part is True:
        return 1
    return part if isinstance(part, (Status, CommandError)) else NIL
