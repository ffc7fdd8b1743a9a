"""The Celery tasks of gostage. "Task" is only ever Celery's own word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from celery.exceptions import Ignore

from gostage_core.broker.direct import Trail
from gostage_core.broker.hints import HINT_TASK
from gostage_core.broker.signatures import TICKET
from gostage_core.broker.task_names import (
    END_TASK,
    FAILED_TASK,
    RESULT_TASK,
    RUN_TASK,
    SUBMIT_TASK,
)
from gostage_core.broker.transport import HEAD_HEADER
from gostage_core.errors import RunFailedError, UnavailableError
from gostage_core.rescuer import mark_of
from gostage_workers.canvas_link import begin_link
from gostage_workers.deliveries import deliver_failure, deliver_result, told_of
from gostage_workers.receiving import checked
from gostage_workers.submissions import put_back, submit

if TYPE_CHECKING:
    from celery import Celery, Task

    from gostage_workers.installation import Installation


_KEPT: Final[dict[str, Any]] = {
    "shared": False,
    "typing": False,
    "acks_late": True,
    "reject_on_worker_lost": True,
    "max_retries": None,
}
"""Of the tasks that nobody sends again: a message that its worker dies of comes to another one."""


def register(app: Celery, installation: Installation) -> None:
    """Register the tasks of gostage with *app*."""
    _register_action(app, installation)
    _register_ends(app, installation)
    _register_submit(app, installation)
    _register_link(app, installation)


def _register_action(app: Celery, installation: Installation) -> None:
    """Register the task that carries every action.

    It acknowledges early and keeps no result: recovery and state are the engine's.
    """

    @app.task(
        name=HINT_TASK,
        **checked(installation),
        bind=True,
        shared=False,
        ignore_result=True,
        acks_late=False,
        max_retries=0,
        typing=False,
    )
    def gostage_action(self: Task[Any, Any], run_id: str, label: str) -> None:
        request: Any = self.request
        ended = installation.executor(request.hostname or "local").attempt(
            run_id, label, mark=_mark(request), have=_carried(request, run_id)
        )
        request.chain = installation.coordinator.go_on(
            run_id, ended.next, request.chain, Trail(request.root_id, request.id)
        )


def _register_ends(app: Celery, installation: Installation) -> None:
    """Register what Celery calls when a task has ended that an action waits for.

    In a worker that does not know these, Celery sends them as messages. In one that does, it calls
    the second in the worker's own process, for it takes more than a task's id: there the error is
    at hand, and is sent along.
    """

    @app.task(name=RESULT_TASK, ignore_result=True, **checked(installation), **_KEPT)
    def gostage_result(
        result: object = None, *, wait: object = None, ticket: object = None
    ) -> None:
        deliver_result(installation, wait, result)

    # Not bound: Celery would then take it for one that wants the id alone.
    @app.task(name=FAILED_TASK, ignore_result=True, **checked(installation), **_KEPT)
    def gostage_failed(
        request: Any,
        error: BaseException | None = None,
        traceback: object = None,
        *,
        wait: object = None,
        queue: str | None = None,
        told: dict[str, str] | None = None,
        ticket: object = None,
    ) -> None:
        if error is None:
            deliver_failure(installation, wait, request, told)
            return
        known = {"wait": wait, TICKET: ticket} if ticket else {"wait": wait}
        gostage_failed.apply_async(
            (request.id,),
            {**known, "told": told_of(error, traceback)},
            # This worker may be of another namespace than the run.
            queue=queue,
            serializer="json",
        )


def _register_submit(app: Celery, installation: Installation) -> None:
    """Register the task by which others submit definitions."""

    @app.task(name=SUBMIT_TASK, bind=True, ignore_result=True, **checked(installation), **_KEPT)
    def gostage_submit(self: Task[Any, Any], definition: object = None, **wanted: Any) -> None:
        submit(installation, self.request, definition, wanted)


def _register_link(app: Celery, installation: Installation) -> None:
    """Register the task whose place a run takes, and the one that ends it under the same id."""

    @app.task(name=RUN_TASK, bind=True, **checked(installation), **_KEPT)
    def gostage_run(self: Task[Any, Any], *given: Any, **wanted: Any) -> None:
        try:
            begin_link(installation, self.request, given, wanted)
        except UnavailableError as error:
            raise put_back(error) from error
        # Celery then keeps no result, and sends nothing of what comes after it.
        raise Ignore

    @app.task(name=END_TASK, throws=(RunFailedError,), **checked(installation), **_KEPT)
    def gostage_end(
        *, run_id: str = "", result: object = None, failure: str | None = None
    ) -> object:
        if failure is not None:
            raise RunFailedError(run_id, failure)
        return result


def _carried(request: Any, run_id: str) -> str:
    """Return the entry that the carried chain goes on with, if it goes on with this run."""
    chain = request.chain
    if not chain:
        return ""
    link = chain[-1]
    args = link.get("args") or ("", "")
    return str(args[1]) if link.get("task") == HINT_TASK and args[0] == run_id else ""


def _mark(request: Any) -> str:
    """Return the queue whose order this message tells of; none for one that jumped it."""
    info = request.delivery_info or {}
    if info.get("redelivered") or (request.headers or {}).get(HEAD_HEADER):
        return ""
    return mark_of(info.get("routing_key") or "", info.get("priority"))
