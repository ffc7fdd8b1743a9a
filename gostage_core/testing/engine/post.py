"""Messages of an engine in memory: kept in a line, where the coordinator would publish them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from gostage_core.plan import Carrier

if TYPE_CHECKING:
    from gostage_core.state.answers import Next, Ready


class Link(NamedTuple):
    """One action of a chain."""

    entry: str
    queue: str


class Hint(NamedTuple):
    """A message on its way: the action that it hints at, and the tail of its chain."""

    run_id: str
    entry: str
    queue: str
    tail: tuple[Link, ...] = ()
    at_head: bool = False

    @property
    def have(self) -> str:
        """The entry that its chain goes on with, or nothing."""
        return self.tail[0].entry if self.tail else ""


class Post:
    """The messages of one engine: one line for all queues, first in, first out.

    Priorities are not looked at: no order of messages is promised by them.
    """

    def __init__(self, default_queue: str) -> None:
        """Have nothing on its way."""
        self.hints: deque[Hint] = deque()
        self._default_queue = default_queue

    def send(self, run_id: str, following: Next, *, head: bool = False) -> None:
        """Take what a run goes on with: one message for a chain, one a member for a group."""
        for first, *others in following.messages():
            at_head = head or first.head
            hint = self._hint(run_id, first, tuple(map(self._link, others)), at_head=at_head)
            (self.hints.appendleft if at_head else self.hints.append)(hint)

    def send_again(self, run_id: str, ready: Ready) -> None:
        """Take one message to the head of the line, in place of one that was lost."""
        self.hints.appendleft(self._hint(run_id, ready, at_head=True))

    def go_on(self, hint: Hint, following: Next) -> None:
        """Take what comes after the attempt that *hint* has led to."""
        if following.mode == "keep":
            link, *tail = hint.tail
            self.hints.append(Hint(hint.run_id, link.entry, link.queue, tuple(tail)))
        else:
            self.send(hint.run_id, following)

    def queue_of(self, carrier: Carrier) -> str:
        """Return the queue that a message with this carrier goes to."""
        return carrier.queue or self._default_queue

    def depth(self, queue: str) -> int:
        """Return how many messages wait in *queue*."""
        return sum(hint.queue == queue for hint in self.hints)

    def _hint(
        self, run_id: str, ready: Ready, tail: tuple[Link, ...] = (), *, at_head: bool
    ) -> Hint:
        entry, queue = self._link(ready)
        return Hint(ready.run_id or run_id, entry, queue, tail, at_head)

    def _link(self, ready: Ready) -> Link:
        return Link(ready.entry, self.queue_of(Carrier.from_text(ready.carrier)))
