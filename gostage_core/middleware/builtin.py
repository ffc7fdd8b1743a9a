"""The middleware that comes with gostage: logs, times, values, limits, choices, messages."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from gostage_core.authoring.conditions import conditions
from gostage_core.authoring.definition import Tree
from gostage_core.authoring.definition_fields import ActionId, Identifier, StoreKey, Tags, Timeout
from gostage_core.authoring.json_tree import MOST_BYTES
from gostage_core.authoring.middleware import Middleware
from gostage_core.messages import check_type
from gostage_core.naming import LONGEST_NAME
from gostage_core.store import encoded_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from gostage_core.context import ActionContext, AttemptLog
    from gostage_core.duration import Duration
    from gostage_core.middleware.context import HookContext, ScopeOutcome

_BEGAN: Final = "began"


class Logging(Middleware, id="gostage.Logging"):
    """Logs when a run, its stages and its actions begin and end, with durations and errors.

    A run or a stage that fails is logged as an error, an attempt that fails as a warning. The
    records are those of ``ctx.log``: logger ``gostage.action``, with run, stage and action.
    """

    level: Literal["DEBUG", "INFO", "WARNING"] = "INFO"
    """The level of what went well."""

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        """Log an attempt."""
        name, began = ctx.action.name, time.monotonic()
        self._say(ctx.log, "action %s begins, attempt %d", name, ctx.attempt)
        try:
            value = call_next()
        except Exception as error:
            spent = time.monotonic() - began
            ctx.log.warning("action %s failed after %.3f s: %r", name, spent, error)
            raise
        self._say(ctx.log, "action %s completed after %.3f s", name, time.monotonic() - began)
        return value

    def before_stage(self, ctx: HookContext) -> None:
        """Log the beginning of a stage."""
        self._begin(ctx, "stage", ctx.stage.id)

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Log the end of a stage."""
        self._end(ctx, "stage", ctx.stage.id, outcome)

    def before_run(self, ctx: HookContext) -> None:
        """Log the beginning of a run."""
        self._begin(ctx, "run", ctx.run_id)

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Log the end of a run."""
        self._end(ctx, "run", ctx.run_id, outcome)

    def _begin(self, ctx: HookContext, kind: str, id: str) -> None:
        ctx.scratch[_BEGAN] = ctx.now.timestamp()
        self._say(ctx.log, "%s %s begins", kind, id)

    def _end(self, ctx: HookContext, kind: str, id: str, outcome: ScopeOutcome) -> None:
        spent = _since(ctx)
        if outcome.error is not None:
            ctx.log.error("%s %s failed after %.3f s: %s", kind, id, spent, outcome.error)
        else:
            self._say(ctx.log, "%s %s %s after %.3f s", kind, id, outcome.status, spent)

    def _say(self, log: AttemptLog, message: str, *values: object) -> None:
        log.log(logging.getLevelNamesMapping()[self.level], message, *values)


class Timing(Middleware, id="gostage.Timing"):
    """Writes into the store how long things took, in seconds.

    ``timing.ship/pack`` is the action ``pack`` of the stage ``ship`` (``pack[3]`` in a ``ForEach``;
    of several of one name, the last that completed), ``timing.ship`` the stage and ``timing`` the
    run, both with what they waited. An action's is committed with its attempt: there is none of one
    that failed, and of one that waits for something it is the last part. Stages and runs are timed
    by the clocks of the workers that begin and end them.
    """

    key: StoreKey = "timing"
    """What the keys begin with."""

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        """Time an attempt."""
        began = time.monotonic()
        value = call_next()
        item = "" if ctx.index is None else f"[{ctx.index}]"
        name = f"{self.key}.{ctx.stage.id}/{ctx.action.name}{item}"
        ctx.store.put(name[:LONGEST_NAME], time.monotonic() - began)
        return value

    def before_stage(self, ctx: HookContext) -> None:
        """Note when a stage begins."""
        ctx.scratch[_BEGAN] = ctx.now.timestamp()

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Write how long it took."""
        ctx.store.put(f"{self.key}.{ctx.stage.id}"[:LONGEST_NAME], _since(ctx))

    def before_run(self, ctx: HookContext) -> None:
        """Note when a run begins."""
        ctx.scratch[_BEGAN] = ctx.now.timestamp()

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Write how long it took."""
        ctx.store.put(self.key, _since(ctx))


class StoreInjection(Middleware, id="gostage.StoreInjection"):
    """Puts values into the store, over what is there.

    Used on a runner or a workflow, before its first stage; used on a stage, before that one.
    """

    values: dict[StoreKey, Tree]
    """The values, as the codec writes them."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        """Copy *values*, by key or typed key.

        Raises:
            StoreError: a key or a value that the store could not take.
        """
        encoded = dict(encoded_value(key, value, MOST_BYTES) for key, value in values.items())
        super().__init__(values={name: json.loads(data) for name, data in encoded.items()})

    # What is read has been written as the codec writes it.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def before_run(self, ctx: HookContext) -> None:
        """Put them before a run."""
        self._put(ctx)

    def before_stage(self, ctx: HookContext) -> None:
        """Put them before the stage that uses this."""
        if ctx.level == "stage":
            self._put(ctx)

    def _put(self, ctx: HookContext) -> None:
        for name, tree in self.values.items():
            ctx.store.put_encoded(name, json.dumps(tree, separators=(",", ":")).encode("ascii"))


class TimeLimit(Middleware, id="gostage.TimeLimit"):
    """Fails what is not done in time: a run, or the stage that uses this.

    When the time is up, an attempt that runs fails with ``ActionTimeoutError``, just as at its own
    ``timeout``, and one that would begin fails at once; retries do not help. Time in which nothing
    runs counts (waiting for a signal or a worker, a pause), but it is the next attempt that fails:
    where nothing follows, the stage completes. For a limit that ends a run whatever it does, submit
    with a ``deadline``. The clocks are those of the workers.

    While it counts, the store has the end of the time, in seconds since 1970, under ``time.limit``,
    or ``time.limit.ship`` for the stage ``ship``.
    """

    seconds: Timeout
    """From the beginning of the run, or of the stage."""
    key: StoreKey = "time.limit"
    """The key for the end of the time."""

    def __init__(self, seconds: Duration, *, key: str = "time.limit") -> None:
        """Allow *seconds*, or another duration."""
        super().__init__(seconds=seconds, key=key)

    # What is read has been written by a field's name.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def attempt_limit(self, ctx: ActionContext) -> float | None:
        """Return what is left for the run and for the stage, whichever is less."""
        ends = [ctx.store.get(key, float, default=None) for key in self._keys(ctx.stage.id)]
        now = ctx.now.timestamp()
        left = [end - now for end in ends if end is not None]
        return min(left, default=None)

    def before_stage(self, ctx: HookContext) -> None:
        """Begin to count for the stage that uses this."""
        if ctx.level == "stage":
            ctx.store.put(self._keys(ctx.stage.id)[1], ctx.now.timestamp() + self.seconds)

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Count no longer."""
        if ctx.level == "stage":
            ctx.store.delete(self._keys(ctx.stage.id)[1])

    def before_run(self, ctx: HookContext) -> None:
        """Begin to count for the run."""
        ctx.store.put(self.key, ctx.now.timestamp() + self.seconds)

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Count no longer."""
        ctx.store.delete(self.key)

    def _keys(self, stage_id: str) -> tuple[str, str]:
        return self.key, f"{self.key}.{stage_id}"[:LONGEST_NAME]


class StageFilter(Middleware, id="gostage.StageFilter"):
    """Lets only those stages begin that answer every question; the others are skipped.

    What is left out asks nothing.
    """

    ids: tuple[Identifier, ...] = ()
    """The stage is one of these."""
    tags: Tags = ()
    """It has all of these."""
    any_tags: Tags = ()
    """It has one of these."""
    name_contains: str = ""
    """Its name has this in it."""
    condition: ActionId | None = None
    """This registered condition holds, asked when the stage would begin."""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    """What the condition takes after its context."""

    @model_validator(mode="after")
    def _askable(self) -> Self:
        if self.condition is not None:
            conditions.get(self.condition).check(self.params, "params")
        return self

    def before_stage(self, ctx: HookContext) -> None:
        """Skip the stage unless it answers."""
        question = self._unanswered(ctx)
        if question:
            ctx.skip(f"StageFilter: {question}")

    def _unanswered(self, ctx: HookContext) -> str:
        stage = ctx.stage
        if self.ids and stage.id not in self.ids:
            return f"ids={list(self.ids)}"
        if not set(self.tags) <= set(stage.tags):
            return f"tags={list(self.tags)}"
        if self.any_tags and set(self.any_tags).isdisjoint(stage.tags):
            return f"any_tags={list(self.any_tags)}"
        if self.name_contains not in stage.name:
            return f"name_contains={self.name_contains!r}"
        if self.condition is not None and not ctx.holds(self.condition, self.params):
            return f"condition={self.condition!r}"
        return ""


MessageType = Annotated[str, AfterValidator(check_type)]


class Notification(Middleware, id="gostage.Notification"):
    """Sends messages when runs and stages begin and end, to who follows the run.

    What ends has ``status``, ``error`` (text, or null) and ``seconds`` in its payload; what is of a
    stage has ``stage``. A message may come twice where a worker was lost.
    """

    run_started: MessageType | None = "run.started"
    """The type of the message; ``None`` for no message."""
    run_ended: MessageType | None = "run.ended"
    stage_started: MessageType | None = "stage.started"
    stage_ended: MessageType | None = "stage.ended"

    def before_run(self, ctx: HookContext) -> None:
        """Tell of the beginning of a run."""
        self._begin(ctx, self.run_started, {})

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Tell of the end of a run."""
        self._end(ctx, self.run_ended, outcome, {})

    def before_stage(self, ctx: HookContext) -> None:
        """Tell of the beginning of a stage."""
        self._begin(ctx, self.stage_started, {"stage": ctx.stage.id})

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Tell of the end of a stage."""
        self._end(ctx, self.stage_ended, outcome, {"stage": ctx.stage.id})

    def _begin(self, ctx: HookContext, type: str | None, place: Mapping[str, str]) -> None:
        ctx.scratch[_BEGAN] = ctx.now.timestamp()
        if type is not None:
            ctx.send(type, dict(place))

    def _end(
        self, ctx: HookContext, type: str | None, outcome: ScopeOutcome, place: Mapping[str, str]
    ) -> None:
        if type is None:
            return
        error = None if outcome.error is None else str(outcome.error)
        how = {"status": outcome.status, "error": error, "seconds": _since(ctx)}
        ctx.send(type, {**place, **how})


def _since(ctx: HookContext) -> float:
    """Return the seconds since this middleware's hook before the scope."""
    now = ctx.now.timestamp()
    return max(0.0, now - float(ctx.scratch.get(_BEGAN, now)))
