"""Brings the ends of Celery tasks to the actions that wait for them."""

from __future__ import annotations

import logging
from functools import partial
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Final

from celery.exceptions import Reject
from celery.states import FAILURE

from gostage_core.composition.task_end import TRACEBACK_LIMIT, failed, succeeded, waiting_entry
from gostage_core.errors import BrokerUnavailableError, CorruptRunError, UnavailableError
from gostage_workers.patience import patiently

if TYPE_CHECKING:
    from gostage_workers.installation import Installation

logger: Final = logging.getLogger(__name__)

_UNTOLD: Final = (
    "the task failed, and the worker that ran it told no more than its id, {id}: look at its log. "
    "With install(app) in the project's Celery app the error's text comes along"
)


def deliver_result(installation: Installation, wait: object, result: object) -> None:
    """Bring what a task returned. Safe to repeat."""
    limit = installation.settings.max_value_bytes
    _deliver(installation, wait, succeeded(result, limit))


def deliver_failure(
    installation: Installation, wait: object, task_id: object, told: dict[str, str] | None
) -> None:
    """Bring what a task failed with, as its worker *told* it. Safe to repeat."""
    _deliver(installation, wait, failed(**(told or _looked_up(installation, str(task_id)))))


def told_of(error: BaseException, trace: object) -> dict[str, str]:
    """Return what a worker tells of the error that a task of it failed with."""
    text = str(trace or "") or "".join(format_exception(error))
    # An exception that could not be pickled stands in for the one that was raised.
    name = getattr(error, "exc_cls_name", None) or type(error).__qualname__
    return {"type": str(name), "message": _message(error), "traceback": text[-TRACEBACK_LIMIT:]}


def _looked_up(installation: Installation, task_id: str) -> dict[str, str]:
    """Return what the result backend knows of a task, where this app has the one it used."""
    try:
        result: Any = installation.app.AsyncResult(task_id)
        if result.state == FAILURE:
            return told_of(result.result, result.traceback)
    except Exception as error:  # noqa: BLE001 - a backend may be anything, or away, or none at all
        logger.info("task %s: its result backend tells nothing: %r", task_id, error)
    return {"type": "TaskError", "message": _UNTOLD.format(id=task_id[:200])}


def _deliver(installation: Installation, wait: object, text: str) -> None:
    place = waiting_entry(wait)
    if place is None:
        logger.error("a message names nothing that could wait: %.200r", wait)
        return
    bring = partial(installation.state.deliver, place.run_id, place.entry, str(wait), text)
    try:
        answer = patiently(bring)
    except CorruptRunError as error:
        logger.error("%s; a task has ended for it", error)
        return
    except UnavailableError as error:
        raise Reject(str(error), requeue=True) from error
    if answer.word == "gone":
        logger.info("run %s: nobody waits any more for a task that has ended", place.run_id)
    try:
        installation.coordinator.send(place.run_id, answer.next)
    except BrokerUnavailableError as error:
        logger.warning("run %s: sent later: %s", place.run_id, error)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception's __str__ is user code and may do anything
        return "message not available"
