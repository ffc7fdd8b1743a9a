"""One worker of a local cluster: a real Celery worker that is started again when it dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from gostage_core.errors import ConfigurationError
from gostage_workers.launch import VARIABLE, Announcement, Launch
from gostage_workers.process import Supervised

# Not `-m`: that would need a PYTHONPATH, which whatever a worker starts would inherit.
_ENTRY: Final = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r}); "
    "from gostage_workers.launch import main; main()"
)


class ClusterWorker:
    """A Celery worker in processes of its own, and what is known of it from outside.

    Attributes:
        name: Celery's node name.
        process: its main process, which is started again when it dies.
    """

    def __init__(self, launch: Launch, directory: Path, log_path: Path) -> None:
        """Prepare what *launch* describes; *directory* is for what it says of itself."""
        self.name = launch.name
        self._said = directory / f"{launch.name}.json"
        told = launch.model_copy(update={"ready_file": str(self._said)})
        self.process = Supervised(
            [sys.executable, "-c", _ENTRY],
            env={**os.environ, **_environment(launch), VARIABLE: told.model_dump_json()},
            log_path=log_path,
            name=f"worker {launch.name}",
            restart=True,
        )

    @property
    def pid(self) -> int | None:
        """Its main process, or ``None`` while it is being started again."""
        return self.process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it takes work: its present main process has said so."""
        said = Announcement.read(self._said)
        return said is not None and said.refused is None and said.pid == self.pid

    @property
    def tears_down(self) -> bool:
        """Whether it may have resources to tear down at its end."""
        said = Announcement.read(self._said)
        return said is not None and said.tears_down

    def log_tail(self, lines: int = 20) -> str:
        """Return the last *lines* lines of its output."""
        return self.process.log_tail(lines)

    def check(self) -> None:
        """Raise what keeps the worker from its first start.

        Raises:
            ConfigurationError: it cannot load what it was told to, or ended early.
        """
        said = Announcement.read(self._said)
        if said is not None and said.refused is not None:
            raise ConfigurationError(said.refused)
        if self.process.deaths or self.process.error:
            raise ConfigurationError(
                f"worker {self.name} ended before it was ready, exit code "
                f"{self.process.exit_code}; the end of its log:\n{self.log_tail()}"
            )


def _environment(launch: Launch) -> dict[str, str]:
    # For a Runner() of the action's own. The server's url may carry a password: never an argument.
    own = {
        "GOSTAGE_REDIS_URL": launch.url,
        "GOSTAGE_NAMESPACE": launch.namespace,
        # Otherwise its last lines before a crash would stay in the buffer.
        "PYTHONUNBUFFERED": "1",
    }
    return own if launch.broker is None else {**own, "GOSTAGE_BROKER_URL": launch.broker}
