"""The handle of one run: ask how it stands, wait for it, watch it, and act on it from outside."""

from __future__ import annotations

import json
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from gostage_core.broker.position import places
from gostage_core.duration import seconds
from gostage_core.edit import OPERATOR, Edit, Send, left_to_workers
from gostage_core.errors import (
    ActionNotFoundError,
    BrokerUnavailableError,
    RunNotFoundError,
    RunStateError,
    SignalLimitError,
    StoreFullError,
)
from gostage_core.forking.fork import Fork
from gostage_core.naming import check_name
from gostage_core.planning.finding import unfinished
from gostage_core.run_ids import checked_run_id, new_run_id
from gostage_core.run_view import RunView
from gostage_core.signals import check_expected, encoded_payload
from gostage_core.source import RedisSource
from gostage_core.state.client import our_errors
from gostage_core.status import RunStatus
from gostage_core.store import put_arguments
from gostage_core.why import Why, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from gostage_core.duration import Duration
    from gostage_core.planning.plan_edit import PlanEdit
    from gostage_core.state.answers import Answer
    from gostage_core.state.operations import State

logger: Final = logging.getLogger(__name__)

_LONGEST_REASON: Final = 2_000

_NOT_RETRIED: Final = {
    "state": "is {}; only runs that failed or were cancelled are retried",
    "child": "is the child of run {!r}; retry that one",
    "compensated": "was compensated: what it had done is undone; submit it anew, or fork it from "
    "its beginning",
}
"""Why a run is not retried, by the answer of the server."""


class Run(RunView):
    """One run. Holds no state of its own: each answer is read when it is asked for.

    Raises (every method):
        RunNotFoundError: no such run.
        StoreUnavailableError: the server does not answer.
    """

    def __init__(self, state: State, run_id: str, send: Send = left_to_workers) -> None:
        super().__init__(state, run_id)
        self._send = send

    def cancel(
        self, reason: str = "", *, grace: Duration | None = None, actor: str = OPERATOR
    ) -> None:
        """Ask the run to end as ``cancelled``: nothing more of it begins.

        Actions that run are told through ``ctx.cancelled``, and what ends well is committed still.
        What runs on after the grace is ended from outside: it commits nothing any more, and a
        worker of the prefork pool stops its process. What has completed and says how it is undone
        is compensated before the run ends. A run that was paused goes on to its end. Safe to
        repeat: the shorter grace counts, and what is being undone is.

        Args:
            reason: kept in the run's journal.
            grace: how long what runs may go on; by default ``GOSTAGE_CANCEL_GRACE``.
            actor: who asks, kept likewise.

        Raises:
            RunStateError: the run has ended otherwise, or is about to and undoes what it had done.
        """
        limit = self._state.settings.cancel_grace if grace is None else seconds(grace)
        answer = self._state.halt(self.run_id, "cancelled", _details(actor, reason), limit)
        if answer.word == "ended" and answer.details[0] == "cancelled":
            return
        self._accept(answer, "it cannot be cancelled")

    def pause(self, reason: str = "", *, actor: str = OPERATOR) -> None:
        """Hold the run, and the child runs that it waits for: nothing more of it begins.

        What runs may end, and is committed. Time goes on: deadlines are kept, and what falls due
        meanwhile goes on when the run is resumed. Safe to repeat.

        Raises:
            RunStateError: the run has ended.
        """
        self._accept(self._state.pause(self.run_id, _details(actor, reason)), "it cannot be paused")

    def resume(self, reason: str = "", *, actor: str = OPERATOR) -> None:
        """Let the run go on that was paused; one that is not paused stays as it is.

        Raises:
            RunStateError: the run has ended.
        """
        self._accept(
            self._state.resume(self.run_id, _details(actor, reason)), "it cannot be resumed"
        )

    def signal(
        self, name: str, payload: Any = None, *, id: str | None = None, actor: str = OPERATOR
    ) -> None:
        """Send the run a signal: the entry that has waited longest for *name* goes on with it.

        Where none waits, it is kept for the first that does. Safe to repeat with the same *id*.

        Args:
            name: of the signal.
            payload: what it brings; anything that the store can hold. Checked where the type is
                known here that who waits wants.
            id: of this signal; one that was sent before is not sent again. The last thousand of a
                run are known.
            actor: who sends it, kept in the run's journal.

        Raises:
            InvalidKeyError: nothing can be called *name* or *id*.
            StoreTypeError: it is not what the waiting entry wants.
            NotStorableError: the store could not hold it.
            ValueTooLargeError: it is larger than ``GOSTAGE_MAX_MESSAGE_BYTES``.
            SignalLimitError: the run keeps as many signals as it may that nobody waits for.
            RunStateError: the run has ended, or is about to.
        """
        check_name(name)
        text = encoded_payload(name, payload, self._state.settings.max_message_bytes)
        check_expected(self._source.awaited_type(name), text, name)
        signal = self._state.machine.token() if id is None else check_name(id)
        details = json.dumps({"actor": actor[:200], "signal": name, "id": signal})
        answer = self._state.signal(self.run_id, signal, name, text, details)
        if answer.word == "full":
            raise SignalLimitError(self.run_id, self._state.settings.max_signals)
        self._accept(answer, "nobody would get the signal")

    def retry(
        self,
        *,
        store: Mapping[Any, Any] | None = None,
        skip: Iterable[str] = (),
        deadline: Duration | None = None,
        reason: str = "",
        actor: str = OPERATOR,
    ) -> None:
        """Open the run again that has failed or was cancelled, at the action that ended it.

        What has completed stays so, at any depth: of a ``ForEach`` only the items are done again
        that failed or were cut off, of a ``RunWorkflow`` the child run goes on. Actions begin with
        all their tries; ``ctx.attempt`` counts on. A run whose compensation has failed goes on with
        that.

        Args:
            store: values that are written first, by key or typed key.
            skip: names, paths or entry ids of actions that are not to be done, and count as
                skipped.
            deadline: a new one, from now; one that has passed is dropped otherwise.
            reason: kept in the run's journal.
            actor: who does it, kept likewise.

        Raises:
            RunStateError: the run has not failed and was not cancelled; or it was compensated; or
                it is the child of a run, which is the one to retry.
            ActionNotFoundError: *skip* names what is not in the plan or has completed.
            StoreError: a value of *store* cannot be stored.
        """
        skipped = self._to_skip(skip)
        changes = put_arguments(store or {}, self._state.settings.max_value_bytes)
        answer = self._state.retry(
            self.run_id,
            nonce=self._state.machine.token(),
            details=_details(actor, reason, **({"skipped": skipped} if skipped else {})),
            deadline=None if deadline is None else seconds(deadline),
            changes=changes,
            skip=skipped,
        )
        if answer.word == "full":
            raise StoreFullError(self.run_id, int(answer.details[0]))
        if answer.word in _NOT_RETRIED:
            raise self._state_error(_NOT_RETRIED[answer.word].format(*answer.details))
        self._accept(answer, "it cannot be retried")

    def delete(self, reason: str = "", *, actor: str = OPERATOR) -> None:
        """Forget the run and its child runs, with everything that is theirs.

        One that goes on is cancelled first; what runs of it commits nothing any more, and nothing
        is compensated. Safe to repeat: a run that is not there is none to delete.
        """
        answer = self._state.purge(self.run_id, _details(actor, reason))
        self._go_on(answer)

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

    def fork(
        self,
        at: str,
        *,
        store: Mapping[Any, Any] | None = None,
        edit: Callable[[PlanEdit], object] | None = None,
        run_id: str | None = None,
        reason: str = "",
        actor: str = OPERATOR,
    ) -> Run:
        """Make a new run that goes on from the action *at*, with the store as it was when it began.

        This run stays as it is, whatever became of it. In the new one, what had ended when *at*
        first began is taken as done, and all else is to be done; its deadline, messages and signals
        are its own. What completed here is not compensated by the new run.

        Args:
            at: name, path or entry id of an action that has begun.
            store: values that are written over those of then, by key or typed key.
            edit: changes the plan of the new run before it begins, as the block of :meth:`edit`
                does.
            run_id: an id of your own for the new run.
            reason: kept in the new run's journal.
            actor: who does it, kept likewise.

        Raises:
            ForkError: *at* has not begun, or means several actions; or the store as it was then is
                not kept any more, see ``GOSTAGE_MAX_PAST_BYTES``.
            HistoryLostError: the journal does not go back to the beginning of the run.
            ActionNotFoundError: the plan has no such action.
            RunExistsError: there is a run of this id.
            PlanError: a change of the plan that it refuses; nothing was made.
            StoreError: a value of *store* cannot be stored.
        """
        chosen = new_run_id(self._state.machine) if run_id is None else run_id
        identity = checked_run_id(chosen)
        editor = Edit(self._state, self._send, identity, reason=reason or "forked", actor=actor)
        answer = Fork(self._state, self.run_id).submit(
            at=at,
            run_id=identity,
            store=store or {},
            edit=edit,
            editor=editor,
            details=json.loads(_details(actor, reason, forked=self.run_id)),
        )
        made = Run(self._state, identity, self._send)
        made._go_on(answer)
        return made

    def why(self) -> Why:
        """Say what the run waits for, or what became of it; ``str()`` is one line.

        Looks through the queue once where something of the run waits for a worker: up to 20,000
        messages.
        """
        return explain(self._state, self.run_id, cache(self._places_in_queue))

    def _places_in_queue(self, run_id: str, queue: str) -> dict[str, int] | None:
        """Return how many messages stand before those of a run, where the broker is ours."""
        settings = self._state.settings
        if settings.broker_url not in (None, settings.redis_url):
            return None
        with our_errors(run_id, settings.redis_url):
            return places(self._state.client, queue, run_id)

    def _to_skip(self, references: Iterable[str]) -> list[str]:
        """Return the entries that a retry leaves out."""
        wanted = list(references)
        try:
            return unfinished(self._source.tree(), wanted) if wanted else []
        except ActionNotFoundError:
            if self.status not in (RunStatus.FAILED, RunStatus.CANCELLED):
                raise self._state_error(_NOT_RETRIED["state"].format(self.status)) from None
            raise

    @property
    def _source(self) -> RedisSource:
        return RedisSource(self._state, self.run_id)

    def _accept(self, answer: Answer, otherwise: str) -> None:
        """Send what the run goes on with, or say why the answer is a refusal."""
        if answer.word == "gone":
            raise RunNotFoundError(self.run_id)
        if answer.word == "ended":
            raise self._state_error(f"is {answer.details[0]} already; {otherwise}")
        self._go_on(answer)

    def _go_on(self, answer: Answer) -> None:
        try:
            self._send(self.run_id, answer.next)
        except BrokerUnavailableError as error:
            logger.warning("run %s: what is next is sent by a worker: %s", self.run_id, error)

    def _state_error(self, detail: str) -> RunStateError:
        return RunStateError(self.run_id, detail)


def _details(actor: str, reason: str, **more: object) -> str:
    """Who acts on a run, and why, as the JSON that is kept."""
    said = {"actor": (actor.strip() or OPERATOR)[:200], "reason": reason[:_LONGEST_REASON], **more}
    return json.dumps(said, separators=(",", ":"))
