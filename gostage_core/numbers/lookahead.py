"""How much work is planned for each queue, in actions and in seconds."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from gostage_core.numbers.spans import together

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.numbers.values import ActionNumbers


def planned_work(actions: Iterable[ActionNumbers]) -> dict[str, tuple[int, float]]:
    """Return for each queue how many actions are planned, and how many seconds they may take.

    An action takes the median of what it took so far. One that has not completed yet is taken to be
    like all others of its queue, and where there are none, like all that there are.
    """
    by_queue: defaultdict[str, list[ActionNumbers]] = defaultdict(list)
    for one in actions:
        by_queue[one.queue].append(one)
    overall = together(one.durations for group in by_queue.values() for one in group).median or 0.0
    return {queue: _of(group, overall) for queue, group in by_queue.items()}


def _of(actions: list[ActionNumbers], overall: float) -> tuple[int, float]:
    usual = together(one.durations for one in actions).median
    fallback = overall if usual is None else usual
    seconds = 0.0
    for one in actions:
        median = one.durations.median
        seconds += one.planned * (fallback if median is None else median)
    return sum(one.planned for one in actions), seconds
