"""Which attempt this thread is at, for log records of whatever is called within it."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_at: Final[ContextVar[Mapping[str, object]]] = ContextVar("gostage.whereabouts")

_NOWHERE: Final[Mapping[str, object]] = {}


def whereabouts() -> Mapping[str, object]:
    """Return run, stage, action and attempt; empty outside of an attempt."""
    return _at.get(_NOWHERE)


@contextmanager
def at(place: Mapping[str, object]) -> Iterator[None]:
    """Be at the attempt that *place* tells of, in coroutines that are begun here too."""
    token = _at.set(place)
    try:
        yield
    finally:
        _at.reset(token)
