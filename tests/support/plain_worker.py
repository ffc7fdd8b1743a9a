"""A real ``celery worker`` process of the plain app."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.eventually import eventually

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from typing import Self

ROOT = Path(__file__).parents[2]
APP = "tests.support.plain_app"
TRANSPORT = "gostage_core.broker.transport:Transport"


class PlainWorker:
    """One worker; ``with PlainWorker(...)`` waits until it is ready, and kills it at the end."""

    def __init__(
        self,
        broker: str,
        log: Path,
        *arguments: str,
        transport: str = TRANSPORT,
        options: Mapping[str, object] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.log = log
        self._arguments = arguments
        self._environment = {
            **os.environ,
            "PLAIN_BROKER": broker,
            "PLAIN_TRANSPORT": transport,
            "PLAIN_OPTIONS": json.dumps(options or {}),
            "PLAIN_SETTINGS": json.dumps(settings or {}),
            "PYTHONPATH": str(ROOT),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "celery", "-A", APP, "worker"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--loglevel=INFO", "-n", f"{self.log.stem}@plain", *self._arguments],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self._environment,
            )
        try:
            eventually(self._is_ready)
        except AssertionError:
            self.process.kill()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        # Its pool's processes end with it.
        self.process.kill()
        self.process.wait(timeout=20)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The main process."""
        assert self._process is not None, "the worker was not started"
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the main process."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Tell whether the main process lives."""
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """What the worker has written so far."""
        return self.log.read_text(errors="replace")

    def _is_ready(self) -> bool:
        assert self.alive, f"the worker ended while it started:\n{self.output}"
        return " ready." in self.output

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process."""
        self.process.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait for the end of the main process; return its exit status."""
        return self.process.wait(timeout=timeout)
