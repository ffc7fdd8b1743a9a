"""Actions that say in files where they are, and go on when they are let: no server is asked.

Imported by the workers. The files of one run lie in a directory of their own.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from gostage_core import ActionContext, action


@action
def held(ctx: ActionContext, place: str) -> None:
    """Say that it has begun, and end when its try is let go."""
    directory = Path(place)
    with (directory / "begun").open("a") as begun:
        begun.write(f"{ctx.attempt} {os.getpid()}\n")
    while not ((directory / "open").exists() or (directory / f"open {ctx.attempt}").exists()):
        time.sleep(0.02)
    ctx.store.append("held", ctx.attempt)


@action
def quick(ctx: ActionContext) -> None:
    """Count, and leave a mark behind those that were there."""
    ctx.store.increment("count")
    mark = int(ctx.idempotency_key.rpartition(":")[2])
    ctx.store["trace"] = [*ctx.store.get("trace", list[int], default=[]), mark]


QUICK = quick.action_class.__action_id__
"""What plans call the action above."""


@action
def deadly(ctx: ActionContext) -> None:
    """Take the process along, each time."""
    os.kill(os.getpid(), signal.SIGKILL)


class Gate:
    """The files of one run, seen from the test."""

    def __init__(self, directory: Path) -> None:
        self.place = str(directory)
        self._directory = directory

    @property
    def begun(self) -> list[tuple[int, int]]:
        """Each try that has begun, and its process."""
        path = self._directory / "begun"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(attempt), int(pid)) for attempt, pid in map(str.split, lines)]

    def open(self, attempt: int | None = None) -> None:
        """Let go whoever waits there, or only this try."""
        (self._directory / ("open" if attempt is None else f"open {attempt}")).touch()
