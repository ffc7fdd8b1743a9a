"""Follows a log file that somebody else writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_BYTES: Final = 256 * 1024
"""What is read at a time; a process that writes more is followed a little later."""


class LogTail:
    """What is written to one file from now on, line by line.

    Attributes:
        name: of who writes it.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0
        self._begun = b""

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were finished since the last call."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._at)
                data = log.read(_MOST_BYTES)
        except FileNotFoundError:
            return
        self._at += len(data)
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
