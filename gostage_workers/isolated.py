"""The entry point of a process that does one attempt for a worker, and nothing else."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import resource
import signal
import sys
import threading
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from gostage_core.attempt import Executor, Place
from gostage_core.authoring.registry import registry
from gostage_core.errors import ConfigurationError
from gostage_core.state.operations import State
from gostage_core.timeout import interrupting
from gostage_core.tracing.current import continuing
from gostage_core.verdict import entry_of
from gostage_workers.assignment import Assignment, Report
from gostage_workers.launch import load_script, while_loading
from gostage_workers.process_limits import limited
from gostage_workers.resource_scopes import process_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.attempt import Ended
    from gostage_workers.assignment import Source

_STDIN: Final = 0
_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Do the attempt that stdin describes, and report how it ended."""
    assignment = Assignment.model_validate_json(sys.stdin.buffer.readline())
    _end_with(assignment.parent)
    reporter = Reporter(assignment.report_fd)
    _prepare(reporter, assignment.log_level)
    try:
        _load(assignment)
    except ConfigurationError as error:
        reporter.say(Report(refused=f"its process cannot begin: {error}"))
        return
    try:
        reporter.say(Report(ended=_attempt(assignment, reporter.say)))
    finally:
        process_scope.close()


class Reporter(logging.Handler):
    """Tells the worker what happens here, a line for each; log records too."""

    def __init__(self, fd: int) -> None:
        """Write to *fd*, which what the body starts does not inherit."""
        super().__init__()
        os.set_inheritable(fd, False)
        self._line = os.fdopen(fd, "wb")

    def say(self, report: Report) -> None:
        """Tell it now."""
        assert self.lock is not None
        with self.lock:
            self._line.write(report.model_dump_json(exclude_none=True).encode() + b"\n")
            self._line.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a log record, as far as it is data."""
        try:
            self.say(Report(record=_data_of(record)))
        except Exception:  # noqa: BLE001 - as logging has it: a record that fails is reported, no more
            self.handleError(record)


def _data_of(record: logging.LogRecord) -> dict[str, Any]:
    data = {
        **record.__dict__,
        "msg": record.getMessage(),
        "args": None,
        "exc_info": None,
        "processName": "Isolated",
    }
    if record.exc_info and not record.exc_text:
        data["exc_text"] = logging.Formatter().formatException(record.exc_info)
    return {
        name: value if isinstance(value, str | int | float | None) else repr(value)
        for name, value in data.items()
    }


def _end_with(parent: int) -> None:
    """Let this process end with the worker's that it works for, in whatever way that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that asked for this one has ended")
    # The other end closes when the worker's process ends, and elsewhere nothing else tells of it.
    # The body finds an empty stdin.
    line = os.dup(_STDIN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    threading.Thread(target=_end_at_its_end, args=(line,), daemon=True).start()


def _end_at_its_end(line: int) -> None:
    while os.read(line, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _prepare(reporter: Reporter, log_level: int) -> None:
    # Whoever asks a whole service to stop asks its workers too, and these decide. A handler, as
    # what the body starts would inherit that a signal is ignored.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    os.register_at_fork(after_in_child=partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # A segfault then says where it was.
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGXCPU, all_threads=False, chain=True)
    logging.basicConfig(handlers=[reporter], level=log_level)


def _load(assignment: Assignment) -> None:
    """Load what the worker has loaded.

    Raises:
        ConfigurationError: it cannot be loaded, or the action is not in it.
    """
    for source in assignment.sources:
        with while_loading(source.module):
            _load_one(source)
    action = entry_of(assignment.claim).action
    if assignment.known and action not in registry:
        raise ConfigurationError(
            f"action {action!r} is not registered by loading what the worker has loaded; "
            f"define it at the top level of a module"
        )


def _load_one(source: Source) -> None:
    """Import a module; what is no module by its name, as a script's actions, from its file."""
    spec = find_spec(source.module)
    found = spec.origin if spec is not None and spec.origin else ""
    if source.file is None or os.path.realpath(found) == os.path.realpath(source.file):
        import_module(source.module)
    else:
        load_script(source.file, source.module)


def _attempt(assignment: Assignment, say: Callable[[Report], None]) -> Ended:
    claim = assignment.claim
    entry = entry_of(claim)

    @contextmanager
    def guard(seconds: float | None, give_up: Callable[[], None]) -> Iterator[None]:
        if seconds is not None:
            say(Report(limit=seconds))
        with interrupting(seconds, give_up), limited(entry.memory_mb, entry.cpu_seconds):
            yield

    place = Place(assignment.process, guard, resources=process_scope.attempt)
    with continuing(assignment.trace):
        return Executor(State(assignment.settings), place).work(claim, entry, assignment.have)
