"""A fresh interpreter for one attempt: started, told what to do, heard, and ended for good."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from gostage_workers.process import wait_unreaped

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    Hear = Callable[[str, bytes], None]

_ENTRY: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from gostage_workers.isolated import main; main()"
)

_CHUNK: Final = 65_536
_LONGEST_LINE: Final = 65_536
"""What a body says without an end of line is passed on in pieces of this size."""


class Death(NamedTuple):
    """How a process ended."""

    exit_code: int
    """Its exit status; below zero the number of the signal that killed it."""
    peak_kb: int = 0
    """The most memory that it had; 0 where that is not known."""


class IsolatedProcess:
    """A process in a session of its own, for as long as a ``with`` block lasts.

    At the end of the block it is killed if it still runs, with whatever it has started. For one
    thread; on Linux the process also ends with this thread, in whatever way that ends.
    """

    def __init__(self, order: Callable[[int], bytes], hear: Hear) -> None:
        """Prepare a process; nothing is started yet.

        Args:
            order: returns what the process reads, given the descriptor on which it is to report.
            hear: is told ``report``, ``stdout`` or ``stderr``, and a line that came there.
        """
        self._order = order
        self._hear = hear
        self._has_ended = False

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            self._start(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._cleanup:
            self._kill_group()
            self._waiter.join()
            for channel in self._channels:
                channel.drain()
            self._death = self._reap()

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._has_ended

    @property
    def death(self) -> Death:
        """How it ended; known after the block."""
        return self._death

    def attend(self, timeout: float | None) -> None:
        """Wait until something happens, for *timeout* seconds at most, and take it in."""
        for key, _ in self._selector.select(timeout):
            if not key.data():
                self._selector.unregister(key.fileobj)

    def _start(self, cleanup: contextlib.ExitStack) -> None:
        self._selector = cleanup.enter_context(selectors.DefaultSelector())
        report, report_end = _pipe(cleanup)
        over, over_end = _pipe(cleanup)
        self._process = process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", _ENTRY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(report_end.fileno(),),
        )
        self._pending = memoryview(self._order(report_end.fileno()))
        report_end.close()
        outputs = {"report": report, "stdout": process.stdout, "stderr": process.stderr}
        self._channels = [
            Channel(name, _owned(stream, cleanup).fileno(), self._hear)
            for name, stream in outputs.items()
        ]
        for channel in self._channels:
            self._selector.register(channel.fd, selectors.EVENT_READ, channel.take)
        self._stdin = _owned(process.stdin, cleanup).fileno()
        os.set_blocking(self._stdin, False)
        self._selector.register(self._stdin, selectors.EVENT_WRITE, self._tell)
        self._selector.register(over, selectors.EVENT_READ, self._note_end)
        self._waiter = threading.Thread(target=_tell_end, args=(process, over_end), daemon=True)
        self._waiter.start()

    def _tell(self) -> bool:
        """Write a piece of the order. Stdin then stays open: its end would tell of our own."""
        try:
            self._pending = self._pending[os.write(self._stdin, self._pending[:_CHUNK]) :]
        except BrokenPipeError:  # it has ended before it read all
            return False
        return bool(self._pending)

    def _note_end(self) -> bool:
        self._has_ended = True
        return False

    def _kill_group(self) -> None:
        # It leads the group, and is not reaped yet, so the number is still its own. macOS answers
        # EPERM where only the ended leader is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _reap(self) -> Death:
        try:
            _, status, used = os.wait4(self._process.pid, 0)
        except ChildProcessError:  # reaped by Popen, where nothing else can wait for it
            return Death(self._process.wait())
        # Popen has not seen it, and would look for it.
        self._process.returncode = os.waitstatus_to_exitcode(status)
        # exec hands on what the parent had at its peak: a lower one of its own is not known.
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Death(self._process.returncode, used.ru_maxrss if used.ru_maxrss > ours else 0)


class Channel:
    """One pipe from a process, taken in line by line."""

    def __init__(self, name: str, fd: int, hear: Hear) -> None:
        """Tell *hear* what comes on *fd*, under *name*."""
        self.fd = fd
        self._name = name
        self._hear = hear
        # Reports are not broken up: one is as long as what comes next in the run.
        self._longest = sys.maxsize if name == "report" else _LONGEST_LINE
        self._rest = b""
        os.set_blocking(fd, False)

    def take(self) -> bool:
        """Take in what has come; tell whether more may.

        Raises:
            BlockingIOError: nothing has come.
        """
        chunk = os.read(self.fd, _CHUNK)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._hear(self._name, line)
        if len(self._rest) >= self._longest:
            self._end_line()
        return bool(chunk)

    def drain(self) -> None:
        """Take in the last of it, though something that the process started may hold the pipe."""
        with contextlib.suppress(BlockingIOError):
            while self.take():
                pass
        if self._rest:
            self._end_line()

    def _end_line(self) -> None:
        line, self._rest = self._rest, b""
        self._hear(self._name, line)


def _pipe(cleanup: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return _owned(os.fdopen(read, "rb", 0), cleanup), _owned(os.fdopen(write, "wb", 0), cleanup)


def _owned(stream: IO[bytes] | None, cleanup: contextlib.ExitStack) -> IO[bytes]:
    assert stream is not None
    return cleanup.enter_context(stream)


def _tell_end(process: subprocess.Popen[bytes], over: IO[bytes]) -> None:
    """Close *over* when the process has ended: what it started may hold all of its own pipes."""
    wait_unreaped(process)
    over.close()
