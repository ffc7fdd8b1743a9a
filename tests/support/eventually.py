"""Waiting for a condition by polling, with a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POLL_SECONDS = 0.02


def eventually(condition: Callable[[], T], timeout: float = 30) -> T:
    """Call ``condition`` until it returns something true, and return that.

    Args:
        condition: Called every 20 ms. What it raises is not caught.
        timeout: Seconds until giving up.

    Raises:
        AssertionError: The condition was still false when the time was over.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {timeout} s: {_describe(condition)}")
        time.sleep(POLL_SECONDS)


def _describe(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    if code is None:
        return repr(condition)
    return f"{condition.__qualname__} at {code.co_filename}:{code.co_firstlineno}"
