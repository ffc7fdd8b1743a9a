"""What a producer holds: submit workflows, find runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gostage_core.authoring.middleware import uses_of
from gostage_core.backpressure import check_depth, too_many_runs
from gostage_core.broker.app import direct_line, producer_app
from gostage_core.broker.signatures import Signer
from gostage_core.coordinator import Coordinator
from gostage_core.duration import seconds
from gostage_core.errors import (
    BrokerUnavailableError,
    DefinitionError,
    PreparedRunError,
    RunError,
    RunExistsError,
    StoreError,
    StoreUnavailableError,
)
from gostage_core.finder import RunFinder
from gostage_core.handlers import Handler
from gostage_core.listening import Listening
from gostage_core.messages import check_type
from gostage_core.new_runs import NewRuns, OnConflict
from gostage_core.prepared import prepared, read_prepared
from gostage_core.run import Run
from gostage_core.run_ids import checked_run_id
from gostage_core.scheduling.schedules import Schedules
from gostage_core.settings import Settings
from gostage_core.state.client import our_errors
from gostage_core.state.operations import State
from gostage_core.throttles import Throttles
from gostage_core.tracing.current import carrier, submitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from celery import Celery

    from gostage_core.authoring.middleware import Middleware
    from gostage_core.authoring.workflow import Workflow
    from gostage_core.duration import Duration
    from gostage_core.edit import Send
    from gostage_core.messages import Message
    from gostage_core.plan import NewRun
    from gostage_core.prepared import PreparedRun
    from gostage_core.result import RunResult
    from gostage_core.state.answers import Answer

logger: Final = logging.getLogger(__name__)

_NO_OPTIONS: Final[dict[str, Any]] = {
    "store": None,
    "run_id": None,
    "key": None,
    "on_conflict": "join",
    "concurrency_key": None,
    "deadline": None,
    "tags": (),
    "reply_to": None,
}
"""What a submit takes beside its workflow, where nothing is said."""
_DELIVERY_SECONDS: Final = 30.0
"""How long handlers may take for the messages of a run that has ended."""

H = TypeVar("H", bound="Callable[[Message], object]")


class Runner(RunFinder):
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
        settings = settings or Settings.from_env(
            os.environ, redis_url=url, broker_url=broker, namespace=namespace
        )
        state = State(settings)
        app = app or producer_app(settings)
        line, signer = direct_line(app, settings, state.push), Signer.of(settings)
        coordinator = Coordinator(app, settings.namespace, line, signer)
        self._assemble(state, coordinator.send, partial(check_depth, app, settings), middleware)

    @classmethod
    def over(
        cls,
        state: State,
        send: Send,
        middleware: Iterable[Middleware] = (),
        listening: Listening | None = None,
    ) -> Self:
        """Return a runner over a state and a way of messages that are at hand.

        It looks at no queue: ``GOSTAGE_MAX_QUEUED`` is not asked for.
        *listening* has its handlers called in another way than on a thread.
        """
        runner = cls.__new__(cls)
        runner._assemble(state, send, lambda: None, middleware, listening)
        return runner

    def _assemble(
        self,
        state: State,
        send: Send,
        check_room: Callable[[], None],
        middleware: Iterable[Middleware],
        listening: Listening | None = None,
    ) -> None:
        super().__init__(state, send)
        self.settings = state.settings
        self._check_room = check_room
        self._listening = listening or Listening(state)
        wrapped = uses_of("Runner(middleware=...)", middleware)
        self._new = NewRuns(state, wrapped)
        self.schedules = Schedules(state, self._new.content, self._submitted)
        """Schedules: ``runner.schedules.add(…)``, ``runner.schedules["nightly"].pause()``."""
        self.throttles = Throttles(state, send)
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
                StoreTypeError, InvalidKeyError, ValueTooLargeError and StoreFullError.
            RunExistsError: a run of this id exists, or one of this *key* where that is refused.
            BackpressureError: ``GOSTAGE_MAX_LIVE_RUNS`` or ``GOSTAGE_MAX_QUEUED`` is reached; says
                when to come again.
            StoreUnavailableError: Redis does not answer; nothing was submitted, or it was and a
                repeat with the same *key* or *run_id* tells.
        """
        with submitting() as tell:
            new = self._new.make(
                workflow,
                store=store,
                run_id=run_id,
                key=key,
                on_conflict=on_conflict,
                concurrency_key=concurrency_key,
                deadline=deadline,
                tags=tags,
                reply_to=reply_to,
            )
            run = self._create(new)
            tell(new.definition.id, run.run_id)
        return run

    def prepare(self, workflow: Workflow | Mapping[str, Any] | str, **options: Any) -> PreparedRun:
        """Check what :meth:`submit` takes, and return it as text for :meth:`submit_prepared`.

        Takes the same *options*. No server is asked. It is for an outbox: the text is written into
        a table by the transaction that wants the run, and submitted once that is committed. The
        *deadline* counts from now on, by the clock of this machine; the middleware is that of this
        runner.

        Raises:
            GostageError: as :meth:`submit`, but for what a server says.
            TypeError: there is no such option.
        """
        given = {**_NO_OPTIONS, **options}
        if unknown := given.keys() - _NO_OPTIONS.keys():
            raise TypeError(f"prepare() takes no option {', '.join(sorted(unknown))}")
        new = self._new.make(workflow, **given)
        self._new.arguments(new)
        return prepared(new, self._state.vault, self._state.machine.now())

    def submit_prepared(self, text: str) -> Run:
        """Create the run that :meth:`prepare` returned as *text*, and return its handle.

        Any process may do this, one that knows none of the run's actions too. Safe to repeat, and
        to do in several processes at once: one text is one run, or the run that its key has
        already. That holds as long as this run is retained; later the same text is a new run. So
        whoever submitted a text and could not note that it did (a deletion that was not committed)
        has to repeat it within ``GOSTAGE_RETENTION``, which begins with the end of the run.

        Raises:
            PreparedRunError: it can never be submitted: *text* is not what :meth:`prepare`
                returned, it is larger than this runner allows, or another run has its id.
            StoreUnavailableError: as :meth:`submit`; repeat it later.
        """
        try:
            now = self._state.machine.now()
            new = read_prepared(text, self.settings.bounds, self._state.vault, now)
            with submitting(new.trace) as tell:
                run = self._create(replace(new, trace=carrier() or new.trace))
                tell(new.definition.id, run.run_id)
        except (DefinitionError, RunError, StoreError) as error:
            raise PreparedRunError(str(error)) from error
        return run

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

    def _create(self, new: NewRun) -> Run:
        self._check_room()
        arguments = self._new.arguments(new)
        answer = self._state.submit(new.run_id, arguments, most=self.settings.max_live_runs)
        match answer.word:
            case "full":
                raise too_many_runs(answer, self.settings.max_live_runs)
            case "taken":
                raise RunExistsError(new.run_id)
            case "exists" if new.on_conflict == "reject":
                raise RunExistsError(answer.details[0], f"has the key {new.key!r}")
            case "exists":
                if new.reply_to:
                    self._state.ask(answer.details[0], new.reply_to)
                self._listening.follow(answer.details[0])
                return Run(self._state, answer.details[0], self._send)
        return self._submitted(new.run_id, answer)

    def _submitted(self, run_id: str, answer: Answer) -> Run:
        """Return the handle of a run that was created, whose messages are sent now."""
        self._listening.follow(run_id)
        try:
            self._send(run_id, answer.next)
        except BrokerUnavailableError as error:
            logger.warning(
                "run %s is kept; its first message is sent by a worker: %s", run_id, error
            )
        return Run(self._state, run_id, self._send)

    def _deliver(self, run: Run) -> None:
        """See that handlers were called with what a run has sent that has ended."""
        try:
            done = self._listening.drain(_DELIVERY_SECONDS, run.run_id)
        except StoreUnavailableError as error:
            logger.warning("messages of run %s come late: %s", run.run_id, error)
            return
        if not done:
            logger.warning("handlers are still at the messages of run %s", run.run_id)
