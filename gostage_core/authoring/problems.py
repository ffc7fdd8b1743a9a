"""Pydantic's complaints as lines of text, each beginning with the place it is about."""

from __future__ import annotations

import json
import re
import reprlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pydantic import ValidationError

LISTED: Final = 100
"""How many problems one message lists; a larger document is wrong in the same way all over."""

_LONGEST_LINE: Final = 500
_LONGEST_STEP: Final = 100
_PREFIXES: Final = ("Value error, ", "Assertion failed, ")
_MORE: Final = "... and "

_PLAIN: Final = re.compile(r"[^\s\[\]\"\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def problem_lines(
    error: ValidationError,
    prefix: str = "",
    *,
    known: Mapping[str, Collection[str]] | None = None,
    noun: str = "field",
) -> list[str]:
    """Return one line for each problem of *error*.

    Args:
        error: what pydantic raised.
        prefix: goes before each place, as it stands.
        known: the names that are allowed below each container; the top's is ``""``.
        noun: what a name that is not allowed is called.
    """
    return [
        f"{_place(prefix, problem['loc'])}: {_message(problem, known or {}, noun)}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
        if problem["type"] != "default_factory_not_called"  # it follows from another problem
    ]


def listing(lines: Sequence[str]) -> str:
    """Return *lines* as one text, of bounded length."""
    if len(lines) <= LISTED:
        return "\n".join(lines)
    return "\n".join([*lines[:LISTED], f"{_MORE}{len(lines) - LISTED:,} more problems"])


def is_a_problem(line: str) -> bool:
    """Tell whether *line* of a listing is about one problem, rather than about those left out."""
    return not line.startswith(_MORE)


def step(part: str | int) -> str:
    """Return how a place spells the way from a list or an object to a *part* of it."""
    if isinstance(part, int):
        return f"[{part}]"
    name = part[:_LONGEST_STEP]
    return f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"


def shown(value: object) -> str:
    """Return *value* as a message may show it: short, whatever it is."""
    return _SHORT.repr(value)


def reason(error: Exception) -> str:
    """Return the type and the text of *error* in one line, whatever its own methods do."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an exception's __str__ is user code, may do anything
        text = ""
    return f"{type(error).__name__}: {text}"[:_LONGEST_LINE] if text else type(error).__name__


def suggestion(name: str, known: Collection[str]) -> str:
    """Return ``; did you mean 'x'?`` for a misspelt *name*, or nothing."""
    near = get_close_matches(name[:100], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _short() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short


_SHORT: Final = _short()


def _place(prefix: str, path: Sequence[str | int]) -> str:
    text = prefix
    for part in path:
        if part != "[key]":
            way = step(part)
            text += way.removeprefix(".") if not text or text.endswith((".", " ")) else way
    return text.rstrip(" .:") or "the whole"


def _message(problem: Any, known: Mapping[str, Collection[str]], noun: str) -> str:
    match problem["type"]:
        case "missing":
            return "field required"
        case "extra_forbidden":
            *above, name = problem["loc"]
            container = next((part for part in reversed(above) if isinstance(part, str)), "")
            return f"unexpected {noun}{suggestion(str(name), known.get(container, ()))}"
    text = " ".join(problem["msg"].split())
    for start in _PREFIXES:
        text = text.removeprefix(start)
    return (text[:1].lower() + text[1:])[:_LONGEST_LINE]
