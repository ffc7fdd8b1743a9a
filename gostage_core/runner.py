"""What a producer holds: submit workflows, find runs."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from gostage_core.authoring.middleware import uses_of, wrapped_in
from gostage_core.authoring.workflow import Workflow
from gostage_core.broker.app import direct_line, producer_app
from gostage_core.bulk import RunEdits
from gostage_core.coordinator import Coordinator
from gostage_core.duration import seconds
from gostage_core.edit import OPERATOR, Edit
from gostage_core.errors import (
    BrokerUnavailableError,
    CorruptRunError,
    InvalidWorkflowError,
    RunExistsError,
    RunNotFoundError,
    StoreUnavailableError,
)
from gostage_core.handlers import Handler
from gostage_core.listening import Listening
from gostage_core.messages import check_type
from gostage_core.naming import check_name, fault_of
from gostage_core.plan import NewRun, check_plan_size
from gostage_core.run import Run
from gostage_core.settings import Settings
from gostage_core.source import texts_of
from gostage_core.state.client import our_errors
from gostage_core.state.keys import RUN_ID
from gostage_core.state.operations import State
from gostage_core.store import encoded_value
from gostage_core.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from celery import Celery

    from gostage_core.authoring.definition import WorkflowDefinition
    from gostage_core.authoring.middleware import Middleware
    from gostage_core.duration import Duration
    from gostage_core.messages import Message
    from gostage_core.result import RunResult
    from gostage_core.state.client import Client
    from gostage_core.status import RunStatus
    from gostage_core.summary import RunSummary

logger: Final = logging.getLogger(__name__)

_PAGE: Final = 100
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
        client: Client | None = None,
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
            client: of a server in memory (``gostage_core.testing.memory``), in place of a
                connection to the URL.

        Raises:
            ConfigurationError: a setting does not fit.
            InvalidWorkflowError: *middleware* has something that is none.
        """
        self._middleware = uses_of("Runner(middleware=...)", middleware)
        self.settings = settings or Settings.from_env(
            os.environ, redis_url=url, broker_url=broker, namespace=namespace
        )
        self._state = State(self.settings, client)
        app = app or producer_app(self.settings)
        line = direct_line(app, self.settings, self._state.push)
        self._coordinator = Coordinator(app, self.settings.namespace, line)
        self._listening = Listening(self._state)

    def submit(
        self,
        workflow: Workflow | Mapping[str, Any] | str,
        *,
        store: Mapping[Any, Any] | None = None,
        run_id: str | None = None,
        key: str | None = None,
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
            deadline: after which a run that is not done fails.
            tags: to find the run by, beside the tags of the workflow.
            reply_to: a list in the Redis that keeps the runs; when the run has ended its result is
                pushed to the end of it as JSON, for readers in any language.

        Raises:
            InvalidWorkflowError: the definition is not valid; the message names the place.
            NotStorableError: a value of *store* cannot be stored; as ``ctx.store.put``, like
                StoreTypeError, InvalidKeyError and ValueTooLargeError.
            RunExistsError: a run of this id exists.
            StoreUnavailableError: Redis does not answer; nothing was submitted, or it was and a
                repeat with the same *key* or *run_id* tells.
        """
        definition = wrapped_in(self._middleware, _definition(workflow))
        identity = _checked_id(run_id) if run_id is not None else _new_id()
        new = NewRun(
            run_id=identity,
            nonce=uuid.uuid4().hex,
            definition=definition,
            details=json.dumps({"actor": "producer", "workflow": definition.id}),
            retention_ms=round(self.settings.retention * 1000),
            key=check_name(key) if key is not None else "",
            deadline_ms=0 if deadline is None else max(1, round(seconds(deadline) * 1000)),
            reply_to="" if reply_to is None else self._state.keys.checked_foreign(reply_to),
            tags=tuple(_tags(definition, tags)),
            values=self._values(store or {}),
        )
        arguments = new.arguments()
        check_plan_size(f"workflow {definition.id!r}", arguments, self.settings.max_plan_bytes)
        answer = self._state.submit(identity, arguments)
        if answer.word == "exists":
            if new.reply_to:
                self._state.ask(answer.details[0], new.reply_to)
            self._listening.follow(answer.details[0])
            return Run(self._state, answer.details[0], self._coordinator.send)
        if answer.word == "taken":
            raise RunExistsError(identity)
        self._listening.follow(identity)
        try:
            self._coordinator.send(identity, answer.next)
        except BrokerUnavailableError as error:
            logger.warning(
                "run %s is kept; its first message is sent by a worker: %s", identity, error
            )
        return Run(self._state, identity, self._coordinator.send)

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
        heard = None if run_id is None else _checked_id(run_id)

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
        found = self._matching(status, workflow, tag, since, cursor)
        return [*islice(found, limit)]

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
        found = self._matching(status, workflow, tag, since)
        return RunEdits([one.run_id for one in found if not one.status.is_terminal], edit_of)

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

    def _matching(
        self,
        status: RunStatus | str | None,
        workflow: str | None,
        tag: str | None,
        since: datetime | None,
        cursor: str | None = None,
    ) -> Iterator[RunSummary]:
        """Yield the runs that answer every condition, the youngest first."""
        wanted = None if status is None else str(status)
        if any(word is not None and fault_of(word) for word in (wanted, workflow, tag)):
            return  # nothing can be called so
        for summary in self._from(self._index(wanted, workflow, tag), cursor):
            if since is not None and summary.submitted_at < since.astimezone(UTC):
                return
            if _answers(summary, wanted, workflow, tag):
                yield summary

    def _index(self, status: str | None, workflow: str | None, tag: str | None) -> str:
        """Return the index that is likely to be the shortest."""
        if tag is not None:
            return self._state.keys.of("tag", tag)
        if workflow is not None:
            return self._state.keys.of("workflow", workflow)
        return self._state.keys.of("status", status) if status else self._state.keys.of("runs")

    def _from(self, index: str, cursor: str | None) -> Iterable[RunSummary]:
        """Yield the runs of an index, the youngest first, from behind *cursor* on."""
        client = self._state.client
        with our_errors(url=self.settings.redis_url):
            start = 0
            if cursor is not None:
                rank = cast("int | None", client.zrevrank(index, cursor))
                if rank is None:
                    raise RunNotFoundError(cursor)
                start = rank + 1
            while ids := cast("list[bytes]", client.zrevrange(index, start, start + _PAGE - 1)):
                pipeline = client.pipeline(transaction=False)
                names = [run_id.decode("utf-8", "surrogateescape") for run_id in ids]
                for run_id in names:
                    pipeline.hgetall(self._state.keys.of("run", run_id))
                headers = pipeline.execute(raise_on_error=False)
                yield from _summaries(zip(names, headers, strict=True))
                start += _PAGE


def _summaries(headers: Iterable[tuple[str, Any]]) -> Iterable[RunSummary]:
    """Yield what can be read: a damaged run does not hide the others, and tells when asked for."""
    for run_id, header in headers:
        if header == {}:
            continue
        try:
            if isinstance(header, Exception):
                raise CorruptRunError(run_id, str(header))
            yield summary_of(run_id, texts_of(header))
        except CorruptRunError as error:
            logger.warning("%s; it is not listed", error)


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


def _checked_id(run_id: str) -> str:
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise InvalidWorkflowError(f"run_id {run_id!r:.100} is not 1 to 200 of A-Z a-z 0-9 _ . : -")
    return run_id


def _new_id() -> str:
    return f"{datetime.now(UTC):%y%m%d-%H%M%S}-{uuid.uuid4().hex[:12]}"


def _answers(
    summary: RunSummary, status: str | None, workflow: str | None, tag: str | None
) -> bool:
    return (
        (status is None or summary.status == status)
        and (workflow is None or summary.workflow == workflow)
        and (tag is None or tag in summary.tags)
    )
