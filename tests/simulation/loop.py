"""One thread, one clock, many fibers: each goes on until it pauses, and chance says who is next."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from gostage_core.testing.memory import Clock

_MICRO = 1_000_000


class Killed(BaseException):
    """The death of a process: raised where its fibers stand, and wherever they would go on."""


class Owner(Protocol):
    """Whose fibers stand still together."""

    frozen_until: int
    """By the clock, in microseconds."""


class Fiber:
    """Something that goes on beside others, as a thread does."""

    __slots__ = ("alarm", "greenlet", "ident", "is_over", "name", "owner", "ticket", "waiters")

    def __init__(self, name: str, owner: Owner, ident: int, body: Callable[[], object]) -> None:
        self.name = name
        self.owner = owner
        self.ident = ident
        self.is_over = False
        self.ticket = 0
        """Counts its pauses: a call that was meant for an earlier one does not wake it."""
        self.alarm: BaseException | None = None
        """Raised where it stands, once."""
        self.waiters: list[Fiber] = []
        self.greenlet = greenlet(body)


class Loop:
    """Fibers over one clock, which goes on to when the next of them is due.

    Attributes:
        current: Whose turn it is; ``None`` while nobody's.
    """

    def __init__(self, clock: Clock, chance: Random) -> None:
        self.clock = clock
        self.current: Fiber | None = None
        self.steps = 0
        self._random = chance.random
        self._due: list[tuple[int, float, Fiber | None, int, Callable[[], object]]] = []
        self._living: dict[int, Fiber] = {}
        self._begun = 0

    @property
    def now(self) -> float:
        """Seconds by the clock."""
        return self.clock.microseconds / _MICRO

    def start(
        self, name: str, owner: Owner, body: Callable[[], object], *, after: float = 0
    ) -> Fiber:
        """Begin a fiber, *after* so many seconds."""
        self._begun += 1
        fiber = Fiber(name, owner, self._begun, lambda: self._live(fiber, body))
        self._living[fiber.ident] = fiber
        self._push(fiber, after)
        return fiber

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long."""
        fiber = self._here()
        self._push(fiber, seconds)
        self._leave(fiber)

    def park(self) -> None:
        """Stand still until somebody calls :meth:`wake`."""
        self._leave(self._here())

    def wake(self, fiber: Fiber, after: float = 0) -> None:
        """Have a fiber that stands still go on."""
        self._push(fiber, after)

    def join(self, fiber: Fiber) -> None:
        """Stand still until *fiber* has ended."""
        while not fiber.is_over:
            fiber.waiters.append(self._here())
            self.park()

    def ring(self, fiber: Fiber, alarm: BaseException) -> None:
        """Raise *alarm* where a fiber stands, now."""
        fiber.alarm = alarm
        self._push(fiber, 0)

    def call(self, after: float, function: Callable[[], object]) -> None:
        """Call *function*, which must not pause, after so many seconds."""
        self._queue(after, None, 0, function)

    def kill(self, fiber: Fiber) -> None:
        """End a fiber where it stands. Whoever ends itself is not returned to."""
        if fiber.is_over:
            return
        fiber.is_over = True
        if fiber is self.current:
            raise Killed
        if fiber.greenlet:  # it has begun
            before, self.current = self.current, fiber
            fiber.greenlet.parent = getcurrent()
            fiber.greenlet.throw(Killed)
            self.current = before
        self._release(fiber)

    def step(self) -> bool:
        """Let the next one go on; tell whether there was one."""
        while self._due:
            due, _, fiber, ticket, function = heappop(self._due)
            if fiber is not None and (fiber.is_over or fiber.ticket != ticket):
                continue
            self.clock.microseconds = max(self.clock.microseconds, due)
            if fiber is None:
                function()
            elif fiber.owner.frozen_until > self.clock.microseconds:
                self._push(fiber, fiber.owner.frozen_until / _MICRO - self.now)
                continue
            else:
                self._go_on(fiber)
            self.steps += 1
            return True
        return False

    def next_at(self, ignoring: Callable[[Fiber], bool]) -> float | None:
        """Return when the next fiber goes on that is not to be ignored."""
        found = [
            due
            for due, _, fiber, ticket, _ in self._due
            if fiber is not None
            and not fiber.is_over
            and fiber.ticket == ticket
            and not ignoring(fiber)
        ]
        return min(found) / _MICRO if found else None

    def shift(self, seconds: float) -> None:
        """Let so much time pass in which nobody does anything."""
        delta = round(seconds * _MICRO)
        self.clock.microseconds += delta
        self._due = [(due + delta, *rest) for due, *rest in self._due]  # type: ignore[misc]

    def end(self) -> None:
        """End every fiber."""
        for fiber in list(self._living.values()):
            self.kill(fiber)
        self._due.clear()

    def _here(self) -> Fiber:
        fiber = self.current
        assert fiber is not None, "nobody's turn"
        if fiber.is_over:
            raise Killed
        return fiber

    def _push(self, fiber: Fiber, after: float) -> None:
        self._queue(after, fiber, fiber.ticket, _nothing)

    def _queue(
        self, after: float, fiber: Fiber | None, ticket: int, function: Callable[[], object]
    ) -> None:
        due = self.clock.microseconds + max(0, round(after * _MICRO))
        heappush(self._due, (due, self._random(), fiber, ticket, function))

    def _leave(self, fiber: Fiber) -> None:
        self._hub.switch()
        if fiber.is_over:
            raise Killed
        if fiber.alarm is not None:
            alarm, fiber.alarm = fiber.alarm, None
            raise alarm

    def _go_on(self, fiber: Fiber) -> None:
        fiber.ticket += 1
        self.current = fiber
        self._hub = fiber.greenlet.parent = getcurrent()
        try:
            fiber.greenlet.switch()
        finally:
            self.current = None

    def _live(self, fiber: Fiber, body: Callable[[], object]) -> None:
        try:
            body()
        except Killed:
            pass
        finally:
            fiber.is_over = True
            self._release(fiber)

    def _release(self, fiber: Fiber) -> None:
        self._living.pop(fiber.ident, None)
        for waiter in fiber.waiters:
            if not waiter.is_over:
                self.wake(waiter)
        fiber.waiters.clear()


def _nothing() -> None:
    """Stand where a call would."""
