"""What the cluster of one namespace does, in numbers, and as Prometheus reads them."""

from gostage_core.numbers.exposition import NumbersCollector, exposition
from gostage_core.numbers.reading import read_numbers
from gostage_core.numbers.spans import Durations
from gostage_core.numbers.values import (
    ActionNumbers,
    EntryNumbers,
    Numbers,
    ProcessNumbers,
    QueueNumbers,
    TimerNumbers,
)

__all__ = [
    "ActionNumbers",
    "Durations",
    "EntryNumbers",
    "Numbers",
    "NumbersCollector",
    "ProcessNumbers",
    "QueueNumbers",
    "TimerNumbers",
    "exposition",
    "read_numbers",
]
