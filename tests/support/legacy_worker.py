"""A real ``celery worker`` process of the legacy app, with gostage installed into it or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

ROOT = Path(__file__).parents[2]


class LegacyWorker:
    """One worker; ``with LegacyWorker(...)`` waits until it is ready, and kills it at the end."""

    def __init__(
        self,
        url: str,
        log: Path,
        *arguments: str,
        install: bool = False,
        namespace: str = "gostage",
        options: Mapping[str, object] | None = None,
        state_url: str | None = None,
        modules: str = "",
    ) -> None:
        self.log = log
        self._arguments = arguments or ("-c", "1")
        self._environment = {
            **os.environ,
            "LEGACY_URL": url,
            "LEGACY_INSTALL": str(int(install)),
            "LEGACY_OPTIONS": json.dumps(options or {}),
            "GOSTAGE_NAMESPACE": namespace,
            "GOSTAGE_REDIS_URL": state_url or url,
            "GOSTAGE_MODULES": modules,
            "PYTHONPATH": str(ROOT),
        }
        if state_url is not None:
            self._environment["GOSTAGE_BROKER_URL"] = url
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "celery", "-A", "tests.support.legacy_app", "worker"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-l", "INFO", "-n", f"{self.log.stem}@legacy", *self._arguments],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self._environment,
            )
        try:
            eventually(self._is_ready, timeout=60)
        except AssertionError:
            self.kill()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    @property
    def output(self) -> str:
        """What the worker has written so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it with SIGKILL; its pool's processes end with it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=20)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended while it started:\n{self.output}"
        return " ready." in self.output
