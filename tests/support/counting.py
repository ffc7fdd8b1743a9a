"""The numbers of a namespace, counted anew from its plans."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gostage_core.state.operations import State
    from tests.support.invariants import Snapshot

_OPEN = ("", "p", "r", "h", "x")
_ENDED = "cfksm"
_ASIDE = "zwoh"


def check_numbers(state: State, runs: Iterable[Snapshot]) -> None:
    """Check that what is counted as planned is what the plans of all *runs* say, and of each."""
    numbers = _read(state, "numbers")
    planned: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    for run in runs:
        todo = _todo(run)
        left = {series: many for series, many in _read(state, "left", run.run_id).items() if many}
        assert left == todo, f"run {run.run_id} has left {left}, in its plan is {todo}"
        if not run.is_terminal:
            planned.update(todo)
        aside.update(run.state_of(n) for n in run.live)
    told = {series: many for series, many in planned_of(numbers).items() if many}
    assert told == planned, f"{told} is planned, in the plans is {dict(planned)}"
    for letter in _ASIDE:
        assert numbers.get(f"={letter}", 0) == aside[letter], f"entries in state {letter}"


def check_nothing_planned(state: State) -> None:
    """Check that nothing counts as planned, or as begun: every run has ended."""
    numbers = _read(state, "numbers")
    planned = {series: many for series, many in planned_of(numbers).items() if many}
    begun = {letter: numbers.get(f"={letter}", 0) for letter in _ASIDE}
    assert not planned, f"all runs have ended, and this is planned: {planned}"
    assert not any(begun.values()), f"all runs have ended, and entries have begun: {begun}"


def planned_of(numbers: dict[str, int]) -> Counter[str]:
    """Return how much work of each series is planned."""
    planned: Counter[str] = Counter()
    for field, many in numbers.items():
        kind, bracket, rest = field.partition("[")
        if bracket and kind == "p":
            planned[f"[{rest}"] += many
        elif bracket and kind[0] in _ENDED:
            planned[f"[{rest}"] -= many
    return planned


def _read(state: State, name: str, *parts: str) -> dict[str, int]:
    found = cast("dict[bytes, bytes]", state.client.hgetall(state.keys.of(name, *parts)))
    return {field.decode(): int(many) for field, many in found.items()}


def _todo(run: Snapshot) -> Counter[str]:
    """Count what of a plan is to be done, by the message that it takes."""
    workflow = run.header["workflow"]
    entries = [n for n in run.links if not run.is_scope(n)]
    return Counter(f"{run.plan[f'c{n}']}{workflow}" for n in entries if _is_to_be_done(run, n))


def _is_to_be_done(run: Snapshot, n: str) -> bool:
    scope = run.record(run.links[n][0])
    has_begun = len(scope) > 1 and scope[5] != "0"
    is_passed = scope[0] in ("d", "m") or (scope[0] == "s" and scope[6] != "0")
    return run.state_of(n) in _OPEN and not (is_passed and not (has_begun and n in run.hooks))
