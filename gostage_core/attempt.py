"""One attempt at one action: claim, execute, commit. Plain Python; the worker only calls it."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.registry import registry
from gostage_core.authoring.retry import Retry, decide
from gostage_core.context import ActionContext, AttemptLostError, BailSignal, View
from gostage_core.errors import (
    ActionTimeoutError,
    DuplicateStageError,
    GostageError,
    InvalidActionError,
    StoreTypeError,
    StoreUnavailableError,
    UnknownActionError,
)
from gostage_core.failure import failure_of
from gostage_core.plan import Entry, added_action_arguments, stage_arguments
from gostage_core.source import RedisSource
from gostage_core.state.operations import NOTHING, Claim, Next
from gostage_core.store import AttemptStore, stored_type
from gostage_core.timeout import OvertimeSignal, giving_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core.authoring.action import Action
    from gostage_core.failure import Failure
    from gostage_core.state.operations import Answer, State
    from gostage_core.timeout import Guard

logger: Final = logging.getLogger(__name__)

_UNKNOWN_DELAYS: Final = (1.0, 2.0, 5.0)
"""How long an action that this worker does not know is left to others, in seconds."""


class Moment(StrEnum):
    """The points between which an attempt may die; tests make it die at each."""

    BEFORE_CLAIM = "before claim"
    CLAIMED = "claimed"
    BODY_DONE = "body done"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt went, and what the run goes on with.

    ``word`` is the answer of the operation that ended it; a word of the claim when there was none.
    """

    word: str
    next: Next = NOTHING


@dataclass(frozen=True, slots=True)
class Place:
    """Where attempts are executed: the process whose heartbeat is their lease, and its limits."""

    process: str
    guard: Guard = giving_up
    stopping: Callable[[], bool] = lambda: False


class Executor:
    """Executes attempts of one namespace. Safe to share between threads."""

    def __init__(
        self,
        state: State,
        place: Place,
        *,
        reached: Callable[[Moment], None] = lambda _moment: None,
    ) -> None:
        self._state = state
        self._place = place
        self._reached = reached

    def attempt(self, run_id: str, label: str, *, mark: str = "", have: str = "") -> Ended:
        """Do what the message for *label* hints at, if it is still to be done.

        *mark* is the queue that the message came through in order, *have* the entry with which the
        chain at hand goes on. Safe to call twice for one message: at most one attempt commits.
        """
        self._reached(Moment.BEFORE_CLAIM)
        nonce = _nonce()
        slot = str(threading.get_ident())
        claim = self._patiently(
            lambda: self._state.claim(
                run_id, label, nonce=nonce, process=self._place.process, slot=slot, mark=mark
            )
        )
        if isinstance(claim, str):
            return Ended(claim)
        self._reached(Moment.CLAIMED)
        ended = self._work(claim, have)
        self._reached(Moment.COMMITTED)
        return ended

    def _work(self, claim: Claim, have: str) -> Ended:
        entry = Entry.from_spec(claim.spec)
        try:
            action = registry.build(entry.action, entry.params)
        except (UnknownActionError, InvalidActionError) as error:
            return self._leave(claim, error)
        attempt = _Attempt(self._state, claim, entry, self._patiently)
        try:
            value = self._execute(action, attempt)
        except AttemptLostError:
            return Ended("fenced")
        except BailSignal as signal:
            return self._commit(attempt, None, have, bail=signal.reason or "bailed")
        except OvertimeSignal:
            return self._fail(attempt, _overtime(entry))
        except (KeyboardInterrupt, SystemExit) as error:
            if self._place.stopping():
                self._release(claim, 0.0, "the worker is stopping")
                raise
            return self._fail(attempt, error)
        except BaseException as error:  # noqa: BLE001 - whatever a body raises is its failure, not the worker's
            return self._fail(attempt, error)
        self._reached(Moment.BODY_DONE)
        return self._commit(attempt, value, have)

    def _execute(self, action: Action, attempt: _Attempt) -> Any:
        with self._place.guard(attempt.entry.timeout, lambda: self._give_up(attempt)):
            value = action.execute(attempt.context)
            if inspect.iscoroutine(value):
                value = _in_loop(value)
        return value

    def _commit(self, attempt: _Attempt, value: Any, have: str, bail: str = "") -> Ended:
        entry, context = attempt.entry, attempt.context
        try:
            if entry.store_as is not None and not bail:
                context.store.put(entry.store_as, value)
            changes = context.store.arguments()
        except GostageError as error:
            return self._fail(attempt, error)
        added = context.additions
        answer = self._patiently(
            lambda: self._state.commit(
                attempt.claim,
                have=have,
                order=entry.order,
                bail=json.dumps({"reason": bail}) if bail else "",
                details=_added_details(attempt) if added else "null",
                changes=changes,
                actions=added_action_arguments(added.actions, entry) if added.actions else (0,),
                stages=stage_arguments(added.stages) if added.stages else (0,),
            )
        )
        if answer.word == "refused":
            return self._fail(attempt, _misfit(self._state, attempt.claim, answer))
        if answer.word == "duplicate":
            return self._fail(attempt, DuplicateStageError(answer.details[0]))
        return Ended(answer.word, answer.next)

    def _fail(self, attempt: _Attempt, error: BaseException) -> Ended:
        entry, claim = attempt.entry, attempt.claim
        failure = failure_of(
            error, path=f"{entry.stage}/{entry.name}", action=entry.action, attempt=claim.attempt
        )
        delay = next_try(entry, error, claim.fails + 1)
        answer = self._patiently(lambda: report_failure(self._state, claim, entry, failure, delay))
        return Ended(answer.word, answer.next)

    def _give_up(self, attempt: _Attempt) -> None:
        attempt.context.give_up()
        self._fail(attempt, _overtime(attempt.entry))

    def _leave(self, claim: Claim, error: GostageError) -> Ended:
        delay = _UNKNOWN_DELAYS[min(claim.attempt, len(_UNKNOWN_DELAYS)) - 1]
        logger.warning("run %s: left to a worker that agrees: %s", claim.run_id, error)
        return self._release(claim, delay, str(error))

    def _release(self, claim: Claim, delay: float, reason: str) -> Ended:
        details = json.dumps({"released": reason[:2000], "worker": self._place.process})
        answer = self._patiently(lambda: self._state.release(claim, delay=delay, reason=details))
        return Ended(answer.word)

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Ask again until the server answers: a restart of Redis is waited for, not failed."""
        pause = 0.05
        while True:
            try:
                return call()
            except StoreUnavailableError:
                if self._place.stopping():
                    raise
                logger.warning("the Redis server does not answer; asking again in %.2f s", pause)
                time.sleep(pause * (1 + random.random()))  # noqa: S311 - spreads workers, no secret
                pause = min(pause * 2, 1.0)


_WANTED: Final = {"i": "a 64-bit integer", "a": "a list"}


class _Attempt:
    """The port between a body's context and the state."""

    def __init__(
        self,
        state: State,
        claim: Claim,
        entry: Entry,
        patiently: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._state = state
        self._patiently = patiently
        self.claim = claim
        self.entry = entry
        self._source = RedisSource(state, claim.run_id)
        self.context = ActionContext(
            run_id=claim.run_id,
            entry=claim.entry,
            stage_id=entry.stage,
            action=View(entry.action, entry.name, entry.description, entry.tags),
            attempt=claim.attempt,
            store=AttemptStore(
                self._source,
                place=f"{entry.stage}:{entry.order}",
                value_limit=state.settings.max_value_bytes,
                whole=claim.store,
            ),
            port=self,
        )

    def describe(self) -> tuple[View, View]:
        """Read what the workflow and the stage are called."""
        return self._source.describe(self.entry.stage)

    def deadline(self) -> datetime | None:
        """Read the run's deadline."""
        ms = self._source.deadline_ms()
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)

    def has_stage(self, stage_id: str) -> bool:
        """Ask the plan for a stage of this id."""
        return self._source.has_stage(stage_id)

    def may_go_on(self, progress: str = "") -> bool:
        """Ask whether the lease is still ours and the run goes on."""
        return bool(self._state.control(self.claim, progress) == "go")

    def checkpoint(self, store: AttemptStore) -> None:
        """Write the store's changes under this attempt's token."""
        nonce = _nonce()
        changes = store.arguments()
        answer = self._patiently(
            lambda: self._state.checkpoint(self.claim, nonce=nonce, changes=changes)
        )
        if answer.word == "refused":
            raise _misfit(self._state, self.claim, answer)
        if answer.word != "written":
            raise AttemptLostError
        store.settled()


def next_try(entry: Entry, error: BaseException, fails: int) -> float | None:
    """Return the seconds until the next try at *entry*, or ``None`` when there is none."""
    policy = Retry.model_validate(entry.retry) if entry.retry else None
    return decide(policy, error, fails, random.random())  # noqa: S311 - spreads retries, no secret


def report_failure(
    state: State, claim: Claim, entry: Entry, failure: Failure, delay: float | None
) -> Answer:
    """End an attempt as failed, with what its entry says of a last failure."""
    return state.fail(
        claim,
        delay=delay,
        policy=entry.on_error,
        failure=failure.to_json(),
        details=failure.summary(),
    )


def overtime_of(claim: Claim, entry: Entry) -> tuple[Failure, float | None]:
    """Return the failure of an attempt that overran its timeout, and when it is tried again."""
    error = _overtime(entry)
    failure = failure_of(
        error, path=f"{entry.stage}/{entry.name}", action=entry.action, attempt=claim.attempt
    )
    return failure, next_try(entry, error, claim.fails + 1)


def _misfit(state: State, claim: Claim, answer: Answer) -> StoreTypeError:
    key, kind = answer.details
    return StoreTypeError(key, _WANTED[kind], stored_type(state.read(claim.run_id, [key])[0]))


def _overtime(entry: Entry) -> ActionTimeoutError:
    return ActionTimeoutError(f"not done within its timeout of {entry.timeout:g} s")


def _added_details(attempt: _Attempt) -> str:
    added = attempt.context.additions
    return json.dumps(
        {
            "by": f"{attempt.entry.stage}/{attempt.entry.name}",
            "actions": [action.name for action in added.actions],
            "stages": [stage.id for stage in added.stages],
        },
        separators=(",", ":"),
    )


def _nonce() -> str:
    return os.urandom(8).hex()


_loops = threading.local()


def _in_loop(body: Any) -> Any:
    """Run a coroutine on this thread's event loop, which is kept between attempts."""
    loop = getattr(_loops, "loop", None)
    if loop is None or loop.is_closed():
        loop = _loops.loop = asyncio.new_event_loop()
    task = loop.create_task(body)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        _cancel(loop, task)
        raise


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Let an interrupted body run its own clean-up."""
    if not task.done():
        task.cancel()
        loop.run_until_complete(asyncio.wait([task], timeout=1.0))
