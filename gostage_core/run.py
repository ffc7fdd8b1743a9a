"""The handle of one run: ask how it stands, wait for it, watch it, ask it to end."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, Final, cast

import redis

from gostage_core.damage import readable
from gostage_core.duration import seconds
from gostage_core.edit import OPERATOR, Edit, left_to_workers
from gostage_core.errors import (
    CorruptRunError,
    RunNotFoundError,
    RunStateError,
    RunTimeoutError,
    StoreUnavailableError,
)
from gostage_core.journal import JournalEntry
from gostage_core.ledger import Ledger
from gostage_core.mailbox import read_messages
from gostage_core.result import RunResult, failure_with_place, plan_of
from gostage_core.source import RedisSource, texts_of
from gostage_core.state.client import our_errors
from gostage_core.state.operations import Stored
from gostage_core.store import StoreReader
from gostage_core.summary import status_of, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from gostage_core.duration import Duration
    from gostage_core.edit import Send
    from gostage_core.messages import Message
    from gostage_core.planning.plan_edit import PlanEdit
    from gostage_core.result import Plan
    from gostage_core.state.operations import State
    from gostage_core.status import RunStatus
    from gostage_core.summary import RunSummary

_LOOK_EVERY_SECONDS: Final = 1.0
"""How often a waiter looks by itself, should the notice of a change be lost."""
_SNAPSHOT_BYTES: Final = 4 * 1024 * 1024
"""A store of at most so many bytes is read with a result, and stays readable without the server."""


class Run:
    """One run. Holds no state of its own: each answer is read when it is asked for.

    Raises (every method):
        RunNotFoundError: no such run.
        StoreUnavailableError: the server does not answer.
    """

    def __init__(self, state: State, run_id: str, send: Send = left_to_workers) -> None:
        self._state = state
        self._send = send
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"Run({self.run_id!r})"

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
        """Return the history of the run, from behind entry *after* on."""
        with our_errors(self.run_id, self._state.settings.redis_url):
            texts = cast("list[bytes]", self._state.client.lrange(self._key("journal"), after, -1))
        if not texts:
            self._header()
        with readable(self.run_id, "journal"):
            return [
                JournalEntry.from_text(after + i, text) for i, text in enumerate(texts, start=1)
            ]

    def watch(self, after: int = 0, timeout: Duration | None = None) -> Iterator[JournalEntry]:
        """Yield the history of the run as it grows, until the run has ended.

        Resumable: give the last ``sequence`` that was seen as *after*.

        Raises:
            RunTimeoutError: *timeout* seconds have passed; the run goes on.
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
        ends = time.monotonic() + limit
        url = self._state.settings.redis_url
        with our_errors(self.run_id, url), cast("Any", self._state.client).pubsub() as notices:
            notices.subscribe(self._key("events"))
            while True:
                yield
                left = ends - time.monotonic()
                if left <= 0:
                    raise RunTimeoutError(self.run_id, f"has not ended within {limit:g} s")
                _next_notice(notices, min(left, _LOOK_EVERY_SECONDS))

    def cancel(self, reason: str = "", *, actor: str = "operator") -> None:
        """Ask the run to end as ``cancelled``: nothing more of it begins.

        Actions that run are told through ``ctx.cancelled``; the run ends with the last of them.
        Safe to repeat.

        Raises:
            RunStateError: the run has ended otherwise.
        """
        answer = self._state.halt(self.run_id, "cancelled", _why(actor, reason))
        if answer.word == "gone":
            raise RunNotFoundError(self.run_id)
        if answer.word == "ended" and answer.details[0] != "cancelled":
            raise RunStateError(
                self.run_id, f"is {answer.details[0]} already; it cannot be cancelled"
            )

    def edit(self, reason: str, *, actor: str = OPERATOR) -> AbstractContextManager[PlanEdit]:
        """Change the plan of the run: ``with run.edit(reason="…", actor="ana") as plan:``.

        The plan is read when the block begins. What is changed in it is applied when the block
        ends: all of it or nothing, as one revision. Changes reach what has not begun. An exception
        in the block applies nothing. To repeat after a PlanConflictError, begin a new block.

        Args:
            reason: kept in the run's journal.
            actor: who does it, likewise.

        Raises:
            PlanConflictError: the run has moved on since the plan was read.
            RunStateError: the run has ended.
            PlanError: a change that the plan refuses: StageFinishedError, PlanLimitError and so on.
            ValueError: there is no *reason*.
        """
        edit = Edit(self._state, self._send, self.run_id, reason=reason, actor=actor)
        return edit.block()

    def _snapshot(self) -> StoreReader:
        return StoreReader(_Snapshot(RedisSource(self._state, self.run_id).dump()))

    def _header(self) -> dict[str, bytes]:
        with our_errors(self.run_id, self._state.settings.redis_url):
            header = texts_of(
                cast("dict[bytes, bytes]", self._state.client.hgetall(self._key("run")))
            )
        if not header:
            raise RunNotFoundError(self.run_id)
        return header

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


def _why(actor: str, reason: str) -> str:
    """Who asked a run to end, and why, as the JSON that is kept."""
    return json.dumps({"actor": actor, "reason": reason[:2000]}, separators=(",", ":"))
