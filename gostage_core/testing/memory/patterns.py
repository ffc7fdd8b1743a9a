r"""Patterns of names: ``*``, ``?``, ``[a-z]``, ``[^a]`` and ``\\`` before what means itself."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@lru_cache(maxsize=64)
def matcher(pattern: bytes) -> Callable[[bytes], object]:
    """Return what tells whether a name matches *pattern*, as SCAN, KEYS and CONFIG GET do."""
    parts, at = [], 0
    while at < len(pattern):
        part, at = _part(pattern, at)
        parts.append(part)
    return re.compile(b"".join(parts), re.DOTALL).fullmatch


def _part(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Return the expression for what stands at a place, and the place behind that."""
    letter = pattern[at : at + 1]
    if letter == b"*":
        return b".*", at + 1
    if letter == b"?":
        return b".", at + 1
    if letter == b"[":
        return _one_of(pattern, at + 1)
    if letter == b"\\" and at + 1 < len(pattern):
        return re.escape(pattern[at + 1 : at + 2]), at + 2
    return re.escape(letter), at + 1


def _one_of(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Return the expression for letters in brackets; what is not closed ends with the pattern."""
    others = pattern[at : at + 1] == b"^"
    at += others
    letters: set[int] = set()
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            at += 1
            letters.add(pattern[at])
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            first, last = sorted((pattern[at], pattern[at + 2]))
            letters.update(range(first, last + 1))
            at += 2
        else:
            letters.add(pattern[at])
        at += 1
    if not letters:
        return (b"." if others else b"(?!)"), at + 1
    inside = b"".join(b"\\x%02x" % letter for letter in sorted(letters))
    return b"[" + (b"^" if others else b"") + inside + b"]", at + 1
