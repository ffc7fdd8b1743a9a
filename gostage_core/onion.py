"""Middleware around one attempt: hook in hook around the body, whichever of them is async.

Every layer begins on the attempt's own thread with nothing of the event loop below it. A hook that
is ``async`` runs in the loop until it asks for what is inside it; then the loop is left, what is
inside runs (in the loop again, if it is ``async`` too), and the hook goes on in the loop with the
answer. So plain and ``async`` hooks mix in any order, on one thread and one loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gostage_core.authoring.middleware import name_of, overrides
from gostage_core.authoring.waits import ChildRun, Delivery, Group, SignalWait, Timer
from gostage_core.errors import ActionTimeoutError, HookError
from gostage_core.event_loop import cancel_running, run_in_loop
from gostage_core.leaving import AttemptLostError, BailSignal, WaitSignal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.authoring.middleware import Middleware
    from gostage_core.context import ActionContext

    Layer = Callable[[], Any]


def wrapped(around: Sequence[Middleware], ctx: ActionContext, body: Layer) -> Any:
    """Return what the hooks of *around*, the outermost first, make of *body*."""
    layer: Layer = partial(_innermost, body)
    for middleware in reversed(around):
        if overrides(type(middleware), "around_action"):
            layer = partial(_through, middleware, ctx, layer)
    try:
        return layer()
    except WaitSignal as signal:
        return signal.wait


def limited(
    around: Sequence[Middleware], ctx: ActionContext, timeout: float | None
) -> float | None:
    """Return the seconds that an attempt may take: the shortest of *timeout* and what hooks say.

    Raises:
        ActionTimeoutError: none are left.
    """
    limits = [timeout]
    for middleware in around:
        limit = middleware.attempt_limit(ctx)
        if limit is not None and limit <= 0:
            raise ActionTimeoutError(f"not begun: {name_of(middleware)} leaves no time for it")
        limits.append(limit)
    return min((limit for limit in limits if limit is not None), default=None)


def settled(value: Any) -> Any:
    """Return *value*, or what it comes to if it is a coroutine."""
    return run_in_loop(value) if inspect.iscoroutine(value) else value


def _innermost(body: Layer) -> Any:
    try:
        value = settled(body())
    except BaseExceptionGroup as group:  # of an asyncio.TaskGroup, which wraps what its tasks raise
        signal = _alone(group)
        if signal is None:
            raise
        raise signal from None
    if isinstance(value, _WAITS):
        raise WaitSignal(value)
    return value


def _alone(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the first signal of a group that holds nothing else: errors count for more."""
    signals, others = group.split((WaitSignal, BailSignal, AttemptLostError))
    found: BaseException | None = None if others else signals
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _through(middleware: Middleware, ctx: ActionContext, inner: Layer) -> Any:
    step = _Step(name_of(middleware), inner)
    value = middleware.around_action(ctx, step.call_next)
    return step.driven(value) if inspect.iscoroutine(value) else value


class _Step:
    """The way of one hook to what is inside it."""

    def __init__(self, name: str, inner: Layer) -> None:
        self._name = name
        self._inner = inner
        self._called = False
        self._runs = False
        self._cancelled = False
        self._asked: asyncio.Future[contextvars.Context]
        self._answer: asyncio.Future[Layer]

    def call_next(self) -> Any:
        """Go on to what is inside; in async code, return what is to be awaited for it."""
        if self._called:
            raise HookError(
                f"{self._name} called call_next() twice; a body runs once an attempt, "
                f"use retry=Retry(...) to try an action again"
            )
        self._called = True
        return self._requested() if _in_loop() else self._inner()

    def driven(self, hook: Any) -> Any:
        """Run the coroutine of an async hook, and what is inside when it asks for that."""
        task = run_in_loop(self._until_asked(hook))
        if self._asked.done() and not task.done():
            outcome = self._outcome(self._asked.result())
            return run_in_loop(self._answered(task, outcome))
        return run_in_loop(_awaited(task))

    async def _until_asked(self, hook: Any) -> asyncio.Task[Any]:
        loop = asyncio.get_running_loop()
        self._asked, self._answer = loop.create_future(), loop.create_future()
        task = loop.create_task(hook)
        while not (task.done() or self._asked.done()):
            try:
                await asyncio.wait([task, self._asked], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                task.cancel()
        return task

    async def _requested(self) -> Any:
        self._asked.set_result(contextvars.copy_context())
        while not self._answer.done():
            try:
                await asyncio.wait([self._answer])
            except asyncio.CancelledError:  # by a timeout of the hook's, for one
                if self._runs:
                    cancel_running()
                self._cancelled = True
        return self._answer.result()()

    def _outcome(self, context: contextvars.Context) -> Layer:
        """Run what is inside, and return how that went as something to call."""
        if self._cancelled:
            return partial(_raise, asyncio.CancelledError())
        self._runs = True
        try:
            value = context.run(self._inner)
        except BaseException as error:  # noqa: BLE001 - the hook is told of whatever it was
            return partial(_raise, error)
        finally:
            self._runs = False
        return lambda: value

    async def _answered(self, task: asyncio.Task[Any], outcome: Layer) -> Any:
        self._answer.set_result(outcome)
        return await task


async def _awaited(task: asyncio.Task[Any]) -> Any:
    return await task


def _raise(error: BaseException) -> NoReturn:
    raise error


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_WAITS: Final = (Group, ChildRun, Delivery, Timer, SignalWait)
