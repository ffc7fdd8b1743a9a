"""What goes wrong, how often, for how long: decided by chance, at each step of each process."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from gostage_core.testing.memory import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from tests.simulation.loop import Loop
    from tests.simulation.nodes import Process

RATES: Final = {
    "request lost": 0.02,
    "answer lost": 0.03,
    "request comes late": 0.01,
    "server away": 0.001,
    "scripts forgotten": 0.002,
    "child dies": 0.015,
    "node dies": 0.003,
    "node leaves": 0.002,
    "child stops": 0.008,
    "node stops": 0.003,
    "node cut off": 0.003,
    "step takes long": 0.03,
    "message lost": 0.05,
    "message doubled": 0.05,
    "message late": 0.05,
    "message overtakes": 0.05,
    "broker refuses": 0.02,
}
"""How often each happens, at a step, an answer or a message, in a world where it does happen."""

AT_STEPS: Final = (
    "server away", "scripts forgotten", "child dies", "node dies", "node leaves", "child stops",
    "node stops", "node cut off",
)  # fmt: skip
_MOST: Final = 40
"""Faults in one world."""


class Nemesis:
    """Does harm in one world until it is told to rest.

    Attributes:
        done: How often each kind of harm was done.
        may_lose: How many attempts may have lost their worker by it.
    """

    def __init__(
        self, loop: Loop, chance: Random, without: Sequence[str], *, calm: bool = False
    ) -> None:
        self.loop = loop
        self.done: Counter[str] = Counter()
        self.may_lose = 0
        self._chance = chance
        self._away_until = 0.0
        self._cut_off: dict[str, float] = {}
        self._rests = calm
        busy = chance.choice((0.3, 1.0, 1.0, 3.0))
        chosen = {kind: rate * busy for kind, rate in RATES.items() if chance.random() < 0.45}
        self._rates = {kind: rate for kind, rate in chosen.items() if kind not in without}
        self._at_steps = [(kind, self._rates[kind]) for kind in AT_STEPS if kind in self._rates]
        self._any_step = sum(rate for _, rate in self._at_steps)

    def rest(self) -> None:
        """Do no harm any more; what was cut off is not."""
        self._rests = True
        self._away_until = 0.0
        self._cut_off.clear()

    def happens(self, kind: str) -> bool:
        """Tell whether something of this *kind* happens now."""
        rate = self._rates.get(kind)
        if rate is None or self._rests or self._chance.random() >= rate:
            return False
        return self._count(kind)

    def latency(self) -> float:
        """Return how long the next step takes, in seconds."""
        if self.happens("step takes long"):
            return self._chance.uniform(0.01, 0.8)
        return self._chance.random() * 0.003

    def span(self, least: float, most: float) -> float:
        """Return for how long something goes wrong, in seconds."""
        return self._chance.uniform(least, most)

    def strike(self, process: Process) -> None:
        """Do to a process what happens to it at this step; it may not survive that."""
        if self._rests or not self._at_steps:
            return
        luck = self._chance.random()
        if luck >= self._any_step:
            return
        for kind, rate in self._at_steps:
            luck -= rate
            if luck < 0:
                if self._count(kind):
                    process.suffer(kind)
                return

    def fault(self, node: str) -> Fault | None:
        """Return what becomes of a request of *node*, which is sent now."""
        if self._rests:
            return None
        now = self.loop.now
        if now < self._away_until or now < self._cut_off.get(node, 0.0):
            return Fault.LOST
        if self.happens("request lost"):
            return Fault.LOST
        return Fault.UNANSWERED if self.happens("answer lost") else None

    def take_server(self, seconds: float) -> None:
        """Let nobody reach the server for so long."""
        self._away_until = self.loop.now + seconds

    def cut_off(self, node: str, seconds: float) -> None:
        """Let *node* not reach the server for so long."""
        self._cut_off[node] = self.loop.now + seconds

    def is_away(self, node: str) -> bool:
        """Tell whether *node* cannot reach the server."""
        now = self.loop.now
        return now < self._away_until or now < self._cut_off.get(node, 0.0)

    def _count(self, kind: str) -> bool:
        if sum(self.done.values()) >= _MOST:
            return False
        self.done[kind] += 1
        return True
