"""What the hooks of stages and runs are handed: their scope, the store, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from gostage_core.authoring.conditions import conditions
from gostage_core.context import AttemptLog, logger
from gostage_core.errors import HookError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gostage_core.authoring.workflow import Stage
    from gostage_core.context import ActionContext
    from gostage_core.context_port import View
    from gostage_core.failure import Failure
    from gostage_core.resources import Resources
    from gostage_core.store import AttemptStore

HookName = Literal["before_stage", "after_stage", "before_run", "after_run"]


class HookContext:
    """The view that one hook of one middleware has of its run. For the hook's own thread.

    What the hooks of a scope write is committed together, once, when all of them have returned.
    """

    def __init__(
        self,
        ctx: ActionContext,
        hook: HookName,
        middleware: str,
        *,
        position: int,
        level: Literal["workflow", "stage"],
        scratch: dict[str, Any],
    ) -> None:
        self.run_id: str = ctx.run_id
        """The id of the run."""
        self.store: AttemptStore = ctx.store
        """The run's store, with what the hooks of this scope have changed so far."""
        self.attempt: int = ctx.attempt
        """Which try this is, from 1; a hook is tried again when its worker was lost."""
        self.resources: Resources = ctx.resources
        """Objects of this worker by name, which never travel: ``ctx.resources.db``."""
        self.idempotency_key: str = f"{ctx.idempotency_key}:{position}"
        """The same for every try at this hook of this middleware, and for no other hook."""
        self.level: Literal["workflow", "stage"] = level
        """Whether the middleware is used on the workflow (or its runner), or on the stage."""
        self.scratch: dict[str, Any] = scratch
        """JSON that the hook before a scope leaves to the one after it, for this middleware."""
        self.skip_reason: str | None = None
        """Why the stage is to be skipped, when :meth:`skip` was called."""
        self._ctx = ctx
        self._hook = hook
        self._middleware = middleware

    @property
    def workflow(self) -> View:
        """The workflow: id, name, description, tags."""
        return self._ctx.workflow

    @property
    def stage(self) -> View:
        """The stage: id, name, description, tags.

        Raises:
            HookError: in the hooks of a run, which belong to no stage.
        """
        if self._hook not in _OF_STAGES:
            raise self._error("ctx.stage", "before_stage or after_stage")
        return self._ctx.stage

    @property
    def now(self) -> datetime:
        """The time in UTC; as in an action."""
        return self._ctx.now

    @property
    def deadline(self) -> datetime | None:
        """When the run must be done, if it was submitted with a deadline."""
        return self._ctx.deadline

    @property
    def cancelled(self) -> bool:
        """Whether the hook should end soon; as in an action."""
        return self._ctx.cancelled

    @property
    def log(self) -> AttemptLog:
        """A logger (``gostage.action``) whose records carry run, stage, hook and middleware."""
        return AttemptLog(logger, {**(self._ctx.log.extra or {}), "middleware": self._middleware})

    def send(self, type: str, payload: Any = None) -> None:
        """Send a message of the run, as an action does: it goes out at once and stays."""
        self._ctx.send(type, payload)

    def publish(self, *args: Any, **options: Any) -> None:
        """Publish a message of another Celery task, as ``Celery.send_task`` does."""
        self._ctx.publish(*args, **options)

    def add_stage(self, *stages: Stage) -> None:
        """Add *stages*, in this order: right behind this stage, or in front of the first.

        Raises:
            HookError: in ``after_run``, behind which nothing runs.
            DuplicateStageError: the plan has a stage of this id.
        """
        if self._hook == "after_run":
            raise self._error("ctx.add_stage()", "before_run, before_stage or after_stage")
        self._ctx.add_stage(*stages)

    def skip(self, reason: str = "") -> None:
        """Let the stage not begin: its actions become ``skipped``. The hook goes on.

        The middleware further inside is not asked any more; what was entered so far, this one
        included, gets its ``after_stage``.

        Raises:
            HookError: in another hook than ``before_stage``.
        """
        if self._hook != "before_stage":
            raise self._error("ctx.skip()", "before_stage")
        self.skip_reason = reason or "skipped"

    def holds(self, condition: str, params: Mapping[str, Any] | None = None) -> bool:
        """Ask a registered condition, with parameters that are JSON values.

        Raises:
            UnknownConditionError: nothing registered this id here.
            InvalidActionError: the parameters do not fit.
        """
        return conditions.get(condition).holds(self._ctx, params or {})

    def _error(self, what: str, where: str) -> HookError:
        return HookError(f"{what} is not for {self._hook} of {self._middleware}; use it in {where}")


class ScopeOutcome:
    """How a stage or a run went, as its ``after`` hook is told."""

    def __init__(self, status: str, error: Failure | None = None, reason: str = "") -> None:
        self.status = status
        """``completed``, ``failed``, ``skipped``, ``cancelled`` or ``bailed``."""
        self.error = error
        """What it failed with; ``None`` unless it failed."""
        self.reason = reason
        """Why it was skipped, in the words of the middleware that did."""
        self.recovered = False
        """Whether :meth:`recover` was called."""

    def recover(self) -> None:
        """Let the scope complete although it failed.

        The action that failed stays ``failed``, with who handled it; what was left of the scope is
        ``skipped``; the run goes on behind it. What stands further outside is told ``completed``.

        Raises:
            HookError: the scope has not failed.
        """
        if self.status != "failed":
            raise HookError(
                f"nothing to recover from: it has {self.status}; look at outcome.status first"
            )
        self.recovered = True

    def __repr__(self) -> str:
        return f"<{self.status}: {self.error}>" if self.error else f"<{self.status}>"


_OF_STAGES: Final = frozenset({"before_stage", "after_stage"})
