"""Bodies that are coroutines within a test that is one: a thread has one running loop at most."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from gostage_core.event_loop import close_loop

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def off_the_loop(call: Callable[[], T]) -> T:
    """Return what *call* returns: called here, or on a thread of its own where a loop runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, "gostage-body") as pool:
        return pool.submit(context.run, _with_a_loop_of_its_own, call).result()


def _with_a_loop_of_its_own(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        close_loop()
