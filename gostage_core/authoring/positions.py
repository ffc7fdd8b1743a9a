"""On which line of a file each part of a document stands, for the places that problems name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gostage_core.authoring.problems import step

_INDEX: Final = re.compile(r"\[(\d+)\]")
_FIRST_WORD: Final = re.compile(r": (\w{2,})\b")


@dataclass(slots=True)
class Spot:
    """One value of a document: its line, and what it consists of."""

    line: int
    """From 1. Of a member of an object it is the line of the name."""

    members: dict[str, Spot] = field(default_factory=dict)
    """Of an object: its values by name."""

    items: list[Spot] = field(default_factory=list)
    """Of a list: its values."""

    def line_of(self, problem: str) -> int:
        """Return the line that *problem* is about, which begins with a place in the document.

        Where the place is not in the document, as for a field that is missing, it is the line of
        the innermost object or list around it.
        """
        spot, rest = self, problem if problem.startswith("[") else f".{problem}"
        while found := spot._inner(rest):
            spot, length = found
            rest = rest[length:]
        # What is wrong with several fields together is told of the object: "join needs parallel".
        told = _FIRST_WORD.match(rest)
        return spot.members[told[1]].line if told and told[1] in spot.members else spot.line

    def _inner(self, rest: str) -> tuple[Spot, int] | None:
        """Return the part that *rest* of a place goes on with, and by how many characters."""
        index = _INDEX.match(rest)
        if index and int(index[1]) < len(self.items):
            return self.items[int(index[1])], index.end()
        found = None
        for name, spot in self.members.items():
            way = step(name)
            if rest.startswith(way) and rest[len(way) : len(way) + 1] in ("", ".", "[", ":"):
                # Of the names "api" and "api.timeout" the longer one is meant.
                found = max(found or (spot, 0), (spot, len(way)), key=lambda pair: pair[1])
        return found


@dataclass(frozen=True, slots=True)
class Repeat:
    """A name that stands twice in one object."""

    place: str
    line: int
    first: int
    """The line on which it stands before."""

    def __str__(self) -> str:
        return f"{self.place}: is there twice; the first is on line {self.first}"


@dataclass(slots=True)
class _Level:
    spot: Spot
    place: str
    is_object: bool
    name: str | None = None
    """Of an object: the name whose value comes next."""
    line: int = 0


class SpotTree:
    """Spots as a parser comes by them, from the beginning of a document to its end."""

    def __init__(self) -> None:
        self.root = Spot(1)
        self.repeats: list[Repeat] = []
        self._levels: list[_Level] = []

    @property
    def depth(self) -> int:
        """How many lists and objects are open."""
        return len(self._levels)

    @property
    def awaits_name(self) -> bool:
        """Whether the next thing in the document is the name of a member."""
        level = self._levels[-1] if self._levels else None
        return level is not None and level.is_object and level.name is None

    def name(self, name: str, line: int) -> None:
        """Take the name of the member that comes next."""
        level = self._levels[-1]
        level.name, level.line = name, line
        if (before := level.spot.members.get(name)) is not None:
            place = (level.place + step(name)).removeprefix(".")
            self.repeats.append(Repeat(place, line, before.line))

    def value(self, line: int, like: Spot | None = None) -> Spot:
        """Take a value that is no list and no object, or that consists of the parts of *like*."""
        spot = Spot(line) if like is None else Spot(line, like.members, like.items)
        if not self._levels:
            self.root = spot
            return spot
        level = self._levels[-1]
        if level.name is not None:
            spot.line = level.line
            level.spot.members[level.name] = spot
            level.name = None
        else:
            level.spot.items.append(spot)
        return spot

    def open(self, line: int, *, is_object: bool) -> Spot:
        """Take the beginning of a list or an object."""
        place = self._next_place()
        spot = self.value(line)
        self._levels.append(_Level(spot, place, is_object))
        return spot

    def close(self) -> None:
        """Take the end of the innermost list or object."""
        self._levels.pop()

    def _next_place(self) -> str:
        if not self._levels:
            return ""
        level = self._levels[-1]
        return level.place + step(len(level.spot.items) if level.name is None else level.name)
