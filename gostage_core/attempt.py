"""One attempt at one action: claim, execute, commit. Plain Python; the worker only calls it."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.middleware import built
from gostage_core.authoring.registry import registry
from gostage_core.authoring.waits import (
    ChildRun,
    Delivery,
    Group,
    HookReport,
    SignalWait,
    Timer,
)
from gostage_core.closing import REFUSALS, refuse_changes, report_of, undo_of, waits_already
from gostage_core.composition.composite import Composite
from gostage_core.errors import (
    CorruptRunError,
    GostageError,
    InvalidActionError,
    SealedValueError,
    StoreError,
    StoreUnavailableError,
    UnknownActionError,
    UnknownMiddlewareError,
)
from gostage_core.failure import Failure  # noqa: TC001 - pydantic reads it with Ended
from gostage_core.leaving import AttemptLostError, BailSignal
from gostage_core.middleware.hooks import Hook
from gostage_core.onion import limited, wrapped
from gostage_core.plan import check_plan_size
from gostage_core.planning.changes import change_arguments
from gostage_core.port import AttemptPort
from gostage_core.resources import NoResources
from gostage_core.sealing.texts import release_text
from gostage_core.source import RedisSource
from gostage_core.state.answers import NOTHING, Claim, CommitParts, Next
from gostage_core.state.keys import RUN_ID
from gostage_core.store import encoded_result
from gostage_core.timeout import OvertimeSignal, giving_up
from gostage_core.tracing.current import tracer
from gostage_core.verdict import (
    Limit,
    end_unreadable,
    entry_of,
    failure_at,
    missed_wait,
    next_try,
    report_failure,
)
from gostage_core.waiting import waiting_arguments
from gostage_core.whereabouts import at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from gostage_core.authoring.action import Action
    from gostage_core.authoring.middleware import Middleware
    from gostage_core.authoring.waits import Wait
    from gostage_core.entry import Entry
    from gostage_core.resources import Resources
    from gostage_core.state.answers import Answer
    from gostage_core.state.operations import State
    from gostage_core.timeout import Guard

    Isolate = Callable[[Claim, Entry, str], "Ended"]

logger: Final = logging.getLogger(__name__)

_NONE: Final = (0,)
"""No changes of the store, as the scripts read them."""

_UNKNOWN_DELAY: Final = 1.0
"""How long an action that this worker does not know is left to others at first, in seconds."""

_TAKEN_AWAY: Final = frozenset({"gone", "fenced"})
"""What an attempt is told at its end that nobody waits for: its slot is on the books still."""

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
    failure: Failure | None = None
    """What it failed with."""


def _this_thread() -> str:
    return str(threading.get_ident())


def _nowhere(*_args: object, **_options: object) -> None:
    raise GostageError("no Celery app is at hand here to publish another task through")


@dataclass(frozen=True, slots=True)
class Place:
    """Where attempts are executed: the process whose heartbeat is their lease, and its limits."""

    process: str
    guard: Guard = giving_up
    stopping: Callable[[], bool] = lambda: False
    resources: Callable[[], AbstractContextManager[Resources]] = lambda: nullcontext(NoResources())
    """Opens what a body may use of the worker's resources, and closes it behind the body."""
    publish: Callable[..., None] = _nowhere
    """Publishes a message of another Celery task, as ``Celery.send_task`` does."""
    isolate: Isolate | None = None
    """Does an attempt in a process of its own; ``None`` in such a process."""
    slot: Callable[[], str] = _this_thread
    """Names where in the process an attempt is made: there is one at a time in each slot."""


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
        self._limit = state.settings.max_plan_bytes
        self._most_bytes = state.settings.max_value_bytes

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
        nonce = self._state.machine.token(8)
        slot = self._place.slot()
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
        if ended.word in _TAKEN_AWAY:
            self._leave_slot(claim, slot)
        self._reached(Moment.COMMITTED)
        return ended

    def _leave_slot(self, claim: Claim, slot: str) -> None:
        """Take what was taken away off the books, and nothing else that they have there."""
        process, place = self._place.process, (claim.run_id, claim.entry)
        self._patiently(partial(self._state.lose, *place, process, slot, counted=False))

    def _work_if_sound(self, claim: Claim, have: str) -> Ended:
        """Work; or end a run whose record is too damaged for it, while it can still be ended."""
        try:
            return self._work(claim, have)
        except CorruptRunError as error:
            return Ended(self._patiently(partial(end_unreadable, self._state, claim, error)))

    def _work(self, claim: Claim, have: str) -> Ended:
        try:
            spec = self._state.vault.document(claim.run_id, claim.spec, must=True)
        except SealedValueError as error:
            return self._leave(claim, error)
        claim = replace(claim, spec=spec)
        entry = entry_of(claim)
        found = tracer()
        if found is None:
            return self._begin(claim, entry, have)
        origin = self._patiently(RedisSource(self._state, claim.run_id).origin)
        return found.attempt(claim, entry, origin, lambda: self._begin(claim, entry, have))

    def _begin(self, claim: Claim, entry: Entry, have: str) -> Ended:
        with at(_whereabouts(claim, entry)):
            if entry.isolation == "process" and self._place.isolate is not None:
                return self._elsewhere(self._place.isolate, self._port(claim, entry), have)
            return self.work(claim, entry, have)

    def _elsewhere(self, isolate: Isolate, port: AttemptPort, have: str) -> Ended:
        """Have the attempt done in a process of its own, which ends it unless it dies."""
        try:
            return isolate(port.claim, port.entry, have)
        except AttemptLostError:
            return Ended("fenced")
        except (KeyboardInterrupt, SystemExit) as error:
            return self._interrupted(port, error)
        except Exception as error:  # noqa: BLE001 - the death of that process is the attempt's failure
            return self._fail(port, error)

    def work(self, claim: Claim, entry: Entry, have: str) -> Ended:
        """Do the attempt that *claim* is the lease of, in this process."""
        try:
            action = registry.build(entry.action, entry.params)
            around = built(entry.around)
        except (UnknownActionError, InvalidActionError, UnknownMiddlewareError) as error:
            return self._leave(claim, error)
        return self._conclude(action, around, self._port(claim, entry), have)

    def _port(self, claim: Claim, entry: Entry) -> AttemptPort:
        return AttemptPort(
            self._state, claim, entry, patiently=self._patiently, publish=self._place.publish
        )

    def _conclude(
        self, action: Action, around: Sequence[Middleware], port: AttemptPort, have: str
    ) -> Ended:
        context, limit = port.context, Limit.of_try(port.entry.timeout)
        given_up: list[Ended] = []

        def give_up() -> None:
            context.give_up()
            given_up.append(self._fail(port, limit.error))

        try:
            with self._place.resources() as context.resources:
                limit = Limit.of_try(limited(around, context, port.entry.timeout))
                limit = limit.within(port.entry.deadline, port.claim.left)
                with self._place.guard(limit.seconds, give_up):
                    value = wrapped(around, context, partial(action.execute, context))
                if given_up:
                    raise limit.error  # its resources keep nothing of it either
        except AttemptLostError:
            return Ended("fenced")
        except BailSignal as signal:
            return self._commit(port, None, have, bail=signal)
        except OvertimeSignal:
            return self._fail(port, limit.error)
        except (KeyboardInterrupt, SystemExit) as error:
            return self._interrupted(port, error)
        except BaseException as error:  # noqa: BLE001 - whatever a body raises is its failure, not the worker's
            # Where its timeout ended it, another thread was told what is next, and sent nothing.
            return given_up[0] if given_up else self._fail(port, error)
        self._reached(Moment.BODY_DONE)
        if context.asked and isinstance(value, SignalWait) and isinstance(action, Composite | Hook):
            return self._fail(port, waits_already(port.entry.name, value.name))
        return self._end(port, value, have)

    def _end(self, port: AttemptPort, value: Any, have: str) -> Ended:
        if isinstance(value, Group | ChildRun | Delivery | Timer | SignalWait):
            return self._wait(port, value)
        return self._commit(port, value, have)

    def _wait(self, port: AttemptPort, wait: Wait) -> Ended:
        try:
            parts = waiting_arguments(wait, port.claim, port.entry, self._state.settings)
            check_plan_size(f"what {port.entry.name!r} waits for", parts, self._limit)
            changes: Sequence[object] = _NONE  # a body begins from the top when its signal has come
            if not isinstance(wait, SignalWait):
                refuse_changes(port)
                changes = port.context.store.arguments()
        except Exception as error:  # noqa: BLE001 - made of what a body left, which may be anything
            return self._fail(port, error)
        return self._ended(port, lambda: self._state.wait(port.claim, changes=changes, parts=parts))

    def _commit(
        self, port: AttemptPort, value: Any, have: str, bail: BailSignal | None = None
    ) -> Ended:
        try:
            parts = self._parts(port, value, bail)
        except Exception as error:  # noqa: BLE001 - made of what a body left, which may be anything
            return self._fail(port, error)
        return self._ended(port, lambda: self._state.commit(port.claim, have=have, parts=parts))

    def _parts(self, port: AttemptPort, value: Any, bail: BailSignal | None) -> CommitParts:
        entry, store = port.entry, port.context.store
        if entry.store_as is not None and not bail:
            store.put(entry.store_as, value)
        collects = entry.collect and not bail
        return CommitParts(
            changes=store.arguments(),
            bail=json.dumps({"reason": bail.reason or "bailed"}) if bail else "",
            value=encoded_result(entry.name, value, self._most_bytes) if collects else b"",
            undo=undo_of(entry),
            report=report_of(value) if isinstance(value, HookReport) else (),
            planned=change_arguments(port, self._limit),
        )

    def _ended(self, port: AttemptPort, end: Callable[[], Answer]) -> Ended:
        """Have the server *end* the attempt; what cannot be sent or is refused is its failure."""
        try:
            answer = self._patiently(end)
        except StoreError as error:
            return self._fail(port, error)
        if answer.word in ("refused", "full"):
            return self._fail(port, port.misfit(answer))
        if answer.word in REFUSALS:
            return self._fail(port, REFUSALS[answer.word](port, answer.details))
        return Ended(answer.word, answer.next)

    def _fail(self, port: AttemptPort, error: BaseException) -> Ended:
        entry, claim = port.entry, port.claim
        failure = failure_at(entry, claim, error)
        delay = next_try(entry, error, claim.fails + 1, self._state.machine.random())
        missed = missed_wait(error)
        answer = self._patiently(
            lambda: report_failure(self._state, claim, entry, failure, delay, missed)
        )
        return Ended(answer.word, answer.next, failure)

    def _interrupted(self, port: AttemptPort, error: KeyboardInterrupt | SystemExit) -> Ended:
        """Give the attempt back where the worker is ending; else its body asked for an end."""
        if not self._place.stopping():
            return self._fail(port, error)
        self._release(port.claim, 0.0, "the worker is stopping")
        raise error

    def _leave(self, claim: Claim, error: GostageError) -> Ended:
        logger.warning("run %s: left to a worker that agrees: %s", claim.run_id, error)
        is_ours = not isinstance(error, InvalidActionError)  # that one has words of validators
        return self._release(claim, _UNKNOWN_DELAY, str(error), is_ours=is_ours)

    def _release(self, claim: Claim, delay: float, reason: str, *, is_ours: bool = True) -> Ended:
        details = release_text(reason[:2000], self._place.process, is_ours=is_ours)
        answer = self._patiently(lambda: self._state.release(claim, delay=delay, reason=details))
        return Ended(answer.word, answer.next)

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Ask again until the server answers: a restart of Redis is waited for, not failed."""
        machine, pause = self._state.machine, 0.05
        while True:
            try:
                return call()
            except StoreUnavailableError:
                if self._place.stopping():
                    raise
                logger.warning("the Redis server does not answer; asking again in %.2f s", pause)
                machine.sleep(pause * (1 + machine.random()))
                pause = min(pause * 2, 1.0)


def _whereabouts(claim: Claim, entry: Entry) -> dict[str, object]:
    """Return what log records say of the attempt."""
    return {
        "run": claim.run_id,
        "stage": entry.stage,
        "action": entry.name,
        "attempt": claim.attempt,
    }


def _names_an_entry(run_id: object, label: object) -> bool:
    """Whether a message can be one of ours: others may have put anything into it."""
    return (
        isinstance(run_id, str)
        and isinstance(label, str)
        and RUN_ID.fullmatch(run_id) is not None
        and label.isdecimal()
        and len(label) <= _LONGEST_LABEL
    )
