"""Lets a run take the place of a link of a canvas: the canvas waits for it, and then goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import JsonValue

from gostage_core.authoring.definition_fields import StoreKey
from gostage_core.authoring.middleware import Middleware, use_of
from gostage_core.broker.signatures import TICKET
from gostage_core.broker.tagged import tagged
from gostage_core.broker.task_names import END_TASK
from gostage_core.errors import InvalidActionError, InvalidWorkflowError, StoreError
from gostage_workers.submissions import submit_for

if TYPE_CHECKING:
    from gostage_core.middleware.context import HookContext, ScopeOutcome
    from gostage_workers.installation import Installation

_KEPT: Final = {
    "id": "task_id",
    "root_id": "root_id",
    "parent_id": "parent_id",
    "group": "group_id",
    "group_index": "group_index",
    "chord": "chord",
    "chain": "chain",
    "callbacks": "link",
    "errbacks": "link_error",
    "reply_to": "reply_to",
    "ignore_result": "ignore_result",
    "replaced_task_nesting": "replaced_task_nesting",
}
"""What Celery calls in a request what is to go on, and in the options of a message."""


class ReturnToCanvas(Middleware, id="gostage.ReturnToCanvas"):
    """Ends the link of a canvas that a run stands for, when the run has ended."""

    message: dict[str, JsonValue]
    """The options of the message that ends it: its id, and what comes after it."""
    take: StoreKey | None = None
    """The key of the store whose value is the result."""

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """Send the result, or the failure, to where the canvas goes on."""
        if outcome.status not in ("completed", "bailed"):
            why = f"failed: {outcome.error}" if outcome.error else f"was {outcome.status}"
            self._end(ctx, failure=why)
            return
        try:
            result = ctx.store.get(self.take) if self.take else ctx.run_id
            self._end(ctx, result=result)
        except InvalidActionError as error:
            self._end(ctx, failure=f"has no result for the canvas: {self.take}: {error.__cause__}")
        except StoreError as error:
            self._end(ctx, failure=f"has no result for the canvas: {error}")

    def _end(self, ctx: HookContext, **end: object) -> None:
        ctx.publish(END_TASK, [], {"run_id": ctx.run_id, **end}, **self.message)


def begin_link(
    installation: Installation, request: Any, given: tuple[Any, ...], wanted: dict[str, Any]
) -> None:
    """Submit the run that takes the place of the task of *request*. Safe to repeat.

    Raises:
        GostageError: it cannot be submitted.
    """
    wanted.pop(TICKET, None)  # it was looked at when the message was received
    definition, give, take = (wanted.pop(name, None) for name in ("definition", "give", "take"))
    if not isinstance(definition, dict):
        raise InvalidWorkflowError("gostage.run takes definition=, as run_signature(...) writes it")
    use = use_of(ReturnToCanvas(message=_message_of(request), take=take))
    wrapped = {
        **definition,
        "middleware": [use.model_dump(mode="json"), *definition.get("middleware", ())],
    }
    if give is not None and given:
        wanted["store"] = {**wanted.get("store", {}), give: given[0]}
    submit_for(installation, request, wrapped, wanted)


def _message_of(request: Any) -> dict[str, Any]:
    options = {option: getattr(request, name, None) for name, option in _KEPT.items()}
    message: dict[str, Any] = tagged({name: one for name, one in options.items() if one})
    return message
