"""Places in a plan as text that sorts: where an action stands among those of its stage.

A place is a path of numbers, each written with its length before it, so that text order is number
order and a path sorts before what hangs below it. What an action adds hangs below it; what the last
of several adds goes on beside it, so that a chain of actions that each add the next one keeps short
places. What is inserted by others has numbers that no action comes to by adding: these leave room
for what the actions around it add.
"""

from __future__ import annotations

from typing import Final

_RESERVED: Final = 100_000_000
"""From here on numbers are for what is inserted between others."""
_IN_BETWEEN: Final = 499_999_999
"""The number of the first group that is inserted somewhere; those ahead of it count down."""
_AT_THE_END: Final = 500_000_000
"""The number of the first group that is added at the end of a stage; the next ones count up."""


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


def inserted_below(after: str, is_last: bool, before: str | None) -> str:
    """Return the place below which stands what is inserted between two neighbours.

    It leaves room for what the one at *after* may yet add right after itself. *before* is ``None``
    where nothing follows: what is added at the end of a stage.
    """
    path = _numbers(after)
    if before is None:
        return place(path[0] + 1 if path[0] >= _RESERVED else _AT_THE_END)
    following = _numbers(before)
    region = path[:-1] if is_last and not _goes_on(path[:-1], following) else path
    while len(following) > len(region) and following[: len(region)] == region:
        number = following[len(region)]
        if number >= _RESERVED:
            return _text([*region, number - 1])
        region = [*region, 0]
    if region and region[-1] >= _RESERVED and following[: len(region) - 1] != region[:-1]:
        return _text([*region[:-1], region[-1] + 1])
    return _text([*region, _IN_BETWEEN])


def _split(path: str) -> tuple[str, int]:
    start = 0
    while (end := start + 1 + int(path[start])) < len(path):
        start = end
    return path[:start], int(path[start + 1 :])


def _goes_on(region: list[int], following: list[int]) -> bool:
    """Whether *following* is what the last of several has added beside itself."""
    rest = following[len(region) :]
    return following[: len(region)] == region and bool(rest) and rest[0] < _RESERVED


def _numbers(path: str) -> list[int]:
    numbers, start = [], 0
    while start < len(path):
        end = start + 1 + int(path[start])
        numbers.append(int(path[start + 1 : end]))
        start = end
    return numbers


def _text(numbers: list[int]) -> str:
    return "".join(map(place, numbers))
