"""Handlers of messages, called on the thread of the test."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gostage_core.listening import Listening
from gostage_core.testing.engine.threads import off_the_loop

if TYPE_CHECKING:
    from gostage_core.state.operations import State


class InlineListening(Listening):
    """Calls handlers when it is told to look, so that they come at the same moment each time."""

    def __init__(self, state: State) -> None:
        """Hear the runs of *state*."""
        super().__init__(state)
        self._is_calling = False

    def look(self) -> None:
        """Call the handlers for what is new. Within a handler it does nothing."""
        if self._is_calling or not self._active:
            return
        self._is_calling = True
        try:
            off_the_loop(partial(self._hear, list(self._active.values())))
        finally:
            self._is_calling = False

    def drain(self, timeout: float, run_id: str | None = None) -> bool:
        """Call them now; tell whether they were, which a handler that asks was not."""
        self.look()
        return not (self._is_calling and self._active)

    def _attend(self) -> None:
        """Leave what is new until somebody looks: there is no thread."""
