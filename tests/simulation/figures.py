"""What many worlds came to, in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.nemesis import RATES
from tests.simulation.themes import seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.world import Report


@dataclass
class Figures:
    """Grows with each world that has ended."""

    worlds: int = 0
    runs: int = 0
    foretold: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Of the worlds' own time."""
    statuses: Counter[str] = field(default_factory=Counter)
    traits: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    """What should not have been, with the seed of its world."""

    def add(self, report: Report) -> None:
        """Count what became of one world."""
        self.worlds += 1
        self.runs += report.runs
        self.foretold += report.foretold
        self.steps += report.steps
        self.seconds += report.seconds
        self.statuses += report.statuses
        self.traits += report.traits
        self.answers += report.answers
        self.faults += report.faults
        self.wrong += [(report.seed, text) for text in report.wrong]

    @property
    def stories(self) -> dict[str, int]:
        """How often each theme came up."""
        return seen(self.traits, self.answers)

    @property
    def missing(self) -> list[str]:
        """The themes and kinds of faults that did not come up."""
        told = {**self.stories, **{kind: self.faults[kind] for kind in RATES}}
        return [name for name, count in told.items() if not count]

    def lines(self, elapsed: float, command: str) -> Iterator[str]:
        """Tell it, as text; *command* with a seed behind it replays one world."""
        yield f"runs       {self.runs:,} in {self.worlds:,} worlds: {_told(self.statuses)}"
        yield f"foretold   {self.foretold:,} of them in full, by a model without faults or time"
        yield f"steps      {self.steps:,}, in {self.seconds / 86_400:,.1f} days of their own time"
        yield f"speed      {self.runs / max(elapsed, 1e-9):,.1f} runs/s, {elapsed:,.0f} s"
        yield f"stories    {_told(self.stories)}"
        faults = Counter({kind: self.faults[kind] for kind in RATES})
        yield f"faults     {faults.total():,}: {_told(faults)}"
        yield f"violations {len(self.wrong)}"
        for seed, text in self.wrong:
            yield f"  {text}"
            yield f"    {command} {seed}"


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
