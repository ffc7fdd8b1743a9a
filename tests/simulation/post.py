"""The way of messages, where Celery and a broker would be: queues that lose, double and mix up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gostage_core.errors import BrokerUnavailableError
from gostage_core.plan import Carrier
from gostage_core.rescuer import mark_of

if TYPE_CHECKING:
    from random import Random

    from gostage_core.state.answers import Next, Ready
    from tests.simulation.loop import Fiber, Loop
    from tests.simulation.nemesis import Nemesis

QUEUE = "sim"
Links = tuple["Ready", ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A hint on its way, with the tail that its chain carries."""

    run_id: str
    entry: str
    tail: Links
    mark: str
    """The queue and the priority, by which its order is kept."""
    queue: str
    head: bool

    @property
    def have(self) -> str:
        """The entry that the chain goes on with, if that is of this run."""
        return self.tail[0].entry if self.tail and not self.tail[0].run_id else ""


class Post:
    """Does what the coordinator does: a chain is one message, of a group each member is one.

    Attributes:
        sent: How many messages were sent because something became ready.
        sent_again: How many because one was thought to be lost.
    """

    def __init__(self, loop: Loop, nemesis: Nemesis, chance: Random) -> None:
        self.sent = 0
        self.sent_again = 0
        self._loop = loop
        self._nemesis = nemesis
        self._chance = chance
        self._queues: dict[str, deque[Message]] = {}
        self._waiting: list[Fiber] = []
        self._late = 0

    def send(self, run_id: str, following: Next, *, head: bool = False) -> None:
        """Publish what a run goes on with."""
        if following.mode == "chain":
            self._publish(run_id, following.ready, head=head)
        elif following.mode == "group":
            for ready in following.ready:
                self._publish(run_id, (ready,), head=head)

    def send_again(self, run_id: str, ready: Ready) -> None:
        """Publish a message at the head of its queue, in place of one that was lost."""
        self.sent_again += 1
        self._publish(run_id, (ready,), head=True)

    def queue_of(self, carrier: Carrier) -> str:
        """Return the queue that a message with this carrier goes to."""
        return carrier.queue or QUEUE

    def depth(self, queue: str) -> int | None:
        """Count the messages that wait in a queue, of all priorities."""
        self._step()
        if self._is_away():
            return None
        return sum(message.queue == queue for one in self._queues.values() for message in one)

    def go_on(self, message: Message, following: Next) -> None:
        """Send what comes after a message, whose chain may carry it."""
        try:
            if following.mode == "keep":
                self._publish(message.run_id, message.tail, head=False)
            else:
                self.send(message.run_id, following)
        except BrokerUnavailableError:
            return  # a rescuer sends it

    def take(self) -> Message:
        """Wait for a message, and take it."""
        while True:
            queues = sorted(mark for mark, queue in self._queues.items() if queue)
            if queues:
                return self._queues[self._chance.choice(queues)].popleft()
            fiber = self._loop.current
            assert fiber is not None
            self._waiting.append(fiber)
            self._loop.park()

    def poke(self) -> None:
        """Have somebody look for messages: who was to look may have died."""
        self._waiting = [fiber for fiber in self._waiting if not fiber.is_over]
        if self._waiting and any(self._queues.values()):
            fiber = self._waiting.pop(self._chance.randrange(len(self._waiting)))
            self._loop.wake(fiber, self._nemesis.latency())

    def is_empty(self) -> bool:
        """Tell whether nothing is under way."""
        return not self._late and not any(self._queues.values())

    def restart(self) -> None:
        """Lose everything."""
        self._queues.clear()

    def _publish(self, run_id: str, links: Links, *, head: bool) -> None:
        self._step()
        if self._is_away() or self._nemesis.happens("broker refuses"):
            raise BrokerUnavailableError("the broker does not take a message")
        self.sent += 1
        first, *tail = links
        carrier = Carrier.from_text(first.carrier)
        queue = self.queue_of(carrier)
        mark = mark_of(queue, carrier.priority)
        message = Message(first.run_id or run_id, first.entry, tuple(tail), mark, queue, head)
        if self._nemesis.happens("message lost"):
            return
        if self._nemesis.happens("message doubled"):
            self._later(message, self._nemesis.span(0, 5))
        if self._nemesis.happens("message late"):
            self._later(message, self._nemesis.span(0.1, 5))
        else:
            self._put(message)

    def _step(self) -> None:
        fiber = self._loop.current
        if fiber is not None:
            self._loop.sleep(self._nemesis.latency())
            fiber.owner.strike()

    def _is_away(self) -> bool:
        fiber = self._loop.current
        return fiber is not None and self._nemesis.is_away(fiber.owner.node_name)

    def _later(self, message: Message, seconds: float) -> None:
        self._late += 1

        def arrive() -> None:
            self._late -= 1
            self._put(message)

        self._loop.call(seconds, arrive)

    def _put(self, message: Message) -> None:
        queue = self._queues.setdefault(message.mark, deque())
        if message.head:
            queue.appendleft(message)
        elif queue and self._nemesis.happens("message overtakes"):
            queue.insert(self._chance.randrange(len(queue)), message)
        else:
            queue.append(message)
        self.poke()
