"""Two ways to end an attempt at its timeout: interrupt its body, or give it up."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    Guard = Callable[[float | None, Callable[[], None]], AbstractContextManager[None]]


class OvertimeSignal(BaseException):
    """The attempt's time is up. Not an ``Exception``, so that a body's own handler lets it pass."""


@contextmanager
def interrupting(seconds: float | None, _give_up: Callable[[], None]) -> Iterator[None]:
    """Raise :class:`OvertimeSignal` in the body. Only for the main thread of a pool's child.

    What the body does in C is not interrupted; the pool's own hard limit ends that child.
    """
    if seconds is None:
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OvertimeSignal

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def giving_up(seconds: float | None, give_up: Callable[[], None]) -> Iterator[None]:
    """Call *give_up* on a thread of its own; the body runs on and is told. For threads and solo."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        # A body that was told may end before who told it has: both must agree on what became of it.
        timer.join()
