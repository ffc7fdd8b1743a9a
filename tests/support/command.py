"""The ``gostage`` command as its user runs it: in a process, piped or on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gostage_workers.cli"]
SECONDS = 90

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Shell:
    """A directory and an environment in which the command is run."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        ours = ("GOSTAGE_", "FLOWER_", "COLUMNS")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        self.environment = {**kept, "PYTHONPATH": str(ROOT), **environment}

    def gostage(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command with pipes for its output."""
        return subprocess.run(
            [*COMMAND, *words],
            cwd=self.directory,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start the command with pipes for its output; it is killed at the end of the block."""
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=SECONDS)

    def on_terminal(self, columns: int, *words: str) -> str:
        """Run the command on a terminal of so many columns, and return each line that it showed."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        environment = {**self.environment, "TERM": "xterm"}
        with subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.directory,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            shown = b"".join(_read(ours))
            process.wait(SECONDS)
        os.close(ours)
        return "\n".join(_ESCAPES.sub("", shown.decode()).splitlines())


def _read(terminal: int) -> Iterator[bytes]:
    # Linux answers EIO once nobody has the other end open any more, macOS an empty read.
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 65_536):
            yield data
