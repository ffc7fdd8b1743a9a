"""Keeps every run moving: the work of the dead, timers, messages that were lost."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from gostage_core.errors import BrokerUnavailableError, CorruptRunError, StoreUnavailableError
from gostage_core.failure import Failure
from gostage_core.plan import Carrier
from gostage_core.state.operations import Claim, Ready
from gostage_core.verdict import end_unreadable, entry_of, overtime_of, report_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gostage_core.state.operations import Due, Next, State

logger: Final = logging.getLogger(__name__)

_LATE_MS: Final = 1_000
"""How much younger than a waiting message one that was taken must be, to call the former lost."""
_BLIND_RESENDS: Final = 4
"""After so many looks a message on a queue of unknown depth is sent again."""
_CORRUPT_PAUSE: Final = 60.0
_DEADLINE: Final = Failure(
    "DeadlineExceededError", "the run was not done at its deadline"
).to_json()


def mark_of(queue: str, priority: int | None) -> str:
    """Return the name under which the order of a queue's messages is kept."""
    return f"{queue}:{priority}" if priority else queue


class Messages(Protocol):
    """What the rescuer needs of the coordinator."""

    def send(self, run_id: str, following: Next) -> None:
        """Publish what a run goes on with."""

    def send_again(self, run_id: str, ready: Ready) -> None:
        """Publish one message at the head of its queue."""

    def queue_of(self, carrier: Carrier) -> str:
        """Return the queue that a message with this carrier goes to."""


class _Waiting(NamedTuple):
    """An action whose message may be lost."""

    run_id: str
    entry: str
    carrier: bytes
    sent_at: int
    resends: int


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
    ) -> None:
        self._state = state
        self._messages = messages
        self._depth = depth
        self._reply = reply
        self._judge_from = 0.0
        self._out_of_reach = False
        self._broker_away = False

    def tick(self) -> None:
        """Do what is due. Safe to repeat.

        Raises:
            StoreUnavailableError: the server does not answer. Until one lease after it does again,
                this rescuer calls nobody dead: they could not renew their leases either.
        """
        self._broker_away = False
        judge = not self._out_of_reach and time.monotonic() >= self._judge_from
        try:
            due = self._state.tick((), judge=judge)
        except StoreUnavailableError:
            self._out_of_reach = True
            raise
        if self._out_of_reach:
            self._out_of_reach = False
            self._judge_from = time.monotonic() + self._state.settings.lease
        self._bury(due)
        self._rouse(due)
        for run_id in due.expired:
            self._one(partial(self._state.purge, run_id), partial(self._aside, "expiry", run_id))

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
            if answer.word == "send":
                self._send(run_id, entry, answer.details[0].encode())
            else:
                self._messages.send(run_id, answer.next)

        def aside() -> None:
            self._state.postpone("wake", member, _CORRUPT_PAUSE, known=False)
            self._state.drop_claim(process, slot)

        self._one(take, aside)

    def _rouse(self, due: Due) -> None:
        waiting: list[_Waiting] = []
        for run_id, what, *timer in due.timers:
            self._one(
                partial(self._rouse_one, run_id, what, " ".join(timer), waiting),
                partial(self._aside, "wake", " ".join((run_id, what, *timer))),
            )
        if waiting:
            self._find_lost(waiting)

    def _rouse_one(self, run_id: str, what: str, timer: str, waiting: list[_Waiting]) -> None:
        answer, rest = self._state.rouse(run_id, what, timer, _DEADLINE)
        if answer.word == "send":
            self._send(run_id, what, cast("bytes", rest[0]))
        elif answer.word == "waiting":
            carrier, sent_at, resends = cast("tuple[bytes, int, int]", tuple(rest))
            waiting.append(_Waiting(run_id, what, carrier, sent_at, resends))
        elif answer.word == "overtime":
            self._end_overtime(run_id, what, rest)
        elif answer.word == "reply":
            self._reply(run_id)
        else:
            self._messages.send(run_id, answer.next)

    def _find_lost(self, waiting: list[_Waiting]) -> None:
        """Send again what was lost, and leave alone what only waits its turn.

        A queue is first in, first out. A message is lost when its queue is empty, or when one that
        was sent after it has been taken.
        """
        marks = self._state.marks()
        depths: dict[str, int | None] = {}
        for one in waiting:
            self._one(
                partial(self._find_one, one, marks, depths),
                partial(self._aside, "wake", f"{one.run_id} {one.entry}"),
            )

    def _find_one(
        self, one: _Waiting, marks: dict[str, int], depths: dict[str, int | None]
    ) -> None:
        carrier = Carrier.from_text(one.carrier)
        queue = self._messages.queue_of(carrier)
        if queue not in depths:
            depths[queue] = self._depth(queue)
        overtaken = marks.get(mark_of(queue, carrier.priority), 0) > one.sent_at + _LATE_MS
        blind = depths[queue] is None and one.resends >= _BLIND_RESENDS
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
        failure, delay = overtime_of(claim, entry)
        answer = report_failure(self._state, claim, entry, failure, delay)
        self._messages.send(run_id, answer.next)

    def _send(self, run_id: str, entry: str, carrier: bytes) -> None:
        """Send a message again; one refusal of the broker is enough for a tick."""
        if self._broker_away:
            return
        try:
            self._messages.send_again(run_id, Ready(entry, carrier))
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
        except CorruptRunError as error:
            logger.error("%s; it is left alone for now", error)
            aside()
        except Exception:
            logger.exception("a run's record cannot be read; it is left alone for now")
            aside()

    def _aside(self, index: str, member: str) -> None:
        self._state.postpone(index, member, _CORRUPT_PAUSE)
