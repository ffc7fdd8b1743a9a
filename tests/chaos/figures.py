"""What a storm left behind, in figures."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.chaos.checks import CommittedTwice, Lost
from tests.chaos.faults import FAULTS
from tests.chaos.workload import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.journal import JournalEntry
    from tests.chaos.scene import Strike

_PROGRESS: Final = ("action.started", "action.completed", "action.retrying")
_TROUBLES_SHOWN: Final = 20


@dataclass
class Figures:
    """Grows while a storm passes and what it left is checked."""

    runs: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    left: int = 0
    """Checks of what is left behind that failed, for the whole of the storm."""
    refused: int = 0
    """Submits that were refused, and repeated."""
    struck: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By kind of fault, seconds from it until what it hit was begun anew, or had been ended."""
    told: Counter[str] = field(default_factory=Counter)
    """What the workers told of themselves, see ``witness``."""
    seconds: float = 0.0
    """From the first submit to the end of the last run."""
    troubles: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many processes were killed: of pools, whole workers, servers."""
        return sum(count for kind, count in self.struck.items() if FAULTS[kind].kills)

    @property
    def sound(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.twice or self.wrong or self.left)

    def blame(self, error: AssertionError) -> None:
        """Count what a check of one run found."""
        self.lost += isinstance(error, Lost)
        self.twice += isinstance(error, CommittedTwice)
        self.wrong += not isinstance(error, Lost | CommittedTwice)
        self.troubles.append(str(error))

    def blame_all(self, error: AssertionError) -> None:
        """Count what a check of everything found."""
        self.left += 1
        self.troubles.append(str(error))

    def measure(self, strike: Strike, entry: str, journal: list[JournalEntry]) -> None:
        """Note when an entry that *strike* hit was begun anew, or had been ended after all."""
        at = strike.at_ms / 1000
        later = (
            seconds
            for one in journal
            if one.entry == entry and one.kind in _PROGRESS
            and (seconds := one.at.timestamp() - at) > 0
        )  # fmt: skip
        first = next(later, None)
        if first is not None:
            self.recoveries[strike.kind].append(first)

    def lines(self) -> Iterator[str]:
        """All of it, for people."""
        answers = {
            word.removeprefix("ended:"): count
            for word, count in sorted(self.told.items())
            if word.startswith("ended:")
        }
        yield (
            f"runs {self.runs:,} of {ACTIONS} actions in {self.seconds:.0f} s, "
            f"{self.runs * ACTIONS / max(self.seconds, 1e-9):.0f} actions/s, "
            f"{self.kills} kills, {self.struck.total() - self.kills} other faults"
        )
        yield (
            f"lost {self.lost}, committed twice {self.twice}, wrong {self.wrong}, "
            f"left behind {self.left}"
        )
        tries = self.told["ended:retrying"]
        bodies = self.told["body"] - tries
        yield (
            f"bodies executed {bodies:,} beside {tries:,} that were to fail, "
            f"{bodies / max(1, self.runs * ACTIONS):.4f} a commit; "
            f"zombies fenced {self.told['ended:fenced']}; "
            f"submits refused and repeated {self.refused}"
        )
        yield (f"messages sent again {self.told['again']:,}; workers heard {answers}")
        yield from self._table()
        yield from self.troubles[:_TROUBLES_SHOWN]

    def _table(self) -> Iterator[str]:
        yield "seconds from a fault until what it hit went on:"
        yield f"{'fault':<10}{'struck':>8}{'hit':>8}{'p50':>8}{'p99':>8}{'max':>8}"
        for kind, count in self.struck.most_common():
            yield _row(kind, count, sorted(self.recoveries[kind]))
        every = sorted(s for some in self.recoveries.values() for s in some)
        yield _row("all", self.struck.total(), every)


def _row(kind: str, struck: int, times: list[float]) -> str:
    if not times:
        return f"{kind:<10}{struck:>8}{0:>8}"
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    return (
        f"{kind:<10}{struck:>8}{len(times):>8}{statistics.median(times):>8.2f}"
        f"{p99:>8.2f}{times[-1]:>8.2f}"
    )
