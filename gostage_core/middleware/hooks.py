"""The entry of a plan that runs one hook of every middleware around a stage or a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gostage_core.authoring.action import Action
from gostage_core.authoring.definition import MiddlewareUse
from gostage_core.authoring.middleware import built, name_of
from gostage_core.authoring.waits import HookReport
from gostage_core.errors import HookError, InvalidActionError
from gostage_core.failure import failure_of
from gostage_core.middleware.context import HookContext, HookName, ScopeOutcome
from gostage_core.onion import settled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from gostage_core.authoring.middleware import Middleware
    from gostage_core.authoring.waits import HookStart
    from gostage_core.context import ActionContext
    from gostage_core.failure import Failure


class Hook(Action, id="gostage.hook"):
    """Runs one hook of every middleware around a stage or a run."""

    __keeps_secrets__ = True

    hook: HookName
    uses: tuple[MiddlewareUse, ...]
    outer: int | None = None
    """How many of them are the workflow's; the rest is the stage's. By default all."""

    def _gostage_check(self, where: str) -> None:
        # So that a worker that does not know one leaves the entry to a worker that does.
        built(self.uses, where)

    def _gostage_settled(self, where: str) -> Self:
        raise InvalidActionError(f"{where}: the engine's own; use middleware instead")

    def execute(self, ctx: ActionContext) -> HookReport:
        """Run the hooks, in the order of the onion, as one attempt."""
        outer = len(self.uses) if self.outer is None else self.outer
        round = Round(ctx, self.hook, built(self.uses), outer)
        if self.hook in ("before_stage", "before_run"):
            return round.enter()
        return round.leave(ctx.hook_start())


class Kept(NamedTuple):
    """What the hooks before a scope leave to those after it."""

    entered: int
    reason: str
    scratch: list[dict[str, Any]]

    def to_text(self) -> str:
        """Return it as JSON text."""
        return json.dumps(self._asdict(), separators=(",", ":"))

    @classmethod
    def from_start(cls, start: HookStart, count: int) -> Kept:
        """Read what :meth:`to_text` wrote; all *count* have entered where nothing was to do."""
        if not start.scratch:
            return cls(count, "", [{} for _ in range(count)])
        return cls(**json.loads(start.scratch))


class Round:
    """One hook of several middlewares, as one onion: the first of them is the outermost."""

    def __init__(
        self, ctx: ActionContext, hook: HookName, middleware: Sequence[Middleware], outer: int
    ) -> None:
        self._ctx = ctx
        self._middleware = middleware
        self._outer = outer
        self._before: HookName = "before_run" if hook.endswith("run") else "before_stage"
        self._after: HookName = "after_run" if hook.endswith("run") else "after_stage"
        self._scratch: list[dict[str, Any]] = [{} for _ in middleware]

    def enter(self) -> HookReport:
        """Run the hooks before a scope, from outside in, until one skips it."""
        for position, middleware in enumerate(self._middleware):
            try:
                view = self._call(position, self._before)
                self._scratch[position] = _json(name_of(middleware), view.scratch)
            except Exception as error:  # noqa: BLE001 - raised again behind the outermost
                return self._retreat(position, error)
            if view.skip_reason is not None:
                return self._skipped(position + 1, name_of(middleware), view.skip_reason)
        entered = len(self._middleware)
        return HookReport("", Kept(entered, "", self._scratch).to_text(), entered)

    def leave(self, start: HookStart) -> HookReport:
        """Run the hooks after a scope, from inside out, for those through which it was entered."""
        kept = Kept.from_start(start, len(self._middleware))
        self._scratch = kept.scratch
        outcome = ScopeOutcome(start.status, start.error, kept.reason)
        handler = self._outwards(kept.entered, outcome, None)
        if not handler or start.status != "failed":
            return HookReport("", "", kept.entered)
        return HookReport(
            "recover", "", kept.entered, handler, f"recovered from {start.error!s:.500}"
        )

    def _retreat(self, position: int, error: Exception) -> HookReport:
        """Leave through those that were entered before a hook raised: nobody else will ask them."""
        handler = self._outwards(position, ScopeOutcome("failed", self._failure(error)), error)
        return self._skipped(0, handler, f"{handler} recovered from {error!r:.500}")

    def _outwards(self, entered: int, outcome: ScopeOutcome, raised: Exception | None) -> str:
        """Run the after hooks of what was entered, and return who recovered the scope.

        One that raises makes it a failed scope for those outside of it.
        """
        handler = ""
        for position in reversed(range(entered)):
            try:
                self._call(position, self._after, outcome)
            except Exception as error:  # noqa: BLE001 - raised again behind the outermost
                error.__context__ = error.__context__ or raised
                raised, handler = error, ""
                outcome = ScopeOutcome("failed", self._failure(error))
            else:
                if outcome.recovered:
                    raised, handler = None, name_of(self._middleware[position])
                    outcome = ScopeOutcome("completed")
        if raised is not None:
            raise raised
        return handler

    def _call(self, position: int, hook: HookName, *more: ScopeOutcome) -> HookContext:
        middleware = self._middleware[position]
        name = name_of(middleware)
        level: Literal["workflow", "stage"] = "workflow" if position < self._outer else "stage"
        view = HookContext(
            self._ctx,
            hook,
            name,
            position=position,
            level=level,
            scratch=self._scratch[position],
        )
        try:
            settled(getattr(middleware, hook)(view, *more))
        except Exception as error:
            error.add_note(f"raised by {hook} of {name}")
            raise
        return view

    def _skipped(self, entered: int, by: str, reason: str) -> HookReport:
        kept = Kept(entered, reason, self._scratch)
        return HookReport("skip", kept.to_text(), entered, by, reason)

    def _failure(self, error: Exception) -> Failure:
        action = self._ctx.action.name
        path = f"{self._ctx.stage.id}/{action}" if self._after == "after_stage" else action
        return failure_of(error, path=path, action=action, attempt=self._ctx.attempt)


def _json(name: str, scratch: object) -> dict[str, Any]:
    """Return *scratch*, if reading it back from JSON gives the same."""
    try:
        kept: dict[str, Any] = json.loads(json.dumps(scratch, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise HookError(f"ctx.scratch of {name} cannot be kept as JSON: {error}") from None
    if not isinstance(scratch, dict) or kept != scratch:
        raise HookError(
            f"ctx.scratch of {name} would come back changed; "
            f"it is a dict with text for keys, and lists in place of tuples"
        )
    return kept
