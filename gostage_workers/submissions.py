"""Submits what comes as a Celery message: definitions, and runs that are links of a canvas."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_OID, uuid5

from celery.exceptions import Reject

from gostage_core.authoring.problems import suggestion
from gostage_core.errors import (
    BackpressureError,
    GostageError,
    InvalidWorkflowError,
    RunExistsError,
    UnavailableError,
)
from gostage_core.replies import refusal
from gostage_core.sealing.texts import reply_text
from gostage_core.state.keys import RUN_ID
from gostage_core.tracing.current import continuing
from gostage_core.values.codec import from_tree
from gostage_workers.patience import patiently

if TYPE_CHECKING:
    from gostage_workers.installation import Installation

logger: Final = logging.getLogger(__name__)

_TAKEN: Final = frozenset(
    {
        "store", "run_id", "key", "on_conflict", "concurrency_key", "deadline", "tags", "reply_to",
    }
)  # fmt: skip
"""What may be said of a run beside its definition."""

_PAUSE: Final = 0.2
"""How long a message is kept that is refused for now, in seconds: it comes again at once where no
other one waits."""

_REFUSED: Final = (GostageError, TypeError, ValueError)


def submit(
    installation: Installation, request: Any, definition: Any, wanted: dict[str, Any]
) -> None:
    """Submit a definition that somebody has sent; one that is refused is told and logged.

    Safe to repeat for one message.
    """
    reply_to = wanted.get("reply_to")
    try:
        _refuse_unknown(wanted)
        submit_for(installation, request, definition, wanted)
    except UnavailableError as error:
        raise put_back(error) from error
    except _REFUSED as error:
        logger.error("message %s is refused: %s", request.id, error)
        if isinstance(reply_to, str):
            _tell(installation, reply_to, wanted.get("run_id"), error)


def submit_for(
    installation: Installation, request: Any, definition: Any, wanted: dict[str, Any]
) -> None:
    """Submit a definition, once for one message.

    Raises:
        GostageError: it is refused.
        BackpressureError: it is refused for now.
        UnavailableError: the server is away, and the worker is to stop.
    """
    run_id = wanted.get("run_id") or run_id_of(request.id)
    options = {
        **wanted,
        "run_id": run_id,
        "store": _store(wanted.get("store")),
        "tags": wanted.get("tags") or (),
    }
    try:
        with continuing(_carried(request)):
            patiently(partial(installation.runner.submit, definition, **options))
    except RunExistsError:
        # Under the id of its message it can only be the run of this very message.
        if wanted.get("run_id") and not _comes_again(request):
            raise


def put_back(error: UnavailableError) -> Reject:
    """Return what has Celery put a message back to the end of its queue."""
    if isinstance(error, BackpressureError):
        time.sleep(_PAUSE)
    return Reject(str(error), requeue=True)


def run_id_of(task_id: str) -> str:
    """Return the id of the run that a message submits: its own, where a run can be called so."""
    return task_id if RUN_ID.fullmatch(task_id) else str(uuid5(NAMESPACE_OID, task_id))


def _refuse_unknown(wanted: dict[str, Any]) -> None:
    for name in wanted.keys() - _TAKEN:
        raise InvalidWorkflowError(f"gostage.submit takes no {name!r}{suggestion(name, _TAKEN)}")


def _store(values: object) -> dict[str, Any]:
    """Return first values of a store: JSON, in which the store's own tags say what is more."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidWorkflowError(f"store is an object, not {type(values).__name__}")
    return {str(key): from_tree(value) for key, value in values.items()}


def _carried(request: Any) -> str:
    """Return the span that a message says it was sent in, by the headers of W3C's Trace Context."""
    fields = (getattr(request, name, None) for name in ("traceparent", "tracestate"))
    return " ".join(one for one in fields if isinstance(one, str))


def _comes_again(request: Any) -> bool:
    return bool((request.delivery_info or {}).get("redelivered"))


def _tell(installation: Installation, reply_to: str, run_id: str | None, error: Exception) -> None:
    told = reply_text(refusal(run_id, error))
    (text,) = installation.state.vault.sealed(str(run_id or ""), [told])
    try:
        key = installation.state.keys.checked_foreign(reply_to)
        patiently(partial(installation.state.push, key, [str(text)], True))
    except UnavailableError as away:
        raise Reject(str(away), requeue=True) from away
    except _REFUSED as refused:
        logger.error("reply_to: %s", refused)
