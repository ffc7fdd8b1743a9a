"""One key of a store as Redis keeps it: its value with what was appended, and its metadata."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import CorruptValueError, StoreTypeError
from gostage_core.moments import moment
from gostage_core.sealing.marks import PROPERTIES
from gostage_core.state.answers import Stored
from gostage_core.values.codec import refuse_sealed, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gostage_core.sealing.box import Opener

ABSENT: Final = Stored(None)

SECRET_TAG: Final = "secret"  # noqa: S105 - the name of a tag
"""The tag of keys whose values are shown to nobody."""

LARGEST: Final = 2**63 - 1
"""What the server's counters hold: 64 bits with a sign."""

_INTEGER: Final = re.compile(rb"-?\d{1,19}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of one key beside its value."""

    tags: frozenset[str] = frozenset()
    properties: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None


def whole(stored: Stored) -> bytes:
    """Return the value as the codec writes it, what was appended included, in plan order.

    Raises:
        CorruptValueError: it is no list that was appended to, or an item is not one of ours; or
            it is sealed and was changed.
        SealedValueError: it is sealed with a key that this process does not have.
    """
    value, opener = stored.value or b"", stored.opener
    if not value.startswith(b"L"):
        return value if opener is None else opener.value(value)
    base, items = value[1:] or b"[]", stored.items or ()
    if opener is not None:
        base, items = opener.value(base), tuple(map(opener.item, items))
    refuse_sealed(base, *(item.partition(b"\n")[2] for item in items))
    if not (base.startswith(b"[") and base.endswith(b"]")):
        raise CorruptValueError("what was appended to is no list")
    parts = [base[1:-1], *_in_plan_order(items)]
    return b"[" + b",".join(part for part in parts if part) + b"]"


def opened(stored: Stored) -> Stored:
    """Return a key with all that is sealed of it opened, for another run.

    Raises:
        StoreError: as :func:`whole`.
    """
    opener, value = stored.opener, stored.value or b""
    if opener is None:
        return stored
    head = b"L" if value.startswith(b"L") else b""
    items = None if stored.items is None else tuple(map(opener.item, stored.items))
    value = head + opener.value(value[len(head) :])
    refuse_sealed(value[len(head) :])
    return Stored(value, _opened_labels(stored, opener), items)


def grown(stored: Stored, items: Iterable[bytes]) -> Stored:
    """Return a list, or nothing, with *items* appended, each behind its place and a newline."""
    base = stored.value or b"L"
    head = base if base.startswith(b"L") else b"L" + base
    return Stored(head, stored.meta, (*(stored.items or ()), *items), stored.opener)


def integer_in(name: str, stored: Stored) -> int:
    """Return the integer that *stored* holds; 0 when it holds nothing.

    Raises:
        StoreTypeError: it holds something else, or more than 64 bits.
    """
    if stored.value is None:
        return 0
    data = whole(stored)
    return checked_integer(name, int(data) if _INTEGER.fullmatch(data) else None, type_of(data))


def checked_integer(name: str, number: int | None, found: str) -> int:
    """Return *number*, if the server can count with it.

    Raises:
        StoreTypeError: it has more than 64 bits, or is none.
    """
    if number is None or not -LARGEST - 1 <= number <= LARGEST:
        raise StoreTypeError(name, "a 64-bit integer", found)
    return number


def check_list(name: str, stored: Stored) -> None:
    """Check that *stored* holds a list, or nothing.

    Raises:
        StoreTypeError: it holds something else.
    """
    if stored.value is not None and stored.value[:1] not in (b"L", b"["):
        raise StoreTypeError(name, "a list", type_of(whole(stored)))


def stored_type(stored: Stored) -> str:
    """Return what type a stored value is of."""
    return "nothing" if stored.value is None else type_of(whole(stored))


def metadata_of(stored: Stored) -> Metadata:
    """Return tags, properties and times of a key.

    Raises:
        CorruptValueError: they are not what the scripts write.
    """
    if stored.meta is None:
        return Metadata()
    try:
        created, updated, expires, text = stored.meta.split(b"|", 3)
        data = json.loads(text)
        return Metadata(
            tags=frozenset(data["tags"]),
            properties=_properties(stored, data["properties"]),
            created_at=moment(created),
            updated_at=moment(updated),
            expires_at=moment(expires),
        )
    except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
        raise CorruptValueError(f"the metadata of a key cannot be read ({error!r})") from error


def _opened_labels(stored: Stored, opener: Opener) -> bytes | None:
    if stored.meta is None:
        return None
    head, between, tail = stored.meta.partition(PROPERTIES)
    properties = opener.properties(json.loads(tail[:-1] or b"{}"))
    return head + between + json.dumps(properties, separators=(",", ":")).encode() + b"}"


def is_secret(stored: Stored) -> bool:
    """Tell whether the values of a key are shown to nobody."""
    return SECRET_TAG in metadata_of(stored).tags


def _properties(stored: Stored, data: dict[str, Any]) -> dict[str, Any]:
    return data if stored.opener is None else stored.opener.properties(data)


def _in_plan_order(items: Iterable[bytes]) -> list[bytes]:
    """Items of one stage by the place of who appended them; stages came one after another."""
    ordered: list[bytes] = []
    for _, group in groupby(map(_placed, items), key=lambda part: part[0]):
        ordered += [data for _, _, data in sorted(group, key=lambda part: part[1])]
    return ordered


def _placed(item: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the stage and the place in it of who appended an item, and the item."""
    head, newline, data = item.partition(b"\n")
    if not newline:
        raise CorruptValueError("an appended item does not say who appended it")
    stage, _, place = head.rpartition(b":")  # a stage's id may have colons, a place has none
    return stage, place, data
