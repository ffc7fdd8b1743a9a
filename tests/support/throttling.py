"""What must hold of throttles, by what their entries do and not by what is kept of it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.support.invariants import Snapshot


def check_throttles(runs: Iterable[Snapshot]) -> None:
    """Check that no more goes on, and that no more has begun, than each throttle lets in.

    As actions and workflows say: no operator has set other numbers for it.
    """
    running: dict[str, list[str]] = defaultdict(list)
    begun: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    most: dict[str, int] = {}
    for run in runs:
        for member, is_within, text, times in _throttled(run):
            at_a_time, rate, per, key = text.split("|")
            most[key] = int(at_a_time)
            if is_within:
                running[key].append(member)
            if rate != "0":
                begun[key, int(rate), int(per)] += times
    for key, members in running.items():
        assert not most[key] or len(members) <= most[key], f"throttle {key} has let in {members}"
    for (key, rate, per), times in begun.items():
        times.sort()
        for first, last in zip(times, times[rate:], strict=False):
            assert last - first >= per, f"throttle {key} has let in {rate + 1} within {per} ms"


def _throttled(run: Snapshot) -> Iterator[tuple[str, bool, str, list[int]]]:
    """Yield of each run and entry that has a throttle: whether it is within it; when it began."""
    if "throttle" in run.header:
        is_within = not run.is_terminal and "held" not in run.header
        yield run.run_id, is_within, run.header["throttle"], []
    for n in run.links:
        text = run.plan.get(f"t{n}")
        if text:
            starts = [
                at for at, kind, one, *_ in run.journal if (kind, str(one)) == ("action.started", n)
            ]
            yield f"{run.run_id} {n}", run.state_of(n) == "x", text, starts
