"""What may become of a request on its way, for tests of what gostage makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

Words = Sequence[bytes]
"""A command and its arguments."""


class Fault(Enum):
    """What goes wrong with one request; to its client the connection breaks."""

    LOST = "the request was lost"
    """The server has not got it."""
    UNANSWERED = "the answer was lost"
    """The server has carried it out."""


Faults = Callable[[Sequence[Words]], Fault | None]
"""Says what becomes of a request: one command, or all of a pipeline."""
