"""What a producer holds: submit workflows, find runs."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

from gostage_core.authoring.middleware import uses_of, wrapped_in
from gostage_core.authoring.workflow import Workflow
from gostage_core.backpressure import check_depth, too_many_runs
from gostage_core.broker.app import direct_line, producer_app
from gostage_core.bulk import RunBatch, RunEdits
from gostage_core.coordinator import Coordinator
from gostage_core.duration import seconds
from gostage_core.edit import OPERATOR, Edit
from gostage_core.errors import (
    BrokerUnavailableError,
    InvalidWorkflowError,
    RunExistsError,
    RunNotFoundError,
    StoreUnavailableError,
)
from gostage_core.handlers import Handler
from gostage_core.listening import Listening
from gostage_core.messages import check_type
from gostage_core.naming import check_name
from gostage_core.plan import NewRun, check_plan_size
from gostage_core.query import RunQuery, matching
from gostage_core.run import Run
from gostage_core.run_ids import checked_run_id, new_run_id
from gostage_core.scheduling.schedules import Schedules
from gostage_core.settings import Settings
from gostage_core.state.client import our_errors
from gostage_core.state.keys import RUN_ID
from gostage_core.state.operations import State
from gostage_core.status import RunStatus
from gostage_core.store import encoded_value
from gostage_core.throttles import Throttles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from celery import Celery

    from gostage_core.authoring.definition import WorkflowDefinition
    from gostage_core.authoring.middleware import Middleware
    from gostage_core.duration import Duration
    from gostage_core.messages import Message
    from gostage_core.result import RunResult
    from gostage_core.state.answers import Answer
    from gostage_core.summary import RunSummary

logger: Final = logging.getLogger(__name__)

OnConflict = Literal["join", "reject", "replace"]
_ON_CONFLICT: Final = get_args(OnConflict)
_DELIVERY_SECONDS: Final = 30.0
"""How long handlers may take for the messages of a run that has ended."""

H = TypeVar("H", bound="Callable[[Message], object]")


class Runner:
    """Submits workflows and finds runs, from any process. Safe to share between threads."""

    def __init__(
        self,
        url: str | None = None,
        *,
        broker: str | None = None,
        namespace: str | None = None,
        app: Celery | None = None,
        settings: Settings | None = None,
        middleware: Iterable[Middleware] = (),
    ) -> None:
        """Nothing is connected yet.

        Args:
            url: of the Redis that keeps the runs; else ``GOSTAGE_REDIS_URL``, else the local one.
            broker: Celery's broker, where it is another one.
            namespace: one for each application.
            app: a Celery app to publish through, in place of one of our own.
            settings: all of the above at once.
            middleware: what wraps each run that is submitted here, outside of what its workflow
                uses; the outermost first.

        Raises:
            ConfigurationError: a setting does not fit.
            InvalidWorkflowError: *middleware* has something that is none.
        """
        self._middleware = uses_of("Runner(middleware=...)", middleware)
        self.settings = settings or Settings.from_env(
            os.environ, redis_url=url, broker_url=broker, namespace=namespace
        )
        self._state = State(self.settings)
        self._app = app or producer_app(self.settings)
        line = direct_line(self._app, self.settings, self._state.push)
        self._coordinator = Coordinator(self._app, self.settings.namespace, line)
        self._listening = Listening(self._state)
        self.schedules = Schedules(self._state, self._prepared, self._submitted)
        """Schedules: ``runner.schedules.add(…)``, ``runner.schedules["nightly"].pause()``."""
        self.throttles = Throttles(self._state, self._coordinator.send)
        """Throttles: who is within one, who stands in line, and other numbers for it."""

    def submit(
        self,
        workflow: Workflow | Mapping[str, Any] | str,
        *,
        store: Mapping[Any, Any] | None = None,
        run_id: str | None = None,
        key: str | None = None,
        on_conflict: OnConflict = "join",
        concurrency_key: str | None = None,
        deadline: Duration | None = None,
        tags: Iterable[str] = (),
        reply_to: str | None = None,
    ) -> Run:
        """Create a run of *workflow* and return its handle; workers take it from here.

        Once this returns, the run is kept and will be executed, whatever happens to this process.
        Safe to repeat with a *key*: the same key gives the same run back as long as it is retained.

        Args:
            workflow: a workflow, or a definition as a dict or JSON text.
            store: first values of the run's store, by key or typed key.
            run_id: an id of your own; 1 to 200 of ``A-Z a-z 0-9 _ . : -``.
            key: of the event that this run is for.
            on_conflict: what happens when a run has this *key* already: ``"join"`` gives that run
                back, ``"reject"`` raises RunExistsError, ``"replace"`` cancels it and begins anew.
            concurrency_key: of whom this run is, a tenant for one: what ``Workflow(throttle=…)``
                counts it under, and by what runs take turns where their actions stand in line.
            deadline: after which a run that is not done fails.
            tags: to find the run by, beside the tags of the workflow.
            reply_to: a list in the Redis that keeps the runs; when the run has ended its result is
                pushed to the end of it as JSON, for readers in any language.

        Raises:
            InvalidWorkflowError: the definition is not valid; the message names the place.
            NotStorableError: a value of *store* cannot be stored; as ``ctx.store.put``, like
                StoreTypeError, InvalidKeyError and ValueTooLargeError.
            RunExistsError: a run of this id exists, or one of this *key* where that is refused.
            BackpressureError: ``GOSTAGE_MAX_LIVE_RUNS`` or ``GOSTAGE_MAX_QUEUED`` is reached; says
                when to come again.
            StoreUnavailableError: Redis does not answer; nothing was submitted, or it was and a
                repeat with the same *key* or *run_id* tells.
        """
        if on_conflict not in _ON_CONFLICT:
            known = ", ".join(_ON_CONFLICT)
            raise ValueError(f"on_conflict is one of {known}, not {on_conflict!r}")
        definition, values = self._prepared(workflow, store or {})
        identity = checked_run_id(run_id) if run_id is not None else new_run_id()
        new = NewRun(
            run_id=identity,
            nonce=uuid.uuid4().hex,
            definition=definition,
            details=json.dumps({"actor": "producer", "workflow": definition.id}),
            bounds=self.settings.bounds,
            key=check_name(key) if key is not None else "",
            on_conflict="replace" if on_conflict == "replace" else "join",
            concurrency_key="" if concurrency_key is None else check_name(concurrency_key),
            deadline_ms=0 if deadline is None else max(1, round(seconds(deadline) * 1000)),
            reply_to="" if reply_to is None else self._state.keys.checked_foreign(reply_to),
            tags=tuple(_tags(definition, tags)),
            values=values,
        )
        arguments = new.arguments()
        check_plan_size(f"workflow {definition.id!r}", arguments, self.settings.max_plan_bytes)
        check_depth(self._app, self.settings)
        answer = self._state.submit(identity, arguments, most=self.settings.max_live_runs)
        if answer.word == "full":
            raise too_many_runs(answer, self.settings.max_live_runs)
        if answer.word == "exists" and on_conflict == "reject":
            raise RunExistsError(answer.details[0], f"has the key {key!r}")
        if answer.word == "exists":
            if new.reply_to:
                self._state.ask(answer.details[0], new.reply_to)
            self._listening.follow(answer.details[0])
            return Run(self._state, answer.details[0], self._coordinator.send)
        if answer.word == "taken":
            raise RunExistsError(identity)
        return self._submitted(identity, answer)

    def execute(
        self,
        workflow: Workflow | Mapping[str, Any] | str,
        *,
        store: Mapping[Any, Any] | None = None,
        timeout: Duration | None = None,
        **options: Any,
    ) -> RunResult:
        """Submit *workflow*, wait until the run has ended and return its result.

        Takes what :meth:`submit` and :meth:`Run.wait` take and raises what they raise; a run that
        failed is a result, not an exception. Once this returns, handlers were called with all that
        the run has sent; one that takes longer than 30 s is not waited for.
        """
        run = self.submit(workflow, store=store, **options)
        result = run.wait(timeout)
        self._deliver(run)
        return result

    def on(
        self,
        type: str | None = None,
        *,
        workflow: str | None = None,
        stage: str | None = None,
        action: str | None = None,
        run_id: str | None = None,
    ) -> Callable[[H], H]:
        """Have the decorated function called for messages that actions send.

        It hears the runs that this runner submits, or the one of *run_id*, whoever submits that;
        from the first message of each on, also those that were sent before now, and also those of
        their child runs. Handlers are called one after another on one thread of this process, in
        the order in which they were registered; messages of a run come in their order. What one
        raises is logged, and stops nothing. A coroutine function is run to its end.

        Handlers live as long as this process: who must see messages later reads
        :meth:`Run.messages`. In a forked process they hear what is submitted there. A handler
        that is registered after more than a thousand runs were submitted or have ended misses the
        oldest of these.

        Args:
            type: of the messages; by default every type, as with the others.
            workflow: id of the sender's workflow.
            stage: id of the sender's stage.
            action: name of the sender.
            run_id: of the run to hear, in place of the ones that are submitted here.

        Raises:
            InvalidKeyError: *type* is no name.
            InvalidWorkflowError: *run_id* is none.
        """
        if callable(type):
            raise TypeError("write @runner.on(), with parentheses")
        kind = None if type is None else check_type(type)
        heard = None if run_id is None else checked_run_id(run_id)

        def register(handler: H) -> H:
            self._listening.add(Handler(handler, kind, workflow, stage, action, heard))
            return handler

        return register

    def drain(self, timeout: Duration = _DELIVERY_SECONDS) -> bool:
        """Wait until handlers were called with all that was sent; tell whether they were.

        :meth:`execute` and :meth:`close` do so by themselves; who calls :meth:`Run.wait` may want
        to. ``False`` after *timeout* seconds, and at once where a handler asks.

        Raises:
            StoreUnavailableError: the server does not answer.
        """
        return self._listening.drain(seconds(timeout))

    def get(self, run_id: str) -> Run:
        """Return the handle of a run.

        Raises:
            RunNotFoundError: no such run.
        """
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
            raise RunNotFoundError(run_id)
        run = Run(self._state, run_id, self._coordinator.send)
        run.status  # noqa: B018 - reading it is the check
        return run

    def list(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> list[RunSummary]:
        """Return runs that answer every condition, the youngest first.

        For the next page give the last ``run_id`` of this one as *cursor*.

        Raises:
            RunNotFoundError: the run of *cursor* is not there any more.
        """
        query = RunQuery(status, workflow, tag, since)
        return [*islice(matching(self._state, query, cursor), limit)]

    def edit(
        self,
        *,
        reason: str,
        actor: str = OPERATOR,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
    ) -> RunEdits:
        """Find the runs under way that answer every condition, to change the plan of each.

        ``len()`` of what this returns is how many there are; its ``apply(change)`` edits them::

            edits = runner.edit(workflow="order", reason="the notifier is down", actor="ana")
            edits.apply(lambda plan: plan.actions["notify"].disable())

        Raises:
            ValueError: there is no *reason*.
        """

        def edit_of(run_id: str) -> Edit:
            return Edit(self._state, self._coordinator.send, run_id, reason=reason, actor=actor)

        edit_of("")  # a reason that is none shows before anything is read
        found = matching(self._state, RunQuery(status, workflow, tag, since))
        return RunEdits([one.run_id for one in found if not one.status.is_terminal], edit_of)

    def retry(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        store: Mapping[Any, Any] | None = None,
        skip: Iterable[str] = (),
        reason: str = "",
        actor: str = OPERATOR,
    ) -> RunBatch:
        """Find the runs that failed or were cancelled and answer every condition, to retry each.

        ``len()`` of what this returns is how many there are; its ``apply()`` retries them, as
        :meth:`Run.retry` does. Child runs are left out: they go on with the run above them.
        """
        values, skipped = dict(store or {}), list(skip)

        def retried(run_id: str) -> None:
            self.get(run_id).retry(store=values, skip=skipped, reason=reason, actor=actor)

        found = matching(self._state, RunQuery(status, workflow, tag, since))
        ended = (RunStatus.FAILED, RunStatus.CANCELLED)
        return RunBatch(
            [one.run_id for one in found if one.status in ended and not one.parent], retried
        )

    def purge(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        before: datetime | None = None,
        actor: str = OPERATOR,
    ) -> RunBatch:
        """Find the runs that have ended and answer every condition, to forget each now.

        ``len()`` of what this returns is how many there are; its ``apply()`` forgets them, with
        their child runs, before their retention has ended.

        Args:
            status: that they ended with.
            workflow: id of theirs.
            tag: of theirs.
            before: they were submitted earlier than that.
            actor: who does it.
        """

        def forgotten(run_id: str) -> None:
            Run(self._state, run_id, self._coordinator.send).delete(actor=actor)

        found = matching(self._state, RunQuery(status, workflow, tag, before=before))
        return RunBatch([one.run_id for one in found if one.status.is_terminal], forgotten)

    def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            StoreUnavailableError: it gives none.
        """
        with our_errors(url=self.settings.redis_url):
            self._state.client.ping()

    def close(self) -> None:
        """Close the connections; the runner opens new ones if it is used again.

        Handlers are called before with what was sent so far, for up to 5 s.
        """
        self._listening.close()
        self._state.client.close()

    def _prepared(
        self, workflow: Workflow | Mapping[str, Any] | str, store: Mapping[Any, Any]
    ) -> tuple[WorkflowDefinition, dict[str, bytes]]:
        """Return a workflow as it is submitted here, and the first values of its store."""
        return wrapped_in(self._middleware, _definition(workflow)), self._values(store)

    def _submitted(self, run_id: str, answer: Answer) -> Run:
        """Return the handle of a run that was created, whose messages are sent now."""
        self._listening.follow(run_id)
        try:
            self._coordinator.send(run_id, answer.next)
        except BrokerUnavailableError as error:
            logger.warning(
                "run %s is kept; its first message is sent by a worker: %s", run_id, error
            )
        return Run(self._state, run_id, self._coordinator.send)

    def _deliver(self, run: Run) -> None:
        """See that handlers were called with what a run has sent that has ended."""
        try:
            done = self._listening.drain(_DELIVERY_SECONDS, run.run_id)
        except StoreUnavailableError as error:
            logger.warning("messages of run %s come late: %s", run.run_id, error)
            return
        if not done:
            logger.warning("handlers are still at the messages of run %s", run.run_id)

    def _values(self, store: Mapping[Any, Any]) -> dict[str, bytes]:
        limit = self.settings.max_value_bytes
        return dict(encoded_value(key, value, limit) for key, value in store.items())


def _definition(workflow: Workflow | Mapping[str, Any] | str) -> WorkflowDefinition:
    if isinstance(workflow, Workflow):
        return workflow.definition()
    if isinstance(workflow, str):
        return Workflow.from_json(workflow).definition()
    if isinstance(workflow, Mapping):
        return Workflow.from_dict(dict(workflow)).definition()
    raise InvalidWorkflowError(
        "submit() takes a Workflow, or a definition as a dict or JSON, "
        f"not {type(workflow).__name__}"
    )


def _tags(definition: WorkflowDefinition, tags: Iterable[str]) -> list[str]:
    if isinstance(tags, str):
        raise TypeError("tags is a list of words, not one text")
    return sorted({check_name(tag) for tag in (*definition.tags, *tags)})
