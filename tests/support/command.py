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
import threading
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
        with self.terminal(columns, *words) as terminal:
            terminal.status()
        return terminal.text

    @contextlib.contextmanager
    def terminal(self, columns: int, *words: str) -> Iterator[Terminal]:
        """Start the command on a terminal; it is killed at the end of the block."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.directory,
            env={**self.environment, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        terminal = Terminal(process, ours)
        try:
            yield terminal
        finally:
            process.kill()
            process.wait(SECONDS)
            terminal.close()
            os.close(ours)


class Terminal:
    """What a command shows while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self._shown = bytearray()
        self._reader = threading.Thread(target=self._take, args=(fd,), daemon=True)
        self._reader.start()

    @property
    def raw(self) -> str:
        """All that it has shown so far, with colours and what moves the cursor."""
        return self._shown.decode(errors="replace")

    @property
    def text(self) -> str:
        """The same without these."""
        return "\n".join(_ESCAPES.sub("", self.raw).splitlines())

    def status(self) -> int:
        """Wait for its end, and return its exit status."""
        status = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return status

    def close(self) -> None:
        """Take in the last of it; the process has ended."""
        self._reader.join(SECONDS)

    def _take(self, fd: int) -> None:
        for data in _read(fd):
            self._shown += data


def _read(terminal: int) -> Iterator[bytes]:
    # Linux answers EIO once nobody has the other end open any more, macOS an empty read.
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 65_536):
            yield data
