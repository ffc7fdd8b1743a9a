"""Makes every polite way to end a command the same: what it has started is ended first."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_POLITE: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def all_as_ctrl_c() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` inside for SIGTERM and a closed terminal, as Ctrl-C does."""
    before = {number: signal.signal(number, _interrupt) for number in _POLITE}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
