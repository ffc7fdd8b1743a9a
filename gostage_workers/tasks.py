"""The Celery task of gostage. "Task" is only ever Celery's own word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core.broker.direct import Trail
from gostage_core.broker.hints import HINT_TASK
from gostage_core.broker.transport import HEAD_HEADER
from gostage_core.rescuer import mark_of

if TYPE_CHECKING:
    from celery import Celery, Task

    from gostage_workers.installation import Installation


def register(app: Celery, installation: Installation) -> None:
    """Register the task that carries every action.

    It acknowledges early and keeps no result: recovery and state are the engine's.
    """

    @app.task(
        name=HINT_TASK,
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
