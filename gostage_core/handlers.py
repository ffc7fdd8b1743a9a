"""What a producer has called for which messages, and how far it is in the messages of a run."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gostage_core.event_loop import run_in_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gostage_core.messages import Message

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """What is called for which messages; ``None`` stands for any."""

    call: Callable[[Message], object]
    type: str | None = None
    workflow: str | None = None
    stage: str | None = None
    action: str | None = None
    run_id: str | None = None

    def hears(self, run: Followed) -> bool:
        """Tell whether the messages of this run are for it at all."""
        return run.submitted if self.run_id is None else self.run_id == run.run_id

    def tell(self, message: Message) -> None:
        """Call it, if the message is for it. What it raises is logged and stops nothing."""
        if not self._wants(message):
            return
        try:
            returned: Any = self.call(message)
            if inspect.iscoroutine(returned):
                run_in_loop(returned)
        except BaseException:
            place = message.context
            logger.exception(
                "handler %s failed at message %d, %r from %s/%s of run %s",
                getattr(self.call, "__qualname__", self.call), place.sequence, message.type,
                place.stage, place.action, place.run_id,
            )  # fmt: skip

    def _wants(self, message: Message) -> bool:
        sender = message.context
        return (
            self.type in (None, message.type)
            and self.workflow in (None, sender.workflow)
            and self.stage in (None, sender.stage)
            and self.action in (None, sender.action)
        )


@dataclass(slots=True, eq=False)
class Followed:
    """A run whose messages are read, and how far each handler is in them."""

    run_id: str
    submitted: bool = False
    """Whether this process has submitted it; else a handler names it."""
    exists: bool = False
    seen: dict[Handler, int] = field(default_factory=dict)

    def seen_by(self, handlers: Iterable[Handler]) -> int:
        """Return up to where all of these handlers have seen the messages."""
        return min((self.seen.get(handler, 0) for handler in handlers), default=0)

    def shorten(self, handlers: Iterable[Handler], length: int) -> None:
        """Note that there are *length* messages: a server that crashed may have lost the last.

        Others stand in their place then, and are still to be seen.
        """
        for handler in handlers:
            self.seen[handler] = min(self.seen.get(handler, 0), length)

    def tell(self, handlers: Iterable[Handler], message: Message) -> None:
        """Give a message to those of *handlers* that have not seen it yet, in this order."""
        for handler in handlers:
            if self.seen.get(handler, 0) < message.context.sequence:
                handler.tell(message)
                self.seen[handler] = message.context.sequence
