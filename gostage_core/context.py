"""What an action is handed: its run, its store, and the plan that it may change."""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from gostage_core.authoring.waits import NO_ITEM, SignalWait
from gostage_core.authoring.workflow import Stage
from gostage_core.duration import seconds
from gostage_core.errors import (
    DuplicateStageError,
    InvalidWorkflowError,
    NoItemError,
    SignalTimeoutError,
    StoreTypeError,
)
from gostage_core.leaving import BailSignal, WaitSignal
from gostage_core.naming import check_name
from gostage_core.planning.action_selection import AllActions
from gostage_core.planning.additions import Additions
from gostage_core.planning.overlay import Overlay
from gostage_core.planning.stage_selection import StageSelection
from gostage_core.signals import expected_name, read_payload
from gostage_core.values.codec import decode, from_tree
from gostage_core.values.types import register_annotation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from datetime import datetime

    from gostage_core.authoring.action import Action
    from gostage_core.authoring.waits import HookStart, Outcome
    from gostage_core.context_port import Port, View
    from gostage_core.duration import Duration
    from gostage_core.planning.action_selection import ActionSelection
    from gostage_core.resources import Resources
    from gostage_core.store import AttemptStore

logger: Final = logging.getLogger("gostage.action")

T = TypeVar("T")

_ONCE: Final = "o"
"""What the names begin with under which an entry remembers what it did once."""


class AttemptLog(logging.LoggerAdapter[logging.Logger]):
    """A logger whose every record carries run, stage, action and attempt."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the place to a record, beside what the caller gives in ``extra``."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class ActionContext:
    """The view that one attempt at one action has of its run. For the attempt's own thread."""

    def __init__(
        self,
        *,
        run_id: str,
        entry: str,
        stage_id: str,
        action: View,
        attempt: int,
        store: AttemptStore,
        port: Port,
        resources: Resources,
        phase: int = 0,
        item: object = NO_ITEM,
        index: int | None = None,
    ) -> None:
        self.run_id = run_id
        """The id of the run."""
        self.action = action
        """This action: registry id, name, description, tags."""
        self.attempt = attempt
        """Which try this is, from 1; tries that lost their worker count."""
        self.store = store
        """The run's store, with this attempt's own changes."""
        self.idempotency_key = f"{run_id}:{entry}"
        """The same for every try at this entry of the plan, and for no other entry."""
        self.additions = Additions()
        """What this attempt adds to the plan; committed with it."""
        self.resources = resources
        """Objects of this worker by name, which never travel: ``ctx.resources.db``."""
        self.phase = phase
        """How often this entry has waited for something before; 0 but for composite actions."""
        self.index = index
        """Which item of a ``ForEach`` this is, from 0; ``None`` outside of one."""
        self._item = item
        self._entry = entry
        self._overlay: Overlay | None = None
        self._stage_id = stage_id
        self._port = port
        self._views: tuple[View, View] | None = None
        self.asked = 0
        """How often :meth:`wait_for` was called."""
        self._cancelled = False
        self._asked_at = port.machine.monotonic()
        self._log: AttemptLog | None = None

    @property
    def workflow(self) -> View:
        """The workflow: id, name, description, tags."""
        return self._described()[0]

    @property
    def stage(self) -> View:
        """The stage: id, name, description, tags."""
        return self._described()[1]

    @property
    def item(self) -> Any:
        """The item of the innermost ``ForEach`` that this action belongs to, as a fresh copy.

        Raises:
            NoItemError: the action belongs to none.
        """
        if self._item is NO_ITEM:
            raise NoItemError(self.action.name)
        return from_tree(self._item)

    @property
    def keeps_result(self) -> bool:
        """Whether what this action returns is kept: under ``store_as``, or for one around it."""
        return self._port.keeps_result()

    def outcome(self) -> Outcome:
        """Return how that went for which this entry waited; for composite actions."""
        return self._port.outcome()

    def hook_start(self) -> HookStart:
        """Return how the scope went whose hooks this entry runs; for hooks of middleware."""
        return self._port.hook_start()

    def publish(self, *args: Any, **options: Any) -> None:
        """Publish a message of another Celery task, as ``Celery.send_task`` does."""
        self._port.publish(*args, **options)

    @property
    def now(self) -> datetime:
        """The time in UTC, by the clock of this worker; in a test, by the clock that it holds."""
        return self._port.machine.now()

    @property
    def deadline(self) -> datetime | None:
        """When this must be done: the earlier one of the deadlines of run and action."""
        return self._port.deadline()

    @property
    def log(self) -> AttemptLog:
        """A logger (``gostage.action``) whose records carry run, stage, action and attempt."""
        if self._log is None:
            place = {
                "run": self.run_id,
                "stage": self._stage_id,
                "action": self.action.name,
                "attempt": self.attempt,
            }
            self._log = AttemptLog(logger, place)
        return self._log

    @property
    def cancelled(self) -> bool:
        """Whether the body should end soon: the run is to stop, or the attempt was given up.

        Asks the server at most twice a second, so a loop may look at it as often as it likes.
        """
        machine = self._port.machine
        if not self._cancelled and machine.monotonic() - self._asked_at >= machine.ask_every:
            self.heartbeat()
        return self._cancelled

    def heartbeat(self) -> None:
        """Ask now whether the attempt should go on; :attr:`cancelled` then tells.

        The lease needs no heartbeat: the worker process renews it.
        """
        self._ask("")

    def progress(self, fraction: float, message: str = "") -> None:
        """Tell who watches how far the body is: *fraction* from 0 to 1, and a few words.

        Goes out at once and stays, whatever becomes of the attempt.

        Raises:
            ValueError: *fraction* is not from 0 to 1.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress is a fraction from 0 to 1, not {fraction!r}")
        self._ask(progress_text(fraction, message))

    def send(self, type: str, payload: Any = None) -> None:
        """Send a message to whoever follows the run: ``runner.on`` and ``run.messages``.

        Goes out at once and stays, whatever becomes of the attempt; a next try sends it again.
        Messages of a run are in the order in which they were sent, and those of a child run are
        in its parent's stream too.

        Args:
            type: a name of your choice, by which handlers choose messages.
            payload: any JSON value, with tuples as lists; values of other types belong into the
                store.

        Raises:
            InvalidKeyError: *type* is no name.
            NotStorableError: *payload* is no JSON value.
            ValueTooLargeError: it is larger than ``GOSTAGE_MAX_VALUE_BYTES``.
            MessageLimitError: the run keeps ``GOSTAGE_MAX_MESSAGES`` already.
        """
        self._port.send(type, payload)

    def checkpoint(self) -> None:
        """Commit the store changes so far and go on. They stay even if the attempt then fails."""
        self._port.checkpoint(self.store)

    @overload
    def wait_for(self, name: str, type: type[T], *, timeout: Duration | None = ...) -> T: ...
    @overload
    def wait_for(self, name: str, type: Any = ..., *, timeout: Duration | None = ...) -> Any: ...

    def wait_for(self, name: str, type: Any = Any, *, timeout: Duration | None = None) -> Any:
        """Wait for a signal to the run and return what it brings, validated as *type*.

        Frees the worker: the attempt commits nothing, and its body starts from the top, as the same
        attempt, when the signal has come. Waits are counted: the n-th one of this entry then
        returns what it returned before, for retries too. So put effects after it, or in
        :meth:`once`. A signal is consumed by one entry, the oldest first; one that came before
        counts. What does not fit *type* is refused, noted in the journal, and waited on for
        another one. For the bodies of actions, and middleware around them; a condition cannot wait.

        Args:
            name: of the signal, as :meth:`Run.signal` sends it.
            type: what it brings; by default anything.
            timeout: after which it is not waited for any more; time waited does not count towards
                the action's own ``timeout``.

        Raises:
            SignalTimeoutError: none came within *timeout*. What catches it goes on so in later
                tries too; where it fails the try, the next one waits anew.
            InvalidKeyError: nothing can be called *name*.
            UnknownTypeError: it brings an object of a class that is not registered here, and no
                *type* was given.
        """
        limit = None if timeout is None else seconds(timeout)
        register_annotation(type)
        wait = SignalWait(self.asked, check_name(name), expected_name(type), limit)
        self.asked += 1
        answer = self._port.answer(wait.which, name)
        if answer is None:
            raise WaitSignal(wait)
        try:
            return read_payload(answer, type, name)
        except StoreTypeError as error:
            raise WaitSignal(replace(wait, refusal=str(error))) from error
        except TimeoutError:
            raise SignalTimeoutError(name, limit, wait.which) from None

    @overload
    def once(self, name: str, function: Callable[[], Awaitable[T]]) -> Awaitable[T]: ...
    @overload
    def once(self, name: str, function: Callable[[], T]) -> T: ...

    def once(self, name: str, function: Callable[[], Any]) -> Any:
        """Return what *function* returns, which is called once for this entry of the plan.

        What it returns is kept at once, whatever becomes of the attempt; later attempts are given
        that, and call nothing. What it raises is not kept. A worker that dies between the call and
        the keeping, or freezes so long that another one takes over, has it called again: give the
        other side ``ctx.idempotency_key`` too, where it takes one. An ``async`` function is
        awaited: ``await ctx.once("charge", charge)``.

        Args:
            name: of what is done, unique in the action.
            function: takes nothing; what it returns must be something that the store can hold.

        Raises:
            NotStorableError: what it returned cannot be kept; it *was* called.
            InvalidKeyError: nothing can be called *name*.
        """
        what = _ONCE + check_name(name)
        if inspect.iscoroutinefunction(function):
            return self._once_awaited(what, function)
        kept = self._port.remembered(what)
        if kept is not None:
            return decode(kept)
        value = function()
        if inspect.isawaitable(value):
            raise TypeError(
                f"once({name!r}, …) was given a function that returns something to be awaited; "
                f"give it the async function itself, or functools.partial of it"
            )
        self._port.remember(what, value)
        return value

    async def _once_awaited(self, what: str, function: Callable[[], Awaitable[Any]]) -> Any:
        kept = self._port.remembered(what)
        if kept is not None:
            return decode(kept)
        value = await function()
        self._port.remember(what, value)
        return value

    def add_action(self, *actions: Action) -> None:
        """Add *actions* right after this one, in this order, ahead of what was planned.

        In a parallel stage they become members of it. Committed with the attempt.

        Raises:
            InvalidWorkflowError: something that is not a bound action.
            PlanLimitError: a guard rail of the workflow forbids it.
        """
        definitions = Stage(self._stage_id, actions).definition().actions
        self._port.admit(definitions)
        self.additions.add_actions(definitions)

    def add_stage(self, *stages: Stage) -> None:
        """Add *stages* right after this one's stage, in this order. Committed with the attempt.

        Raises:
            DuplicateStageError: the plan has a stage of this id.
            PlanLimitError: a guard rail of the workflow forbids it.
        """
        for stage in stages:
            if not isinstance(stage, Stage):
                raise InvalidWorkflowError(
                    f"add_stage() takes Stage(...), not {type(stage).__name__}"
                )
            definition = stage.definition()
            added = any(definition.id == other.id for other in self.additions.stages)
            if added or self._port.has_stage(definition.id):
                raise DuplicateStageError(definition.id)
            self._port.admit(definition.actions)
            self.additions.add_stage(definition)

    @property
    def actions(self) -> ActionSelection:
        """The actions of the plan, this one included: ``ctx.actions["name"]``, ``.filter(…)``.

        The plan is read once, when it is first asked for; the attempt's own changes show at once.
        """
        return AllActions(self._plan())

    @property
    def stages(self) -> StageSelection:
        """The stages of the plan: ``ctx.stages["id"]``, ``.filter(…)``; as :attr:`actions`."""
        overlay = self._plan()
        return StageSelection(overlay, overlay.stages)

    def bail(self, reason: str = "") -> None:
        """End the run here, on purpose: this attempt is committed, the run becomes ``bailed``."""
        raise BailSignal(reason)

    def give_up(self) -> None:
        """Tell the body, through :attr:`cancelled`, that nobody waits for it any more."""
        self._cancelled = True

    def _plan(self) -> Overlay:
        if self._overlay is None:
            self._overlay = Overlay(
                self._port.plan(),
                self.additions,
                run_id=self.run_id,
                admit=self._port.admit,
                entry=self._entry,
            )
        return self._overlay

    def _ask(self, progress: str) -> None:
        self._asked_at = self._port.machine.monotonic()
        if not self._port.may_go_on(progress):
            self._cancelled = True

    def _described(self) -> tuple[View, View]:
        if self._views is None:
            self._views = self._port.describe()
        return self._views


def progress_text(fraction: float, message: str) -> str:
    """Return progress as the JSON that is kept and shown."""
    return json.dumps({"fraction": round(fraction, 4), "message": message[:500]})
