"""How a body leaves its attempt before its end: past its own handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gostage_core.authoring.waits import Wait


class BailSignal(BaseException):
    """Ends an attempt well and its run early.

    Not an ``Exception``, so that a body's own handler lets it pass.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WaitSignal(BaseException):
    """Ends an attempt for now: its entry waits, and holds no worker.

    Not an ``Exception``, so that a body's own handler lets it pass.
    """

    def __init__(self, wait: Wait) -> None:
        super().__init__(wait)
        self.wait = wait


class AttemptLostError(BaseException):
    """The attempt's lease has gone to another worker: nothing of it can be kept any more.

    Not an ``Exception``, so that a body's own handler lets it pass.
    """
