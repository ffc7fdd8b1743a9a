"""What may happen to a worker, to a request of one, and to a message."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Mishap(Enum):
    """One thing that happens; its value tells it of something, a request or a message."""

    LOST_MESSAGE = "the message for {} is lost"
    TWICE = "the message for {} is delivered twice"
    MEANWHILE = "the message for {} is delivered to another worker while the first is at it"
    DIES_BEFORE = "dies before {}"
    DIES_AFTER = "dies after {} was applied"
    LOST_REQUEST = "the request for {} is lost, and sent again"
    LOST_ANSWER = "the answer to {} is lost, and it is repeated"
    AWAY = "Redis is away for a moment at {}"
    FREEZES_BEFORE = "freezes before {}"
    FREEZES_AFTER = "freezes after {}"


_OF_WRITES = (
    Mishap.DIES_BEFORE,
    Mishap.DIES_AFTER,
    Mishap.LOST_REQUEST,
    Mishap.LOST_ANSWER,
    Mishap.AWAY,
    Mishap.FREEZES_BEFORE,
    Mishap.FREEZES_AFTER,
)
_OF_READS = (Mishap.DIES_BEFORE, Mishap.AWAY, Mishap.FREEZES_BEFORE, Mishap.FREEZES_AFTER)
"""A read that is repeated, or dies after it was done, differs from one that was not in nothing."""


def of_request(*, writes: bool) -> Iterator[Mishap]:
    """Return what may happen at a request."""
    yield from _OF_WRITES if writes else _OF_READS


def of_message(*, leads_to_work: bool) -> Iterator[Mishap]:
    """Return what may happen to a message."""
    yield Mishap.LOST_MESSAGE
    yield Mishap.TWICE
    if leads_to_work:
        yield Mishap.MEANWHILE
