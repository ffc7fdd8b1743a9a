"""Where faults strike: a crew under load, and what strikes it just now."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import redis

from gostage_core.errors import GostageError
from tests.support.processes import send

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from tests.support.crew import Crew, Member

Hit = list[tuple[str, str]]
"""What a fault struck: runs and entries of their plans."""

UNREACHABLE = (GostageError, redis.RedisError, psutil.Error, ProcessLookupError)
"""What a look at the crew may raise while it suffers."""

_HEAL_AGAIN_SECONDS = 0.5
_PAUSE = 0.05


@dataclass
class Strike:
    """One fault that struck."""

    kind: str
    at_ms: int
    """When, by the server's clock."""
    hit: Hit
    seconds: float
    """How long it lasts at most."""
    heal: Callable[[], object]
    victim: object
    """Who suffers meanwhile, and from no other fault that lasts."""
    ends_when: Callable[[], bool]
    """Ends it before its time."""
    ends_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.ends_at = time.monotonic() + self.seconds


class Scene:
    """A crew, the dice, and the faults that have struck and are not healed yet."""

    def __init__(self, crew: Crew, dice: random.Random) -> None:
        self.crew = crew
        self.dice = dice
        self.state = crew.state
        self.lease = crew.runner.settings.lease
        self.queue = crew.runner.settings.namespace
        self._going_on: list[Strike] = []

    def note(
        self,
        kind: str,
        hit: Hit,
        *,
        seconds: float = 0.0,
        heal: Callable[[], object] = lambda: None,
        victim: object = None,
        ends_when: Callable[[], bool] = lambda: False,
    ) -> Strike:
        """Say that a fault strikes now, and what it hits."""
        return Strike(kind, self.state.server_ms(), hit, seconds, heal, victim, ends_when)

    def taken_from(self, member: Member, pids: Sequence[int] | None = None) -> Callable[[], bool]:
        """Return what tells that all that *member* held was just given to others, or never does.

        Who comes back then finds the others at work; by time alone they would have ended long ago.
        """
        if self.dice.random() < 0.5 or not member.holds(self.state, pids):
            return lambda: False
        return lambda: not member.holds(self.state, pids)

    def idle_member(self) -> Member | None:
        """Somebody who works, and suffers from nothing that lasts; ``None`` where there is none."""
        free = [one for one in self.crew.members if one.worker.is_ready and not self.suffers(one)]
        return self.dice.choice(free) if free else None

    def suffers(self, victim: object) -> bool:
        """Whether a fault goes on there."""
        return any(strike.victim is victim for strike in self._going_on)

    def held_by_all(self) -> Hit:
        """What everybody works on."""
        return [hit for member in self.crew.members for hit in member.holds(self.state)]

    def keep(self, strike: Strike) -> None:
        """Heal *strike* when its time is over."""
        self._going_on.append(strike)

    def heal(self, *, everything: bool = False) -> None:
        """Heal what is due, or all there is; what cannot be healed yet is tried again."""
        for strike in tuple(self._going_on):
            try:
                if everything or time.monotonic() >= strike.ends_at or strike.ends_when():
                    strike.heal()
                    self._going_on.remove(strike)
            except UNREACHABLE:
                strike.ends_at += _HEAL_AGAIN_SECONDS

    def heal_all(self, timeout: float = 30) -> None:
        """Heal everything, now; let go on whom a fault that failed half way has left stopped."""
        for member in self.crew.members:
            send(member.processes, signal.SIGCONT)
        deadline = time.monotonic() + timeout
        while self._going_on and time.monotonic() < deadline:
            self.heal(everything=True)
            time.sleep(_PAUSE)
