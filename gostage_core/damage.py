"""Reads what may be damaged: whatever goes wrong is told of as the damage of a run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gostage_core.errors import CorruptRunError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNREADABLE: Final = (
    *(LookupError, ValueError, TypeError, AttributeError, RecursionError),
    *(OverflowError, OSError),  # of numbers that are no time
    StopIteration,
)


@contextmanager
def readable(run_id: str, what: str) -> Iterator[None]:
    """Read *what* of a run inside, whatever is there.

    Raises:
        CorruptRunError: it is not one of ours.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise CorruptRunError(run_id, f"its {what} cannot be read ({error!r:.300})") from error
