"""Keeps every run moving: the work of the dead, timers, messages that were lost."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, cast

from gostage_core.errors import (
    BrokerUnavailableError,
    CorruptRunError,
    CorruptScheduleError,
    SealedValueError,
    StoreUnavailableError,
)
from gostage_core.failure import Failure
from gostage_core.plan import UNDO_STAGE, Carrier, undo_stage
from gostage_core.state.answers import Claim, Ready
from gostage_core.verdict import (
    end_unreadable,
    entry_of,
    overdue_of,
    overtime_of,
    report_failure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gostage_core.state.answers import Answer, Due, Next, Sought
    from gostage_core.state.operations import State

logger: Final = logging.getLogger(__name__)

_LATE_MS: Final = 1_000
"""How much younger than a waiting message one that was taken must be, to call the former lost."""
_BLIND_LOOKS: Final = 4
"""After so many looks a message on a queue of unknown depth is sent again."""
_BATCH: Final = 200
"""How much of each kind is handed out at a time."""
_ROUNDS: Final = 20
"""How often a tick looks again where there was more: thousands may be due at one moment."""
_CORRUPT_PAUSE: Final = 60.0
_ENGINE: Final = '{"actor":"engine"}'
_DEADLINE: Final = Failure(
    "DeadlineExceededError", "the run was not done at its deadline"
).to_json()


def mark_of(queue: str, priority: int | None) -> str:
    """Return the name under which the order of a queue's messages is kept."""
    return f"{queue}:{priority}" if priority else queue


class Messages(Protocol):
    """What the rescuer needs of the coordinator."""

    def send(self, run_id: str, following: Next, *, head: bool = False) -> None:
        """Publish what a run goes on with, at the *head* of the queue where it has waited."""

    def send_again(self, run_id: str, ready: Ready) -> None:
        """Publish one message at the head of its queue."""

    def queue_of(self, carrier: Carrier) -> str:
        """Return the queue that a message with this carrier goes to."""


class Rescuer:
    """What every worker does beside its actions. One thread calls :meth:`tick`, again and again.

    All workers do the same and none leads: an atomic operation hands each piece of work out once,
    and one that dies with it holds it for two seconds at most.
    """

    def __init__(
        self,
        state: State,
        messages: Messages,
        depth: Callable[[str], int | None],
        reply: Callable[[str], None] = lambda _run_id: None,
        fire: Callable[[str], None] = lambda _schedule: None,
    ) -> None:
        self._state = state
        self._messages = messages
        self._depth = depth
        self._reply = reply
        self._fire = fire
        self._judge_from = 0.0
        self._out_of_reach = False
        self._broker_away = False

    def tick(self) -> None:
        """Do what is due. Safe to repeat.

        Raises:
            StoreUnavailableError: the server does not answer. Until one lease after it does again,
                this rescuer calls nobody dead: they could not renew their leases either.
        """
        for _ in range(_ROUNDS):
            if not self._tick_once():
                break

    def _tick_once(self) -> bool:
        """Do what one look finds; tell whether it may not have found all."""
        self._broker_away = False
        judge = not self._out_of_reach and self._state.machine.monotonic() >= self._judge_from
        try:
            due = self._state.tick((), judge=judge, limit=_BATCH)
        except StoreUnavailableError:
            self._out_of_reach = True
            raise
        if self._out_of_reach:
            self._out_of_reach = False
            self._judge_from = self._state.machine.monotonic() + self._state.settings.lease
        self._bury(due)
        self._rouse(due)
        self._look_for(due)
        self._invite(due)
        for run_id in due.expired:
            self._one(partial(self._state.purge, run_id), partial(self._aside, "expiry", run_id))
        for name in due.schedules:  # last: a full server refuses new runs
            self._one(partial(self._fire, name), partial(self._aside, "schedules", name))
        kinds = (due.timers, due.unseen, due.expired, due.throttles, due.schedules)
        return max(map(len, kinds)) >= _BATCH

    def leave(self, processes: Iterable[str]) -> None:
        """Give back at once what *processes*, which are ending in good order, still hold."""
        for process in processes:
            for slot, member in self._state.claims_of(process).items():
                self._lose(process, slot, member, counted=False)
            self._state.end_lease(process)

    def lost(self, process: str) -> None:
        """Take back at once what a process held that is known to have died."""
        for slot, member in self._state.claims_of(process).items():
            self._lose(process, slot, member, counted=True)
        self._state.end_lease(process)

    def give_back(self, process: str, slot: str, member: str) -> None:
        """Take back at once what the books of a living process have, and it is not at."""
        logger.warning("process %s is not at %s; that goes to others", process, member)
        self._lose(process, slot, member, counted=False)

    def _invite(self, due: Due) -> None:
        for key in due.throttles:
            self._one(partial(self._invite_one, key), partial(self._aside, "refill", key))

    def _invite_one(self, key: str) -> None:
        self._go_on("", self._state.invite(key))

    def _bury(self, due: Due) -> None:
        for process, claims in due.dead.items():
            logger.warning(
                "process %s has not renewed its leases; its work goes to others", process
            )
            for slot, member in claims.items():
                self._lose(process, slot, member, counted=True)

    def _lose(self, process: str, slot: str, member: str, *, counted: bool) -> None:
        run_id, space, entry = member.partition(" ")
        if not space:
            self._state.drop_claim(process, slot)  # names nothing: none of ours wrote it
            return

        def take() -> None:
            answer = self._state.lose(run_id, entry, process, slot, counted=counted)
            self._go_on(run_id, answer)

        def aside() -> None:
            self._state.postpone("wake", member, _CORRUPT_PAUSE, known=False)
            self._state.drop_claim(process, slot)

        self._one(take, aside)

    def _rouse(self, due: Due) -> None:
        for run_id, what, *timer in due.timers:
            self._one(
                partial(self._rouse_one, run_id, what, " ".join(timer)),
                partial(self._aside, "wake", " ".join((run_id, what, *timer))),
            )

    def _rouse_one(self, run_id: str, what: str, timer: str) -> None:
        answer, rest = self._state.rouse(run_id, what, timer, _DEADLINE)
        if answer.word == "overtime":
            self._end_overtime(run_id, what, rest)
        elif answer.word == "overdue":
            self._end_overdue(run_id, what, rest)
        elif answer.word == "reply":
            self._reply(run_id)
        elif answer.word == "compensate":
            self._go_on(run_id, self._state.compensate(run_id, UNDO_STAGE, undo_stage(), _ENGINE))
        else:
            self._go_on(run_id, answer)

    def _go_on(self, run_id: str, answer: Answer) -> None:
        """Send what a run goes on with; one refusal of the broker is enough for a tick."""
        if not answer.next.ready or self._broker_away:
            return
        try:
            self._messages.send(run_id, answer.next, head=True)
        except BrokerUnavailableError as error:
            self._broker_away = True
            logger.warning("run %s: sent later: %s", run_id, error)

    def _look_for(self, due: Due) -> None:
        """Look for messages that nobody has taken."""
        waiting: list[Sought] = []
        for run_id, entry in due.unseen:
            self._one(
                partial(self._look_for_one, run_id, entry, waiting),
                partial(self._aside, "sent", f"{run_id} {entry}"),
            )
        if waiting:
            self._find_lost(waiting)

    def _look_for_one(self, run_id: str, entry: str, waiting: list[Sought]) -> None:
        sought = self._state.seek(run_id, entry)
        if sought is not None:
            waiting.append(sought)

    def _find_lost(self, waiting: list[Sought]) -> None:
        """Send again what was lost, and leave alone what only waits its turn.

        A queue is first in, first out. A message is lost when its queue is empty, or when one that
        was sent after it has been taken.
        """
        marks = self._state.marks()
        depths: dict[str, int | None] = {}
        for one in waiting:
            self._one(
                partial(self._find_one, one, marks, depths),
                partial(self._aside, "sent", f"{one.run_id} {one.entry}"),
            )

    def _find_one(self, one: Sought, marks: dict[str, int], depths: dict[str, int | None]) -> None:
        carrier = Carrier.from_text(one.carrier)
        queue = self._messages.queue_of(carrier)
        if queue not in depths:
            depths[queue] = self._depth(queue)
        overtaken = marks.get(mark_of(queue, carrier.priority), 0) > one.sent_at + _LATE_MS
        blind = depths[queue] is None and one.looks >= _BLIND_LOOKS
        if depths[queue] == 0 or overtaken or blind:
            logger.info(
                "run %s: the message of entry %s was lost; sent again", one.run_id, one.entry
            )
            self._send(one.run_id, one.entry, one.carrier)

    def _end_overtime(self, run_id: str, entry_id: str, rest: list[object]) -> None:
        token, spec, attempt, fails = cast("tuple[bytes, bytes, int, int]", tuple(rest))
        claim = Claim(run_id, entry_id, token.decode(), attempt, fails, spec, None, shared=False)
        try:
            entry = entry_of(claim)
        except CorruptRunError as error:
            end_unreadable(self._state, claim, error)
            return
        failure, delay = overtime_of(claim, entry, self._state.machine.random())
        self._go_on(run_id, report_failure(self._state, claim, entry, failure, delay))

    def _end_overdue(self, run_id: str, entry_id: str, rest: list[object]) -> None:
        token, spec, attempt, last = cast("tuple[bytes, bytes, int, bytes]", tuple(rest))
        claim = Claim(run_id, entry_id, token.decode(), attempt, 0, spec, None, shared=False)
        entry = entry_of(claim)
        failure = overdue_of(claim, entry, last)
        answer = self._state.expire(
            run_id,
            entry_id,
            policy=entry.on_error,
            failure=failure.to_json(),
            details=failure.summary(),
        )
        self._go_on(run_id, answer)

    def _send(self, run_id: str, entry: str, carrier: bytes) -> None:
        """Send a message again; one refusal of the broker is enough for a tick."""
        if self._broker_away:
            return
        try:
            self._messages.send_again(run_id, Ready(entry, carrier))
            self._state.count_resend()
        except BrokerUnavailableError as error:
            self._broker_away = True
            logger.warning("run %s: entry %s is sent later: %s", run_id, entry, error)

    def _one(self, work: Callable[[], object], aside: Callable[[], object]) -> None:
        """Do *work* on one run; a damaged one is put *aside* and stops no other."""
        try:
            work()
        except StoreUnavailableError:
            raise
        except BrokerUnavailableError as error:
            logger.warning("a message is sent later: %s", error)
        except SealedValueError as error:
            logger.warning("left to a worker that has the key: %s", error)
        except (CorruptRunError, CorruptScheduleError) as error:
            logger.error("%s; it is left alone for now", error)
            aside()
        except Exception:
            logger.exception("a run's record cannot be read; it is left alone for now")
            aside()

    def _aside(self, index: str, member: str) -> None:
        self._state.postpone(index, member, _CORRUPT_PAUSE)
