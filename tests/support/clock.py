"""The clocks of workers, which can be set wrong while they run; the server's is another matter."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from urllib.parse import urlsplit

_SITE = Path(__file__).parent / "stepped_clock"


class Clock:
    """What ``time.time`` tells in all processes of the worker that reaches its server at *url*."""

    def __init__(self, directory: Path, url: str) -> None:
        self._path = directory / str(urlsplit(url).port)
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """Set the clock wrong by so much, at once; 0 sets it right."""
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))


def environment(directory: Path) -> dict[str, str]:
    """Return what workers are started with that are to heed the clocks in *directory*."""
    paths = (str(_SITE), os.environ.get("PYTHONPATH", ""))
    return {
        "STEPPED_CLOCKS": str(directory),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
