"""The store of a run as it was at a cut: what it is now, with the writes since taken back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gostage_core.sealing.marks import Item, Labels, Value
from gostage_core.state.answers import Stored
from gostage_core.state.stored import is_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Replaced:
    """What one key had before a write."""

    key: str
    value: bytes | None
    meta: bytes | None
    items: int | tuple[bytes, ...]
    """What was appended to it, or how many of that which is there now."""


def values_at(sequence: int, now: Mapping[str, Stored], past: Sequence[bytes]) -> dict[str, Stored]:
    """Return every key as it was behind journal entry *sequence*.

    *past* is what operations have replaced, the oldest first, each with the number of the last
    journal entry that it wrote.
    """
    values = dict(now)
    for text in reversed(past):
        at, keys = json.loads(text.decode("utf-8", "surrogateescape"))
        if at <= sequence:
            break
        for parts in reversed(keys):
            _take_back(values, _read(parts))
    return values


def value_arguments(values: Mapping[str, Stored]) -> list[object]:
    """Return *values* as the scripts read them: a count, then each with its metadata and items."""
    arguments: list[object] = [len(values)]
    for key, stored in values.items():
        items = stored.items or ()
        value = Value(stored.value or b"", key, is_secret=is_secret(stored))
        arguments += [key, value, Labels(stored.meta or b"", key), len(items)]
        arguments += [Item(item, key) for item in items]
    return arguments


def _take_back(values: dict[str, Stored], one: Replaced) -> None:
    if one.value is None:
        values.pop(one.key, None)
        return
    items: tuple[bytes, ...] | None = None
    if one.value.startswith(b"L"):
        items = one.items if isinstance(one.items, tuple) else _items(values, one.key)[: one.items]
    values[one.key] = Stored(one.value, one.meta, items)


def _items(values: Mapping[str, Stored], key: str) -> tuple[bytes, ...]:
    stored = values.get(key)
    return (stored.items or ()) if stored else ()


def _read(parts: Iterable[object]) -> Replaced:
    key, value, meta, items = parts
    one = Replaced(str(key), _bytes(value), _bytes(meta), 0)
    if isinstance(items, int):
        return replace(one, items=items)
    return replace(one, items=tuple(map(_encoded, items if isinstance(items, list) else ())))


def _bytes(value: object) -> bytes | None:
    return None if value is False else _encoded(value)


def _encoded(text: object) -> bytes:
    return str(text).encode("utf-8", "surrogateescape")
