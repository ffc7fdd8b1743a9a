"""How long actions took: counts in spans of time, each twice as long as the one before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LAST_SPAN: Final = 25
"""The number of the last span, which has no end; the scripts have it too."""


def end_of(span: int) -> float:
    """Return in seconds until where a span goes: the first one until 1 ms."""
    return float("inf") if span >= LAST_SPAN else 2**span / 1000


@dataclass(frozen=True, slots=True)
class Durations:
    """How long attempts took that completed their action, or its last phase."""

    counts: Mapping[int, int] = field(default_factory=dict)
    """The number of a span to how many ended in it."""
    seconds: float = 0.0
    """Of all of them."""

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def median(self) -> float | None:
        """About how many seconds half of them took at most; ``None`` where there are none.

        Within a span they are taken to be spread evenly; what is in the last one, as long as all on
        average, and as the span begins.
        """
        half, before = self.count / 2, 0
        for span, count in sorted(self.counts.items()):
            if count and before + count >= half:
                begin = end_of(span - 1) if span else 0.0
                if span >= LAST_SPAN:
                    return max(begin, self.seconds / self.count)
                return begin + (end_of(span) - begin) * (half - before) / count
            before += count
        return None

    def up_to(self, ends: Iterable[float]) -> list[tuple[float, int]]:
        """Return each of *ends*, which are some of spans, with how many took so long at most."""
        counts = self.counts.items()
        return [(end, sum(many for span, many in counts if end_of(span) <= end)) for end in ends]


def together(parts: Iterable[Durations]) -> Durations:
    """Return the durations of several as one."""
    counts: Counter[int] = Counter()
    seconds = 0.0
    for part in parts:
        counts.update(part.counts)
        seconds += part.seconds
    return Durations(dict(counts), seconds)
