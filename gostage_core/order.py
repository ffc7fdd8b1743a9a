"""Places in a plan as text that sorts: where an action stands among those of its stage.

A place is a path of numbers, each written with its length before it, so that text order is number
order and a path sorts before what hangs below it. What an action adds hangs below it; what the last
of several adds goes on beside it, so that a chain of actions that each add the next one keeps short
places.
"""

from __future__ import annotations


def place(number: int, below: str = "") -> str:
    """Return the place of the *number*-th child (from 1) of *below*."""
    digits = str(number)
    return f"{below}{len(digits)}{digits}"


def added_places(adder: str, is_last: bool, count: int) -> list[str]:
    """Return the places of *count* actions that the one at *adder* adds right after itself."""
    if not is_last:
        return [place(number, adder) for number in range(1, count + 1)]
    parent, number = _split(adder)
    return [place(number + step, parent) for step in range(1, count + 1)]


def _split(path: str) -> tuple[str, int]:
    start = 0
    while (end := start + 1 + int(path[start])) < len(path):
        start = end
    return path[:start], int(path[start + 1 :])
