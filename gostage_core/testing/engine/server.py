"""The server of an engine in memory: who waits for a notice has the engine go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.testing.memory import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.testing.engine.clock import HeldClock
    from gostage_core.testing.memory.channels import Mailbox


class DrivenServer(MemoryServer):
    """A server that belongs to one engine, on the thread that made both."""

    def __init__(self, clock: HeldClock) -> None:
        """Begin empty."""
        super().__init__(clock)
        self.go_on: Callable[[Sequence[str], float], None] = lambda _channels, _seconds: None
        """Called with the channels that somebody waits on, and for how long at most."""

    def pass_time(self, mailbox: Mailbox, seconds: float) -> None:
        """Have the engine go on."""
        self.go_on([channel.decode() for channel in mailbox.channels], seconds)
