"""What becomes of a message of ours when a worker receives it: checked first, then as Celery does.

Celery asks each task for its strategy, in the worker's main process and whatever the broker is.
"""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from celery.worker.strategy import default

from gostage_core.broker.messages import CheckedMessage
from gostage_core.broker.quarantine import MalformedItemError, quarantine
from gostage_core.broker.signatures import UnsignedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core.broker.signatures import Signer
    from gostage_workers.installation import Installation

logger: Final = logging.getLogger(__name__)


def checked(installation: Installation) -> dict[str, Any]:
    """Return the options of our own tasks by which their messages are checked, if they are."""
    signer = installation.signer
    if signer is None:
        return {}
    # It becomes an attribute of the task's class, and later Pythons would bind it.
    return {"Strategy": staticmethod(partial(_checking, installation, signer))}


def _checking(
    installation: Installation, signer: Signer, task: Any, app: Any, consumer: Any
) -> Callable[..., Any]:
    receive: Callable[..., Any] = default(task, app, consumer)

    def check_and_receive(message: Any, body: Any, *args: Any, **options: Any) -> Any:
        try:
            signer.check(task.name, message.headers, _text_of(message), message.payload)
        except UnsignedError as error:
            return _refuse(installation, task.name, message, str(error))
        return receive(message, body, *args, **options)

    return check_and_receive


def _text_of(message: Any) -> str:
    body = message.body
    return body if isinstance(body, str) else bytes(body).decode("utf-8", "replace")


def _refuse(installation: Installation, task: str, message: Any, reason: str) -> None:
    """Put a message into the quarantine.

    Raises:
        MalformedItemError: it came through our transport, which does so.
    """
    told = f"message {message.headers.get('id')!r:.80} of {task}: {reason}"
    if isinstance(message, CheckedMessage):
        raise MalformedItemError(told, message)
    item = json.dumps({"headers": message.headers, "body": _text_of(message)}, default=repr)
    origin = (message.delivery_info or {}).get("routing_key")
    queue = str(origin or installation.settings.namespace)
    quarantine(installation.state.client, queue, item.encode(), told)
    message.reject_log_error(logger, _errors_of(message))


def _errors_of(message: Any) -> tuple[type[Exception], ...]:
    """Return what the broker of a message raises when it is away."""
    found = getattr(message.channel, "connection_errors", ())
    return tuple(found) or (OSError,)
