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
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.registry import registry
from gostage_core.authoring.retry import Retry, decide
from gostage_core.context import ActionContext, AttemptLostError, BailSignal, View
from gostage_core.errors import (
    ActionTimeoutError,
    CorruptRunError,
    DuplicateStageError,
    GostageError,
    InvalidActionError,
    StoreTypeError,
    StoreUnavailableError,
    UnknownActionError,
)
from gostage_core.failure import failure_of
from gostage_core.plan import (
    Entry,
    added_action_arguments,
    check_plan_size,
    stage_arguments,
)
from gostage_core.source import RedisSource
from gostage_core.state.keys import RUN_ID
from gostage_core.state.operations import NOTHING, Claim, Next
from gostage_core.store import AttemptStore, stored_type
from gostage_core.timeout import OvertimeSignal, giving_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.authoring.action import Action
    from gostage_core.failure import Failure
    from gostage_core.state.operations import Answer, State, Stored
    from gostage_core.timeout import Guard

logger: Final = logging.getLogger(__name__)

_UNKNOWN_DELAY: Final = 1.0
"""How long an action that this worker does not know is left to others at first, in seconds."""

_LONGEST_LABEL: Final = 18
"""Digits in the label of a message: more than any plan has entries for."""


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
        Whatever the message names, and however damaged the run is: this does not raise because of
        it.
        """
        self._reached(Moment.BEFORE_CLAIM)
        if not _names_an_entry(run_id, label):
            return Ended("gone")
        try:
            return self._attempt(run_id, label, mark, have)
        except CorruptRunError as error:
            logger.error("%s; it is left alone", error)
            return Ended("damaged")

    def _attempt(self, run_id: str, label: str, mark: str, have: str) -> Ended:
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
        try:
            ended = self._work_if_sound(claim, have)
        except Exception:
            # It runs nowhere any more, and its process lives: only the rescuer can see that.
            self._patiently(partial(self._state.abandon, claim, self._place.process, slot))
            raise
        self._reached(Moment.COMMITTED)
        return ended

    def _work_if_sound(self, claim: Claim, have: str) -> Ended:
        """Work; or end a run whose record is too damaged for it, while it can still be ended."""
        try:
            return self._work(claim, have)
        except CorruptRunError as error:
            return Ended(self._patiently(partial(end_unreadable, self._state, claim, error)))

    def _work(self, claim: Claim, have: str) -> Ended:
        entry = entry_of(claim)
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
            return self._commit(attempt, None, have, bail=signal)
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
        ended = self._commit(attempt, value, have)
        # Where its timeout ended it, another thread was told what comes next, and has not sent it.
        return attempt.given_up or ended

    def _execute(self, action: Action, attempt: _Attempt) -> Any:
        with self._place.guard(attempt.entry.timeout, lambda: self._give_up(attempt)):
            value = action.execute(attempt.context)
            if inspect.iscoroutine(value):
                value = _in_loop(value)
        return value

    def _commit(
        self, attempt: _Attempt, value: Any, have: str, bail: BailSignal | None = None
    ) -> Ended:
        entry, store = attempt.entry, attempt.context.store
        try:
            if entry.store_as is not None and not bail:
                store.put(entry.store_as, value)
            parts = {
                "bail": json.dumps({"reason": bail.reason or "bailed"}) if bail else "",
                "changes": store.arguments(),
                **_added_parts(attempt, self._state.settings.max_plan_bytes),
            }
        except Exception as error:  # noqa: BLE001 - made of what a body left, which may be anything
            return self._fail(attempt, error)
        answer = self._patiently(
            lambda: self._state.commit(attempt.claim, have=have, order=entry.order, **parts)
        )
        if answer.word == "refused":
            misfit = self._patiently(lambda: _misfit(self._state, attempt.claim, answer))
            return self._fail(attempt, misfit)
        if answer.word == "duplicate":
            return self._fail(attempt, DuplicateStageError(answer.details[0]))
        return Ended(answer.word, answer.next)

    def _fail(self, attempt: _Attempt, error: BaseException) -> Ended:
        entry, claim = attempt.entry, attempt.claim
        failure = _failure_at(entry, claim, error)
        delay = next_try(entry, error, claim.fails + 1)
        answer = self._patiently(lambda: report_failure(self._state, claim, entry, failure, delay))
        return Ended(answer.word, answer.next)

    def _give_up(self, attempt: _Attempt) -> None:
        attempt.context.give_up()
        attempt.given_up = self._fail(attempt, _overtime(attempt.entry))

    def _leave(self, claim: Claim, error: GostageError) -> Ended:
        logger.warning("run %s: left to a worker that agrees: %s", claim.run_id, error)
        return self._release(claim, _UNKNOWN_DELAY, str(error))

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


class _Patient:
    """Reads of a run's parts that wait for a server that is away."""

    def __init__(self, source: RedisSource, patiently: Callable[[Callable[[], Any]], Any]) -> None:
        self._source = source
        self._patiently = patiently

    def read(self, names: Sequence[str]) -> list[Stored]:
        found: list[Stored] = self._patiently(lambda: self._source.read(names))
        return found

    def dump(self) -> dict[str, Stored]:
        found: dict[str, Stored] = self._patiently(self._source.dump)
        return found

    def describe(self, stage_id: str) -> tuple[View, View]:
        found: tuple[View, View] = self._patiently(lambda: self._source.describe(stage_id))
        return found

    def deadline_ms(self) -> int | None:
        found: int | None = self._patiently(self._source.deadline_ms)
        return found

    def has_stage(self, stage_id: str) -> bool:
        return bool(self._patiently(lambda: self._source.has_stage(stage_id)))


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
        self.given_up: Ended | None = None
        self._source = _Patient(RedisSource(state, claim.run_id), patiently)
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
                shared=claim.shared,
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
        return bool(self._patiently(lambda: self._state.control(self.claim, progress)) == "go")

    def checkpoint(self, store: AttemptStore) -> None:
        """Write the store's changes under this attempt's token."""
        nonce = _nonce()
        changes = store.arguments()
        answer = self._patiently(
            lambda: self._state.checkpoint(self.claim, nonce=nonce, changes=changes)
        )
        if answer.word == "refused":
            raise self._patiently(lambda: _misfit(self._state, self.claim, answer))
        if answer.word != "written":
            raise AttemptLostError
        store.settled()


def next_try(entry: Entry, error: BaseException, fails: int) -> float | None:
    """Return the seconds until the next try at *entry*, or ``None`` when there is none."""
    try:
        policy = Retry.model_validate(entry.retry) if entry.retry else None
    except ValueError:  # a damaged record; the failure stands without it
        policy = None
    return decide(policy, error, fails, random.random())  # noqa: S311 - spreads retries, no secret


def entry_of(claim: Claim) -> Entry:
    """Return what the claimed action is.

    Raises:
        CorruptRunError: its text in the plan is not one of ours.
    """
    try:
        entry = Entry.from_spec(claim.spec)
        if not (isinstance(entry.params, dict) and entry.order.isdigit()):
            raise TypeError("a field of another type")
        texts = (entry.action, entry.name, entry.stage, entry.on_error)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a field of another type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        detail = f"what entry {claim.entry} of its plan is cannot be read ({error!r:.200})"
        raise CorruptRunError(claim.run_id, detail) from error
    return entry


def end_unreadable(state: State, claim: Claim, error: CorruptRunError) -> str:
    """End an attempt at what is damaged, and with it the run; return the answer's word.

    Raises:
        CorruptRunError: what is damaged is needed for that too.
    """
    failure = failure_of(error, attempt=claim.attempt)
    answer = state.fail(
        claim, delay=None, policy="fail", failure=failure.to_json(), details=failure.summary()
    )
    return answer.word


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
    return _failure_at(entry, claim, error), next_try(entry, error, claim.fails + 1)


def _misfit(state: State, claim: Claim, answer: Answer) -> StoreTypeError:
    key, kind = answer.details
    return StoreTypeError(key, _WANTED[kind], stored_type(state.read(claim.run_id, [key])[0]))


def _failure_at(entry: Entry, claim: Claim, error: BaseException) -> Failure:
    path = f"{entry.stage}/{entry.name}"
    return failure_of(error, path=path, action=entry.action, attempt=claim.attempt)


def _overtime(entry: Entry) -> ActionTimeoutError:
    return ActionTimeoutError(f"not done within its timeout of {entry.timeout:g} s")


def _added_parts(attempt: _Attempt, limit: int) -> dict[str, Any]:
    added, entry = attempt.context.additions, attempt.entry
    if not added:
        return {"details": "null", "actions": (0,), "stages": (0,)}
    actions = added_action_arguments(added.actions, entry)
    stages = stage_arguments(added.stages)
    check_plan_size(f"what {entry.name!r} adds to the plan", [*actions, *stages], limit)
    return {"details": _added_details(attempt), "actions": actions, "stages": stages}


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


def _names_an_entry(run_id: object, label: object) -> bool:
    """Whether a message can be one of ours: others may have put anything into it."""
    return (
        isinstance(run_id, str)
        and isinstance(label, str)
        and RUN_ID.fullmatch(run_id) is not None
        and label.isdecimal()
        and len(label) <= _LONGEST_LABEL
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
