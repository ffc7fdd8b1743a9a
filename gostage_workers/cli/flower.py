"""Flower behind a password of its own, for as long as somebody develops."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from gostage_core.errors import ConfigurationError, UnavailableError
from gostage_workers.process import Supervised

if TYPE_CHECKING:
    from pathlib import Path

_HOST: Final = "127.0.0.1"
_USER: Final = "dev"
_STARTUP_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_NOT_FOR_FLOWER: Final = ("FLOWER_", "GOSTAGE_")
"""Variables that begin so stay here: they might open what the password closes."""


class Flower:
    """Celery's monitor, on the loopback interface.

    A password, although it listens on this machine alone: without one any page in a browser here
    could ask it to stop the workers.
    """

    def __init__(self, port: int) -> None:
        """Choose a password and a port; nothing is started yet.

        Args:
            port: 0 for any that is free.

        Raises:
            ConfigurationError: the port is in use.
        """
        self.password = secrets.token_urlsafe(12)
        self.port = _checked(port)
        self._process: Supervised | None = None

    @property
    def url(self) -> str:
        """What a browser takes, with the password in it."""
        return f"http://{_USER}:{self.password}@{_HOST}:{self.port}/"

    @property
    def error(self) -> str | None:
        """Why it does not run any more, once that is so."""
        process = self._process
        if process is None or process.pid is not None:
            return None
        return f"Flower has ended, exit code {process.exit_code}:\n{process.log_tail()}"

    def document(self) -> dict[str, object]:
        """Return where it is, and who may enter."""
        address = f"http://{_HOST}:{self.port}/"
        return {"url": address, "user": _USER, "password": self.password}

    def start(self, redis_url: str, namespace: str, logs: Path) -> None:
        """Start it for the broker at *redis_url*, and return once it answers.

        Raises:
            UnavailableError: it does not; the message has the end of its log.
        """
        self._process = Supervised(
            [
                *(sys.executable, "-m", "celery", "-A", "gostage_workers.app", "flower"),
                *(f"--address={_HOST}", f"--port={self.port}", "--logging=warning"),
            ],
            env=self._environment(redis_url, namespace),
            log_path=logs / "flower.log",
            name="Flower",
            restart=False,
        )
        self._process.start()
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not self._answers():
            if self.error or time.monotonic() > deadline:
                raise UnavailableError(
                    self.error or f"Flower does not answer:\n{self._process.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it. Safe to repeat."""
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)

    def _environment(self, redis_url: str, namespace: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_NOT_FOR_FLOWER)
        }
        own = {
            "GOSTAGE_REDIS_URL": redis_url,
            "GOSTAGE_NAMESPACE": namespace,
            "FLOWER_BASIC_AUTH": f"{_USER}:{self.password}",
        }
        return {**kept, **own}

    def _answers(self) -> bool:
        credentials = base64.b64encode(f"{_USER}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{_HOST}:{self.port}/", headers={"Authorization": f"Basic {credentials}"}
        )
        try:
            with _direct.open(request, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never through a proxy, which the environment may name."""


def _checked(port: int) -> int:
    with socket.socket() as probe:
        # As Flower does: a port whose last connections have not timed out is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} is in use; give Flower another one with --flower-port, 0 for any "
                f"that is free, or do without it: --no-flower"
            ) from error
        return int(probe.getsockname()[1])
