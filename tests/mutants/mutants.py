"""Mistakes that somebody could make in the engine, as data, and what finds each of them out."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The repository."""

TABLES: Final = ("attempts", "control", "plans", "storage", "python")
"""The files of the table, beside this one."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake in one place."""

    name: str
    file: str
    """In which it is, from the root of the repository."""

    old: str
    """What stands there, exactly once."""

    new: str
    """What the mistake makes of it."""

    breaks: str
    """What is no longer so: one sentence."""

    tests: tuple[str, ...]
    """Ids of tests for pytest, of which one is to fail; none of one that is equivalent."""

    equivalent: str = ""
    """Why nobody can tell it from the original; empty for what is to be caught."""

    def applied(self, text: str) -> str:
        """Return the *text* of its file with the mistake in it.

        Raises:
            ValueError: what it replaces does not stand there exactly once.
        """
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: its old text stands {count} times in {self.file}")
        return text.replace(self.old, self.new)


def _read() -> tuple[Mutant, ...]:
    texts = [Path(__file__).with_name(f"{table}.toml").read_text("utf-8") for table in TABLES]
    found = [one for text in texts for one in tomllib.loads(text)["mutant"]]
    return tuple(Mutant(**{**one, "tests": tuple(one["tests"])}) for one in found)


MUTANTS: Final = _read()
"""All of them."""
