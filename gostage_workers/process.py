"""A child process that is watched, started again when it dies, and does not outlive this one."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from gostage_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

QUICK_DEATH_SECONDS: Final = 2.0
"""A process that dies within this time of its start has died quickly."""

QUICK_DEATHS: Final = 5
"""After so many quick deaths in a row a process is not started again."""

_FIRST_PAUSE: Final = 0.2
_PAUSE_FACTOR: Final = 3.0
_LONGEST_PAUSE: Final = 5.0
_LOG_TAIL_BYTES: Final = 64 * 1024

_GUARD: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that asked for this one has ended")
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""
# prctl(PR_SET_PDEATHSIG) before exec, which keeps it. In a process of its own rather than in
# preexec_fn, which may deadlock where this process has threads. The look at the parent closes the
# gap before the call. Python ignores SIGPIPE and SIGXFSZ, and exec would pass that on.


class Supervised:
    """One child process in a session of its own, with all of its output in one file.

    A Ctrl-C in the terminal does not reach it. Whenever its main process ends, what is left of its
    process group is killed too. On Linux the kernel kills it when this process dies, in whatever
    way; elsewhere it ends when this interpreter exits. An object supervises once; for another
    start make another one. The methods may be called from any thread, and do nothing in a process
    that was forked off from this one.

    Attributes:
        name: what messages call it.
        log_path: the file that its output is appended to.
        deaths: how often it has ended without being asked to.
        exit_code: what it ended with last; minus the number of the signal that killed it.
        error: why it is not started (again), once that is so.
        started_at: when its main process was started, on the monotonic clock.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log_path: Path,
        name: str,
        restart: bool,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Prepare to run *argv* with the environment *env* (by default, this process's)."""
        self.name = name
        self.log_path = log_path
        self.deaths = 0
        self.exit_code: int | None = None
        self.error: str | None = None
        self.started_at = 0.0
        self._argv = list(argv)
        self._env = None if env is None else dict(env)
        self._restart = restart
        self._pass_fds = tuple(pass_fds)
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._spawned = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        # The kernel takes the thread that created a child for its parent. This one lives exactly
        # as long as the child does, whichever thread calls start().
        self._thread = threading.Thread(target=self._supervise, name=f"gostage-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The main process, or ``None`` while there is none, or :meth:`kill` is ending it."""
        process = self._process
        return None if process is None or self._killed else process.pid

    def start(self) -> None:
        """Start the process, and return once it exists.

        Raises:
            ConfigurationError: it cannot be started.
        """
        atexit.register(self._stop_at_exit)
        self._thread.start()
        self._spawned.wait()
        if self.error is not None:
            raise ConfigurationError(self.error)

    def kill(self) -> int | None:
        """Send SIGKILL to the main process, as a crash would end it; return its pid if it ran.

        It is started again at once where that was asked for, however often this is called.
        """
        with self._lock:
            if self._process is None or self._killed or self._is_forked_copy():
                return None
            self._killed = True
            os.kill(self._process.pid, signal.SIGKILL)
            return self._process.pid

    def terminate(self) -> None:
        """Ask the process to end (SIGTERM), and do not start it again. Safe to repeat."""
        with self._lock:
            if self._stopping.is_set() or self._is_forked_copy():
                return
            self._stopping.set()
            if self._process is not None:
                os.kill(self._process.pid, signal.SIGTERM)

    def stop(self, timeout: float) -> None:
        """End the process and its children; SIGKILL after *timeout* seconds. Safe to repeat."""
        if self._is_forked_copy() or self._thread.ident is None:
            return
        self.terminate()
        try:
            self._thread.join(timeout)
        finally:
            with self._lock:
                self._kill_group()
        self._thread.join()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the process has ended and is not started again; tell whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last *lines* lines of its output."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _is_forked_copy(self) -> bool:
        return os.getpid() != self._owner

    def _stop_at_exit(self) -> None:
        self.stop(0)

    def _supervise(self) -> None:
        quick = 0
        try:
            while (process := self._spawn()) is not None:
                self._await_end(process)
                if self._stopping.is_set():
                    return
                quick = quick + 1 if self._died_quickly() else 0
                self._report_death()
                if not self._restart or self._gives_up(quick):
                    return
                self._stopping.wait(_pause(quick))
        except OSError as error:
            self.error = f"{self.name} cannot be started: {error}"
            _log.error("%s", self.error)
        finally:
            self._spawned.set()
            atexit.unregister(self._stop_at_exit)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock, self.log_path.open("ab") as log:
            if self._stopping.is_set():
                return None
            self._killed = False
            self.started_at = time.monotonic()
            self._process = process = subprocess.Popen(  # noqa: S603 - what the caller asks for
                _guarded(self._argv, self._owner),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self._pass_fds,
            )
        self._spawned.set()
        return process

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        wait_unreaped(process)
        with self._lock:
            self._kill_group()
            self.exit_code = process.wait()
            self._process = None

    def _kill_group(self) -> None:
        # The main process leads the group, and is not reaped yet (see wait_unreaped), so the
        # number is still its own. macOS answers EPERM where only the ended leader is left.
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _died_quickly(self) -> bool:
        return not self._killed and time.monotonic() - self.started_at < QUICK_DEATH_SECONDS

    def _report_death(self) -> None:
        self.deaths += 1
        if not self._killed:
            _log.warning("%s ended unexpectedly, exit code %s", self.name, self.exit_code)

    def _gives_up(self, quick: int) -> bool:
        if quick < QUICK_DEATHS:
            return False
        self.error = (
            f"{self.name} ended {quick} times in a row within {QUICK_DEATH_SECONDS:.0f} s of its "
            f"start, last with exit code {self.exit_code}, and is not started again; the end of "
            f"{self.log_path}:\n{self.log_tail()}"
        )
        _log.error("%s", self.error)
        return True


def _guarded(argv: list[str], parent: int) -> list[str]:
    if sys.platform != "linux":
        return argv
    return [sys.executable, "-I", "-S", "-c", _GUARD, str(parent), *argv]


def wait_unreaped(process: subprocess.Popen[bytes]) -> None:
    """Wait until *process* has ended, and leave its number to it."""
    # Once reaped, its number may become another process's, and kill() would hit that.
    if hasattr(os, "waitid"):
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


def _pause(quick: int) -> float:
    if quick == 0:
        return 0.0
    return min(_FIRST_PAUSE * _PAUSE_FACTOR ** (quick - 1), _LONGEST_PAUSE)
