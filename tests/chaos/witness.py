"""What workers did, told by themselves: lines of a file, which outlives them and their server.

Imported by the workers: each body tells that it begins, each attempt how it ended, each message
that is sent again is told.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from celery import signals

from gostage_workers.installation import installation_of

if TYPE_CHECKING:
    from pathlib import Path

    from gostage_core.attempt import Ended, Executor
    from gostage_core.state.operations import Ready
    from gostage_workers.installation import Installation

VARIABLE: Final = "STORM_WITNESS"
"""The environment variable that names the file."""


def tell(*words: str) -> None:
    """Write one line, whole, if there is a file to write to."""
    if VARIABLE in os.environ:
        os.write(_file(os.environ[VARIABLE]), f"{' '.join(words)}\n".encode())


def heard(path: Path, run_id: str | None = None) -> Counter[str]:
    """Return how often each first word was told by all workers, of all runs or of one."""
    if not path.exists():
        return Counter()
    with path.open() as lines:
        words = (line.split() for line in lines)
        return Counter(first for first, run, *_ in words if run_id in (None, run))


@cache
def _file(path: str) -> int:
    """The file, opened once; children of a pool share it, and each line goes to its end at once."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class _Witnessed:
    """An executor whose attempts are told of."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def attempt(self, run_id: str, label: str, *, mark: str = "", have: str = "") -> Ended:
        ended = self._executor.attempt(run_id, label, mark=mark, have=have)
        tell(f"ended:{ended.word}", run_id, label)
        return ended


@signals.celeryd_after_setup.connect(weak=False)
def _hook_in(instance: Any, **_: Any) -> None:
    installation = installation_of(instance.app)
    if installation is not None:
        _tell_of_attempts(installation)
        _tell_of_messages(installation)


def _tell_of_attempts(installation: Installation) -> None:
    executor = installation.executor
    installation.executor = lambda node: _Witnessed(executor(node))  # type: ignore[assignment, method-assign, return-value]


def _tell_of_messages(installation: Installation) -> None:
    send_again = installation.coordinator.send_again

    def told(run_id: str, ready: Ready) -> None:
        send_again(run_id, ready)
        tell("again", run_id, ready.entry)

    installation.coordinator.send_again = told  # type: ignore[method-assign]
