"""Calls a producer's handlers for the messages of its runs, on one thread of this process."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final

from gostage_core.errors import CorruptRunError, GostageError
from gostage_core.event_loop import close_loop
from gostage_core.handlers import Followed
from gostage_core.mailbox import look_at, read_messages
from gostage_core.state.notices import Notices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.handlers import Handler
    from gostage_core.mailbox import Look
    from gostage_core.state.operations import State

logger: Final = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS: Final = 1.0
"""How often the thread looks by itself, should the notice of a change be lost."""
_LOOKS_AT_ONCE: Final = 500
"""Runs that are looked at in one round trip, and by itself in one second."""
_REMEMBERED: Final = 1_000
"""Runs that have ended, or that nobody hears, kept in mind for a handler that comes later."""
_EXIT_SECONDS: Final = 5.0
"""How long the end of the process waits for what was sent before."""


class Listening:
    """The handlers of one runner and the runs that they hear. Safe to share between threads.

    One daemon thread calls the handlers, for as long as a run has not ended or is not read to its
    end. In a process that is forked from this one the handlers are there, and the runs are not:
    they stay with the parent.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._handlers: list[Handler] = []
        self.forget_runs()
        _everyone.add(self)

    def forget_runs(self) -> None:
        """Begin anew, in a child process that has no other thread."""
        self._changed = threading.Condition()
        self._active: OrderedDict[str, Followed] = OrderedDict()
        self._resting: OrderedDict[str, Followed] = OrderedDict()
        self._due: set[str] = set()
        self._thread: threading.Thread | None = None
        self._notices: Notices | None = None
        self._stopping = False
        self._out_of_reach = False

    def add(self, handler: Handler) -> None:
        """Call *handler* from now on, and for the messages that were sent before."""
        with self._changed:
            self._handlers.append(handler)
            named = handler.run_id
            if named is not None and named not in self._active:
                self._resting.setdefault(named, Followed(named))
            for run in [*self._active.values(), *self._resting.values()]:
                if handler.hears(run):
                    self._activate(run)
        self._attend()

    def follow(self, run_id: str) -> None:
        """Hear the messages of a run that this process has submitted. Safe to repeat."""
        with self._changed:
            run = self._active.get(run_id) or self._resting.get(run_id) or Followed(run_id)
            run.submitted = run.exists = True
            if any(handler.hears(run) for handler in self._handlers):
                self._activate(run)
            else:
                self._rest(run)
        self._attend()

    def drain(self, timeout: float, run_id: str | None = None) -> bool:
        """Wait until the handlers were called with what was sent before this call.

        Args:
            timeout: in seconds.
            run_id: of the run that matters; by default all do.

        Returns:
            Whether they were. A handler that asks is not waited for, as it is called in turn.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        with self._changed:
            runs = [run for run in self._active.values() if run_id in (None, run.run_id)]
        if threading.current_thread() is self._thread:
            return not runs
        lengths = {run: getattr(look, "length", 0) for run, look in self._looks(runs)}
        with self._changed:
            self._due.update(run.run_id for run in runs)
        self._attend()
        with self._changed:
            return self._changed.wait_for(
                lambda: all(self._is_past(run, length) for run, length in lengths.items()), timeout
            )

    def close(self, timeout: float = _EXIT_SECONDS) -> None:
        """Wait for what was sent before, at most *timeout* seconds, and end the thread.

        Runs that have not ended are taken up again with the next run or handler.
        """
        ends = time.monotonic() + timeout
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        try:
            self.drain(timeout)
        except GostageError as error:
            logger.warning("messages of runs were not read to their end: %s", error)
        self._stopping = True
        self._wake()
        thread.join(max(_LOOK_EVERY_SECONDS, ends - time.monotonic()))

    def _activate(self, run: Followed) -> None:
        self._resting.pop(run.run_id, None)
        self._active[run.run_id] = run
        self._due.add(run.run_id)

    def _rest(self, run: Followed) -> None:
        """Look at *run* no more, and remember it for a handler that comes later."""
        self._drop(run)
        if run.submitted:
            self._resting[run.run_id] = run
            while len(self._resting) > _REMEMBERED:
                self._resting.popitem(last=False)

    def _drop(self, run: Followed) -> None:
        self._active.pop(run.run_id, None)
        self._resting.pop(run.run_id, None)
        self._handlers = [one for one in self._handlers if one.run_id != run.run_id]
        self._changed.notify_all()

    def _is_past(self, run: Followed, length: int) -> bool:
        if run.run_id not in self._active:
            return True
        return run.seen_by(one for one in self._handlers if one.hears(run)) >= length

    def _attend(self) -> None:
        """See that the thread takes what is new."""
        with self._changed:
            self._stopping = False
            if self._active and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(
                    target=self._listen, name="gostage-messages", daemon=True
                )
                self._thread.start()
                return
        self._wake()

    def _wake(self) -> None:
        notices = self._notices
        if notices is not None:
            notices.wake()

    def _listen(self) -> None:
        """Be the thread, until there is nothing more to hear."""
        notices = self._notices = Notices(self._state)
        try:
            self._hear_all(notices)
        finally:
            notices.close()
            close_loop()

    def _hear_all(self, notices: Notices) -> None:
        told: set[str] = set()
        looked_at = time.monotonic()
        while (taken := self._take(told)) is not None:
            due, following = taken
            notices.follow(following)
            late = self._hear(due)
            told = late | notices.wait(0 if self._due else _LOOK_EVERY_SECONDS)
            if time.monotonic() - looked_at >= _LOOK_EVERY_SECONDS:
                looked_at = time.monotonic()
                told |= self._in_rotation()

    def _take(self, told: set[str]) -> tuple[list[Followed], set[str]] | None:
        """Return what is to be looked at, and what to hear of; ``None`` ends the thread."""
        with self._changed:
            due = (told | self._due) & self._active.keys()
            self._due.clear()
            if self._stopping or not self._active:
                self._due |= due
                self._thread = self._notices = None
                return None
            return [self._active[run_id] for run_id in due], set(self._active)

    def _in_rotation(self) -> set[str]:
        with self._changed:
            some = list(islice(self._active, _LOOKS_AT_ONCE))
            for run_id in some:
                self._active.move_to_end(run_id)
        return set(some)

    def _hear(self, runs: Sequence[Followed]) -> set[str]:
        """Call the handlers for what is new in *runs*; return these where they cannot be read."""
        try:
            for run, look in self._looks(runs):
                if not self._stopping:
                    self._hear_run(run, look)
        except GostageError as error:
            if not self._out_of_reach:
                logger.warning("messages of runs come late: %s", error)
            self._out_of_reach = True
            return {run.run_id for run in runs}
        self._out_of_reach = False
        return set()

    def _looks(self, runs: Sequence[Followed]) -> Iterator[tuple[Followed, Look | CorruptRunError]]:
        for start in range(0, len(runs), _LOOKS_AT_ONCE):
            some = runs[start : start + _LOOKS_AT_ONCE]
            yield from zip(some, look_at(self._state, [run.run_id for run in some]), strict=True)

    def _hear_run(self, run: Followed, look: Look | CorruptRunError) -> None:
        try:
            if isinstance(look, CorruptRunError):
                raise look
            if look.exists:
                run.exists = True
                self._read(run, look)
            elif run.exists:
                self._forget(run)
        except CorruptRunError as error:
            logger.error("%s; its messages are not read any more", error)
            self._forget(run)

    def _read(self, run: Followed, look: Look) -> None:
        with self._changed:
            handlers = [handler for handler in self._handlers if handler.hears(run)]
        run.shorten(handlers, look.length)
        seen = run.seen_by(handlers)
        for message in read_messages(self._state, run.run_id, seen, look.length):
            if self._stopping:
                return
            run.tell(handlers, message)
        with self._changed:
            if look.ended and self._is_past(run, look.length):
                self._rest(run)
            self._changed.notify_all()

    def _forget(self, run: Followed) -> None:
        with self._changed:
            self._drop(run)


_everyone: Final[weakref.WeakSet[Listening]] = weakref.WeakSet()


def _after_fork() -> None:
    for listening in list(_everyone):
        listening.forget_runs()


def _at_exit() -> None:
    # A daemon thread that prints while the interpreter ends may take it down.
    for listening in list(_everyone):
        listening.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
