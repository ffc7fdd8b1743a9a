"""How one run stands: its status, its store, its plan, its history; and waiting for its end."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final, cast

import redis

from gostage_core.damage import readable
from gostage_core.duration import seconds
from gostage_core.errors import (
    CorruptRunError,
    RunNotFoundError,
    RunTimeoutError,
    StoreUnavailableError,
)
from gostage_core.journal import read_journal
from gostage_core.ledger import Ledger
from gostage_core.mailbox import read_messages
from gostage_core.result import RunResult, failure_with_place, plan_of
from gostage_core.source import RedisSource, texts_of
from gostage_core.state.answers import Stored
from gostage_core.state.client import our_errors
from gostage_core.store import StoreReader
from gostage_core.summary import status_of, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.duration import Duration
    from gostage_core.journal import JournalEntry
    from gostage_core.messages import Message
    from gostage_core.result import Plan
    from gostage_core.state.operations import State
    from gostage_core.status import RunStatus
    from gostage_core.summary import RunSummary

_SNAPSHOT_BYTES: Final = 4 * 1024 * 1024
"""A store of at most so many bytes is read with a result, and stays readable without the server."""


class RunView:
    """What can be read of a run, when it is asked for.

    Raises (every method):
        RunNotFoundError: no such run.
        StoreUnavailableError: the server does not answer.
    """

    def __init__(self, state: State, run_id: str) -> None:
        self._state = state
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.run_id!r})"

    @property
    def status(self) -> RunStatus:
        """Where the run stands now."""
        with our_errors(self.run_id, self._state.settings.redis_url):
            status, schema = cast(
                "list[bytes | None]", self._state.client.hmget(self._key("run"), "status", "schema")
            )
        if status is None or schema is None:
            header = self._header()  # tells one that is gone from a damaged or a new one
            status, schema = header.get("status"), header.get("schema")
        if status is None or schema is None:
            raise CorruptRunError(self.run_id, "its header has no status")
        return status_of(self.run_id, status, schema)

    @property
    def summary(self) -> RunSummary:
        """What lists show of the run."""
        return summary_of(self.run_id, self._header())

    @property
    def store(self) -> StoreReader:
        """The committed values of the run's store."""
        return StoreReader(RedisSource(self._state, self.run_id))

    @property
    def plan(self) -> Plan:
        """The plan as it is now. Reads all of it."""
        return self.result().plan

    def result(self) -> RunResult:
        """Return how the run stands now, whether it has ended or not."""
        header, fields = RedisSource(self._state, self.run_id).plan()
        summary = summary_of(self.run_id, header)
        with readable(self.run_id, "header"):
            ledger = Ledger(self.run_id, fields, int(header.get("planned", 0)), self.journal)
            plan = plan_of(self.run_id, int(header["revision"]), fields, summary.status, ledger)
            failed = header.get("failed", b"").decode()
            error = summary.error and failure_with_place(summary.error, plan, failed)
            is_small = int(header["bytes"]) <= _SNAPSHOT_BYTES
        store = self._snapshot() if is_small else self.store
        return RunResult(
            run_id=self.run_id,
            status=summary.status,
            plan=plan,
            store=store,
            error=error,
            bail_reason=summary.bail_reason,
            duration=summary.duration,
            compensated=summary.compensated,
        )

    def wait(self, timeout: Duration | None = None) -> RunResult:
        """Wait until the run has ended and return its result; a failed run raises nothing.

        Waiting holds no worker, and outlasts a restart of the server. Safe to repeat, by any number
        of waiters.

        Raises:
            RunTimeoutError: *timeout* seconds have passed; the run goes on.
        """
        reached = False
        for _ in self.changes(timeout):
            try:
                if self.status.is_terminal:
                    return self.result()
                reached = True
            except StoreUnavailableError:
                if not reached:
                    raise
        raise AssertionError("changes end with a time-out alone")

    def journal(self, after: int = 0) -> list[JournalEntry]:
        """Return the history of the run, from behind entry *after* on.

        A run keeps its last ``GOSTAGE_MAX_JOURNAL`` entries or so; without *after* the first one
        that is kept comes first, whatever its ``sequence``.

        Raises:
            HistoryLostError: what came right behind entry *after* is not kept any more.
        """
        entries = read_journal(self._state, self.run_id, after)
        if not entries:
            self._header()
        return entries

    def watch(self, after: int = 0, timeout: Duration | None = None) -> Iterator[JournalEntry]:
        """Yield the history of the run as it grows, until the run has ended.

        Resumable: give the last ``sequence`` that was seen as *after*.

        Raises:
            RunTimeoutError: *timeout* seconds have passed; the run goes on.
            HistoryLostError: what comes next is not kept any more, as for :meth:`journal`.
        """
        reached = False
        for _ in self.changes(timeout):
            try:
                ended, entries = self.status.is_terminal, self.journal(after)
                reached = True
            except StoreUnavailableError:
                if not reached:
                    raise
                continue
            for entry in entries:
                after = entry.sequence
                yield entry
            if ended:
                return

    def messages(
        self, follow: bool = False, *, after: int = 0, timeout: Duration | None = None
    ) -> Iterator[Message]:
        """Yield what the actions of the run have sent, in order; those of child runs too.

        Resumable: give the last ``context.sequence`` that was seen as *after*.

        Args:
            follow: go on as more are sent, until the run has ended; outlasts a restart of the
                server.
            after: begin behind this message.
            timeout: of *follow*, in seconds.

        Raises:
            RunTimeoutError: *timeout* seconds have passed; the run goes on.
        """
        if not follow:
            self.status  # noqa: B018 - reading it is the check that there is such a run
            yield from read_messages(self._state, self.run_id, after)
            return
        reached = False
        for _ in self.changes(timeout):
            try:
                ended = self.status.is_terminal
                reached = True
                for message in read_messages(self._state, self.run_id, after):
                    after = message.context.sequence
                    yield message
            except StoreUnavailableError:
                if not reached:
                    raise
                continue
            if ended:
                return

    def changes(self, timeout: Duration | None = None) -> Iterator[None]:
        """Yield at once, and then whenever something of the run may have changed, without end.

        Raises:
            RunTimeoutError: *timeout* seconds have passed; the run goes on.
        """
        limit = math.inf if timeout is None else seconds(timeout)
        machine = self._state.machine
        ends = machine.monotonic() + limit
        url = self._state.settings.redis_url
        with our_errors(self.run_id, url), cast("Any", self._state.client).pubsub() as notices:
            notices.subscribe(self._key("events"))
            while True:
                yield
                left = ends - machine.monotonic()
                if left <= 0:
                    raise RunTimeoutError(self.run_id, f"has not ended within {limit:g} s")
                _next_notice(notices, min(left, machine.patience))

    def _snapshot(self) -> StoreReader:
        return StoreReader(_Snapshot(RedisSource(self._state, self.run_id).dump()))

    def _header(self) -> dict[str, bytes]:
        with our_errors(self.run_id, self._state.settings.redis_url):
            header = texts_of(
                cast("dict[bytes, bytes]", self._state.client.hgetall(self._key("run")))
            )
        if not header:
            raise RunNotFoundError(self.run_id)
        return self._state.vault.header(self.run_id, header)

    def _key(self, name: str) -> str:
        return self._state.keys.of(name, self.run_id)


class _Snapshot:
    """Values that were read at one time."""

    def __init__(self, values: dict[str, Stored]) -> None:
        self._values = values

    def read(self, names: Sequence[str]) -> list[Stored]:
        return [self._values.get(name, Stored(None)) for name in names]

    def dump(self) -> dict[str, Stored]:
        return dict(self._values)


def _next_notice(notices: redis.client.PubSub, wait: float) -> None:
    """Wait for a notice and take all that are there; a lost connection is one as well."""
    try:
        if notices.get_message(timeout=wait):
            while notices.get_message(timeout=0):
                pass
    except (redis.ConnectionError, redis.TimeoutError):
        time.sleep(min(wait, 0.2))
