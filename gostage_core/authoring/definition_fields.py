"""The types of the fields of definitions: ids, names, tags, durations, names of exceptions."""

from __future__ import annotations

import builtins
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from gostage_core.authoring.problems import shown
from gostage_core.duration import Seconds
from gostage_core.naming import check_name, fault_of, qualified_name

LONGEST_ID: Final = 200
LONGEST_DESCRIPTION: Final = 10_000

_SAFE: Final = re.compile(rf"[A-Za-z0-9_.:-]{{1,{LONGEST_ID}}}")

# Control characters, line ends, halves of surrogate pairs, and what turns the direction of the text
# around it: each would let a label pass for another one in a log, a terminal or a page.
_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _safe(text: str) -> str:
    if not _SAFE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not 1 to {LONGEST_ID} of A-Z a-z 0-9 _ . : -")
    return text


def _visible(text: str) -> str:
    if hidden := _HIDDEN.search(text):
        raise ValueError(f"may not contain the character {hidden[0]!a}")
    return text


def _selectable(tag: str) -> str:
    if fault := fault_of(tag):
        raise ValueError(f"not a tag: {fault}")
    return _visible(tag)


def _without_repeats(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))


def _in_order(tags: object) -> object:
    if isinstance(tags, str):
        raise ValueError("a list of words is wanted, not one text")
    # A set has another order in every process, and the definition another digest.
    return sorted(tags, key=str) if isinstance(tags, set | frozenset) else tags


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str | type) else value


def _exception_name(value: object) -> str:
    if isinstance(value, type) and issubclass(value, BaseException):
        return qualified_name(value)
    if not isinstance(value, str):
        raise ValueError(f"not an exception class: {shown(value)}")
    module, colon, qualname = value.partition(":")
    if module and qualname:
        return value
    if not colon and isinstance(getattr(builtins, value, None), type):
        return _exception_name(getattr(builtins, value))
    raise ValueError(
        f"not the name of an exception class: {shown(value)}; write it as 'module:qualname'"
    )


_DURATION_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^(\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+$"},
    ]
}

Identifier = Annotated[
    str,
    AfterValidator(_safe),
    WithJsonSchema({"type": "string", "pattern": rf"^[A-Za-z0-9_.:-]{{1,{LONGEST_ID}}}$"}),
]
"""The id of a workflow, a stage or a queue: safe in a key, a path and a URL."""

ActionId = Annotated[str, StringConstraints(pattern=rf"^[!-~]{{1,{LONGEST_ID}}}$")]
"""A registry id: printable ASCII without spaces."""

OptionalLabel = Annotated[str, StringConstraints(max_length=LONGEST_ID), AfterValidator(_visible)]
"""A name for people, in any script; empty where there is none."""

Description = Annotated[str, StringConstraints(max_length=LONGEST_DESCRIPTION)]
"""Free text."""

Tag = Annotated[str, AfterValidator(_selectable)]
"""A word to select by, in any script."""

Tags = Annotated[tuple[Tag, ...], BeforeValidator(_in_order), AfterValidator(_without_repeats)]
"""Tags, each once, in the order given."""

StoreKey = Annotated[str, AfterValidator(check_name)]
"""The name of a key of the store."""

Delay = Annotated[Seconds, WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds, from any duration."""

Timeout = Annotated[Delay, Field(ge=0.001)]
"""Seconds, at least a thousandth: limits are kept in milliseconds."""

ExceptionNames = Annotated[
    tuple[Annotated[str, BeforeValidator(_exception_name)], ...],
    BeforeValidator(_as_tuple),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""Exception classes as ``module:qualname``; takes classes, and bare names of built-in ones."""
