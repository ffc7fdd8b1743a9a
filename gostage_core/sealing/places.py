"""Where envelopes lie in what a run keeps, and what each is bound to there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from gostage_core.sealing.cipher import MARK
from gostage_core.sealing.marks import HIDDEN, PROPERTIES, canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Place = tuple[str, ...]
"""The run (or schedule) that an envelope belongs to, its kind, and its names."""

Found = tuple[str, list[Place]]
"""An envelope, and the places one of which is its own."""

ENVELOPE: Final = re.compile(rb"~1\.([A-Za-z0-9_-]{1,40})\.[A-Za-z0-9_-]+")

_WAITED: Final = re.compile(r"s\d+")
_DOCUMENTS: Final = frozenset("seph")


def in_value(run_id: str, key: str, text: str) -> Iterator[Found]:
    """Yield what is in a value of the store, or the base of a list."""
    value = text.removeprefix("L")
    head = "[" if value.startswith("[" + MARK) else ""
    if value.startswith(head + MARK):
        yield value[len(head) :], [(run_id, "value", key, head)]


def in_item(run_id: str, key: str, text: str) -> Iterator[Found]:
    """Yield what is in something that was appended to a key."""
    place, _, value = text.partition("\n")
    if value.startswith(MARK):
        yield value, [(run_id, "item", key, place)]


def in_labels(run_id: str, key: str, text: str) -> Iterator[Found]:
    """Yield what is in the metadata of a key."""
    tail = text.partition(PROPERTIES.decode())[2]
    properties = json.loads(tail[:-1]) if tail else {}
    if _is_sealed(properties):
        yield properties[HIDDEN], [(run_id, "properties", key)]


def in_document(run_id: str, text: str) -> Iterator[Found]:
    """Yield what is in a document, as text."""
    return in_fields(run_id, json.loads(text)) if HIDDEN in text else iter(())


def in_fields(run_id: str, data: Any) -> Iterator[Found]:
    """Yield what is in a document."""
    if _is_sealed(data):
        yield data[HIDDEN], [(run_id, "document", canonical(data))]


def in_plan(run_id: str, field: str, text: str, signals: Iterable[str]) -> Iterator[Found]:
    """Yield what is in a field of a plan; *signals* are the names of those that the run has got."""
    letter, (entry, _, what) = field[0], field[1:].partition(" ")
    if letter in _DOCUMENTS:
        yield from in_document(run_id, text)
    elif letter == "i":
        parts = json.loads(text)
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            yield from in_value(run_id, key, value)
    elif letter == "v" and text.startswith(MARK):
        yield text, [(run_id, "result", entry)]
    elif letter == "d" and what:
        yield from _in_memo(run_id, entry, what, text, signals)


def in_inbox(run_id: str, text: str, signals: Iterable[str]) -> Iterator[Found]:
    """Yield what is in a field of an inbox."""
    if text.startswith(MARK):
        yield text, [(run_id, "signal", name) for name in signals]


def in_message(text: str) -> Iterator[Found]:
    """Yield what is in a message, which may be one of another run."""
    _, kind, payload, _, stage, action, _, sender = json.loads(text)
    if _is_sealed(payload):
        yield payload[HIDDEN], [(sender, "message", kind, stage, action)]


def in_journal(run_id: str, text: str) -> Iterator[Found]:
    """Yield what is in an entry of a journal."""
    details = json.loads(text)[4]
    if not isinstance(details, dict):
        return
    yield from in_fields(run_id, details)
    if str(details.get("reason", "")).startswith(MARK):
        yield details["reason"], [(run_id, "reason")]
    for word, *parts in details.get("ops", ()):
        if word == "set":
            yield from in_document(run_id, parts[1])


def in_undo(run_id: str, text: str) -> Iterator[Found]:
    """Yield what is in how an action is undone."""
    return in_document(run_id, json.loads(text)[0])


def in_past(run_id: str, text: str) -> Iterator[Found]:
    """Yield what is in what an operation has replaced."""
    for key, value, meta, items in json.loads(text)[1]:
        yield from in_value(run_id, key, value or "")
        yield from in_labels(run_id, key, meta or "")
        for item in items if isinstance(items, list) else ():
            yield from in_item(run_id, key, item)


def _in_memo(
    run_id: str, entry: str, what: str, text: str, signals: Iterable[str]
) -> Iterator[Found]:
    if _WAITED.fullmatch(what):
        yield from in_inbox(run_id, text[1:], signals)
    elif text.startswith(MARK):
        kind = "memo" if what.startswith("o") else "delivery"
        yield text, [(run_id, kind, entry, what)]


def _is_sealed(data: object) -> bool:
    return isinstance(data, dict) and str(data.get(HIDDEN, "")).startswith(MARK)
