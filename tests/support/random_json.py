"""JSON by chance, half of it with something wrong in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

LETTERS = ("a", "/", "\\", '"', "\n", "\t", "\x01", "\x7f", "é", "€", "😀", "\0", " ")
NUMBERS = (0, 1, -1, 1.5, 0.1, 1e15, 123456789012345, 1e16, 1e100, -2.5e-7, 1e-10, 2**53, -0.0)
FAULTS = r"""
, ] { } [ : " \ \u12 \ud800 \udc00 \ud83d\ude00 \u0041 \q 1 0x1f 0x1.8p3 inf nan - + e5 . true nul
"""


class Texts:
    """Makes texts that are JSON, or nearly so."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._faults = [*FAULTS.split(), "", " ", "\0"]

    def one(self) -> str:
        text = json.dumps(self._value(0), ensure_ascii=self._chance.random() < 0.5)
        if self._chance.random() < 0.5:
            for _ in range(self._chance.choice((1, 2))):
                at = self._chance.randint(0, len(text))
                text = (
                    text[:at]
                    + self._chance.choice(self._faults)
                    + text[at + self._chance.randrange(2) :]
                )
        return text

    def _value(self, depth: int) -> Any:
        kind = self._chance.randrange(9)
        if kind < 3 or depth > 3:
            return self._chance.choice((*NUMBERS, self._chance.random()))
        if kind < 5:
            return self._text()
        if kind == 5:
            return [self._value(depth + 1) for _ in range(self._chance.randrange(5))]
        if kind == 6:
            return {self._text(): self._value(depth + 1) for _ in range(self._chance.randrange(4))}
        return self._chance.choice((None, True, False))

    def _text(self) -> str:
        return "".join(self._chance.choices(LETTERS, k=self._chance.randrange(6)))
