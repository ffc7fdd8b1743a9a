"""Runs bodies that are coroutines, on one event loop a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

_loops = threading.local()


def run_in_loop(body: Any) -> Any:
    """Run a coroutine on this thread's event loop, which is kept between attempts."""
    loop = getattr(_loops, "loop", None)
    if loop is None or loop.is_closed():
        loop = _loops.loop = asyncio.new_event_loop()
    task = _loops.task = loop.create_task(body)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        _cancel(loop, task)
        raise


def cancel_running() -> None:
    """Cancel what this thread's event loop was last asked to run, unless it has ended."""
    _loops.task.cancel()


def close_loop() -> None:
    """Close this thread's event loop, if it has one; for a thread that is about to end."""
    loop = getattr(_loops, "loop", None)
    if loop is not None:
        loop.close()


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Let an interrupted body run its own clean-up."""
    if not task.done():
        task.cancel()
        loop.run_until_complete(asyncio.wait([task], timeout=1.0))
