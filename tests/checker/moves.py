"""What each step leads to."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gostage_core.errors import RunNotFoundError, RunStateError
from gostage_core.run import Run
from gostage_core.verdict import entry_of
from tests.checker.engine import AnswerLostError
from tests.checker.promises import check_answer, check_claimed
from tests.checker.standing import LATE, SILENT, UNANSWERED, Late, Replica, Worker
from tests.support.bench import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core.state.answers import Next
    from tests.checker.engine import Engine
    from tests.checker.standing import Standing, Step

LAG: Final = 3
"""How many steps a server may lose that takes over."""
_TAKEN_AWAY: Final = ("gone", "fenced")


class Moves:
    """Does the steps of any world, with the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._do: dict[str, Callable[[Standing, Step], Standing]] = {
            "take": self._take,
            "work": self._work,
            "ask again": self._ask_again,
            "end again": self._end_again,
            "leave": self._leave,
            "die": self._die,
            "replace": self._replace,
            "lose": self._lose,
            "double": self._double,
            "lag": self._lag,
            "fail over": self._fail_over,
            "later": self._later,
            "operate": self._operate,
        }
        self._pieces: dict[str, Callable[[Any], None]] = {
            "take back": lambda what: engine.rescue(dead={what[0]: {what[1]: what[2]}}),
            "compare books": lambda what: engine.give_back(*what),
            "rouse": self._rouse,
            "look for": lambda member: engine.rescue(unseen=(tuple(member.split(" ")),)),
            "invite": lambda throttle: engine.rescue(throttles=(throttle,)),
        }

    def after(self, now: Standing, step: Step) -> Standing:
        """Return what a step leads to; the engine is set to *now*.

        Raises:
            Violation: the server has answered what it never should.
        """
        faults = now.faults - (not step.is_fair and step.kind not in ("operate", "fail over"))
        faults -= step.kind == "operate" and bool(step.goes_wrong)
        if step.goes_wrong == LATE:
            return replace(now, faults=faults, late=(*now.late, Late(step.kind, step.what)))
        if step.kind in self._pieces:
            self._pieces[step.kind](step.what)
            if step.goes_wrong == SILENT:
                self._forget_messages(now)
            then = self._engine.taken(now)
        else:
            then = self._do[step.kind](now, step)
        return replace(self._aged(now, then, step), faults=faults)

    def _lose(self, now: Standing, step: Step) -> Standing:
        queue = list(now.queue)
        queue.remove(step.what)
        return replace(now, queue=tuple(queue))

    def _double(self, now: Standing, step: Step) -> Standing:
        self._engine.post.messages.append(step.what)
        return self._engine.taken(now)

    def _die(self, now: Standing, step: Step) -> Standing:
        at, worker = step.what
        return now.with_worker(at, Worker(worker.process, "dead"))

    def _replace(self, now: Standing, step: Step) -> Standing:
        at, _ = step.what
        process = self._engine.new_process()
        return self._engine.taken(now.with_worker(at, Worker(process)))

    def _lag(self, now: Standing, _step: Step) -> Standing:
        return replace(now, replica=Replica(now.server, now.queue, LAG + 1))

    def _fail_over(self, now: Standing, step: Step) -> Standing:
        """Let the replica take over; messages go with it, unless another server keeps them."""
        replica = now.replica
        assert replica is not None
        queue = now.queue if step.what else replica.queue
        return replace(now, server=replica.server, queue=queue, replica=None, failed_over=True)

    def _aged(self, now: Standing, then: Standing, step: Step) -> Standing:
        """Return *then*, with a replica that has missed one step more."""
        if then.replica is None or now.replica is not then.replica or step.kind == "die":
            return then
        left = then.replica.steps - 1
        return replace(then, replica=replace(then.replica, steps=left) if left else None)

    def _rouse(self, member: str) -> None:
        """Have a timer be due; its time comes when nothing else does."""
        engine = self._engine
        due = engine.state.client.zscore(engine.state.keys.of("wake"), member)
        clock = engine.server.clock
        clock.microseconds = max(clock.microseconds, int(due or 0) * 1_000)
        engine.rescue(timers=(tuple(member.split(" ")),))

    def _take(self, now: Standing, step: Step) -> Standing:
        at, worker, message = step.what
        self._engine.post.messages.remove(message)
        nonce = self._engine.nonce()
        asking = replace(worker, doing="asking", message=message, nonce=nonce)
        if not step.goes_wrong:
            return self._claimed(now, at, asking)
        self._engine.claim(worker.process, message, nonce)
        return self._engine.taken(now.with_worker(at, asking))

    def _ask_again(self, now: Standing, step: Step) -> Standing:
        return self._claimed(now, *step.what)

    def _claimed(self, now: Standing, at: int, worker: Worker) -> Standing:
        message = worker.message
        assert message is not None
        before = self._engine.record(message.run_id, message.entry)
        claim = self._engine.claim(worker.process, message, worker.nonce)
        check_claimed(before, claim, worker.nonce)
        then = Worker(worker.process)
        if not isinstance(claim, str):
            then = replace(worker, doing="working", claim=claim, nonce="")
        return self._engine.taken(now.with_worker(at, then))

    def _work(self, now: Standing, step: Step) -> Standing:
        at, worker = step.what
        engine, claim = self._engine, worker.claim
        before = engine.record(claim.run_id, claim.entry)
        work = engine.executor(worker.process).work
        have = worker.message.tail[0] if worker.message.tail else ""
        if step.goes_wrong == UNANSWERED:
            try:
                with engine.losing_answers():
                    work(claim, entry_of(claim), have)
            except AnswerLostError as lost:
                ending = replace(worker, doing="ending", words=lost.words)
                return engine.taken(now.with_worker(at, ending))
            raise AssertionError("an attempt ends with a request")
        ended = work(claim, entry_of(claim), have)
        check_answer(before, claim, ended.word)
        if step.goes_wrong == SILENT:
            return engine.taken(now.with_worker(at, Worker(worker.process, "dead")))
        return self._ended(now, at, worker, ended.word, ended.next)

    def _end_again(self, now: Standing, step: Step) -> Standing:
        at, worker = step.what
        before = self._engine.record(worker.claim.run_id, worker.claim.entry)
        answer = self._engine.again(worker.words)
        check_answer(before, worker.claim, answer.word)
        return self._ended(now, at, worker, answer.word, answer.next)

    def _ended(self, now: Standing, at: int, worker: Worker, word: str, next_: Next) -> Standing:
        post, claim, message = self._engine.post, worker.claim, worker.message
        assert claim is not None and message is not None
        if next_.mode == "keep":
            post.messages.append(Message(claim.run_id, message.tail[0], message.tail[1:]))
        else:
            post.send(claim.run_id, next_)
        then = Worker(worker.process)
        if word in _TAKEN_AWAY:
            then = Worker(worker.process, "leaving", claim=claim)
        return self._engine.taken(now.with_worker(at, then))

    def _leave(self, now: Standing, step: Step) -> Standing:
        at, worker = step.what
        claim = worker.claim
        state = self._engine.state
        state.lose(claim.run_id, claim.entry, worker.process, "s", counted=False)
        return self._engine.taken(now.with_worker(at, Worker(worker.process)))

    def _later(self, now: Standing, step: Step) -> Standing:
        late = step.what
        if late.kind == "again":
            self._engine.post.send("run1", self._engine.again(late.what).next)
        else:
            self._pieces[late.kind](late.what)
        left = tuple(one for one in now.late if one is not late)
        return self._engine.taken(replace(now, late=left))

    def _operate(self, now: Standing, step: Step) -> Standing:
        deeds = tuple(deed for deed in now.deeds if deed != step.what)
        then = replace(now, deeds=deeds)
        run = Run(self._engine.state, "run1", self._engine.post.send)
        does: dict[str, Callable[[], None]] = {
            "signal": lambda: run.signal("go", "operator", id="once"),
            "pause": run.pause,
            "resume": run.resume,
            "cancel": run.cancel,
            "retry": run.retry,
            "delete": run.delete,
        }
        is_unanswered = step.goes_wrong == UNANSWERED
        try:
            with self._engine.losing_answers() if is_unanswered else nullcontext():
                does[step.what]()
        except AnswerLostError as lost:
            then = replace(then, late=(*now.late, Late("again", lost.words)))
        except (RunStateError, RunNotFoundError):
            return then  # the run has ended, or has not, or is no more
        if step.goes_wrong == SILENT:
            self._forget_messages(now)
        return self._engine.taken(then)

    def _forget_messages(self, now: Standing) -> None:
        self._engine.post.messages.clear()
        self._engine.post.messages.extend(now.queue)
