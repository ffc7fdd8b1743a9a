"""Checks what is to be submitted, and makes of it what the server takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from gostage_core.authoring.middleware import wrapped_in
from gostage_core.authoring.workflow import Workflow
from gostage_core.duration import seconds
from gostage_core.errors import InvalidWorkflowError, StoreFullError
from gostage_core.naming import check_name
from gostage_core.plan import NewRun, check_plan_size, submit_details
from gostage_core.run_ids import checked_run_id, new_run_id
from gostage_core.store import encoded_value
from gostage_core.tracing.current import carrier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gostage_core.authoring.definition import MiddlewareUse, WorkflowDefinition
    from gostage_core.duration import Duration
    from gostage_core.state.operations import State

    AnyWorkflow = Workflow | Mapping[str, Any] | str

OnConflict = Literal["join", "reject", "replace"]

_ON_CONFLICT: Final = get_args(OnConflict)


class NewRuns:
    """Makes runs to be created, for one namespace."""

    def __init__(self, state: State, middleware: tuple[MiddlewareUse, ...]) -> None:
        """Wrap each in *middleware*, outside of what its workflow uses."""
        self._settings = state.settings
        self._keys = state.keys
        self._machine = state.machine
        self._middleware = middleware

    def make(
        self,
        workflow: AnyWorkflow,
        *,
        store: Mapping[Any, Any] | None,
        run_id: str | None,
        key: str | None,
        on_conflict: OnConflict,
        concurrency_key: str | None,
        deadline: Duration | None,
        tags: Iterable[str],
        reply_to: str | None,
    ) -> NewRun:
        """Return a run that is to be created, checked in all but its size as a plan.

        Raises:
            GostageError: as :meth:`Runner.submit`, but for what a server says.
        """
        if on_conflict not in _ON_CONFLICT:
            known = ", ".join(_ON_CONFLICT)
            raise ValueError(f"on_conflict is one of {known}, not {on_conflict!r}")
        definition, values = self.content(workflow, store or {})
        return NewRun(
            run_id=new_run_id(self._machine) if run_id is None else checked_run_id(run_id),
            nonce=self._machine.token(),
            definition=definition,
            details=submit_details(definition),
            bounds=self._settings.bounds,
            key=check_name(key) if key is not None else "",
            on_conflict=on_conflict,
            concurrency_key="" if concurrency_key is None else check_name(concurrency_key),
            deadline_ms=0 if deadline is None else max(1, round(seconds(deadline) * 1000)),
            reply_to="" if reply_to is None else self._keys.checked_foreign(reply_to),
            tags=tuple(_tags(definition, tags)),
            trace=carrier(),
            values=values,
        )

    def content(
        self, workflow: AnyWorkflow, store: Mapping[Any, Any]
    ) -> tuple[WorkflowDefinition, dict[str, bytes]]:
        """Return a workflow as it is submitted, and the first values of its store, encoded."""
        limit = self._settings.max_value_bytes
        values = dict(encoded_value(key, value, limit) for key, value in store.items())
        return wrapped_in(self._middleware, _definition(workflow)), values

    def arguments(self, new: NewRun) -> Sequence[object]:
        """Return a run as the server takes it.

        Raises:
            ValueTooLargeError: it is larger than ``GOSTAGE_MAX_PLAN_BYTES``.
            StoreFullError: its first values are larger than ``GOSTAGE_MAX_STORE_BYTES``.
        """
        most = self._settings.max_store_bytes
        if sum(len(key.encode()) + len(data) for key, data in new.values.items()) > most:
            raise StoreFullError(new.run_id, most)
        arguments = new.arguments()
        limit = self._settings.max_plan_bytes
        check_plan_size(f"workflow {new.definition.id!r}", arguments, limit)
        return arguments


def _definition(workflow: AnyWorkflow) -> WorkflowDefinition:
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
