"""Publishes messages of Celery tasks for actions, and has their ends reported."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kombu.exceptions import EncodeError, OperationalError

from gostage_core.broker.signatures import TICKET
from gostage_core.broker.tagged import untagged
from gostage_core.broker.task_names import FAILED_TASK, KEPT_TASKS, RESULT_TASK
from gostage_core.errors import BrokerUnavailableError, InvalidActionError
from gostage_core.leaving import AttemptLostError
from gostage_workers.patience import patiently

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celery import Celery

    from gostage_core.broker.signatures import Signer

_HIDDEN: Final = "(…)"

_DEFAULT_QUEUE: Final = "celery"
"""Where Celery itself puts tasks that nobody routes."""

_DESTINATIONS: Final = frozenset({"queue", "exchange", "routing_key"})


class Publisher:
    """Publishes through one app, with its routes and what it knows of its tasks.

    Safe to share between threads. A broker that is away is waited for.
    """

    def __init__(
        self,
        app: Celery,
        queue: str,
        signer: Signer | None = None,
        *,
        hides_arguments: bool = False,
    ) -> None:
        """Publish through *app*; what comes back to *queue* is signed by *signer*.

        Where it *hides_arguments* they show in no event, no log and no monitor.
        """
        self._app = app
        self._queue = queue
        self._signer = signer
        self._shown = {"argsrepr": _HIDDEN, "kwargsrepr": _HIDDEN} if hides_arguments else {}

    def __call__(
        self,
        name: str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        *,
        answer_to: str = "",
        **options: Any,
    ) -> None:
        """Publish a message of the task *name*, as ``Celery.send_task`` does.

        Args:
            name: of the task.
            args: its positional arguments.
            kwargs: its keyword arguments.
            answer_to: what waits for its end, if anything does.
            options: as ``apply_async`` takes them.

        Raises:
            InvalidActionError: it cannot be written as the app's serializer wants.
        """
        try:
            values, named, options = untagged([list(args), dict(kwargs), options])
        except (TypeError, ValueError) as error:
            raise InvalidActionError(f"task {name}: {error}") from error
        if answer_to:
            result = self._answer(RESULT_TASK, wait=answer_to)
            failure = self._answer(FAILED_TASK, wait=answer_to, queue=self._queue)
            options["link"] = [result, *options.get("link", ())]
            options["link_error"] = [failure, *options.get("link_error", ())]
        send = partial(self._send, name, values, named, options)
        try:
            patiently(send)
        except BrokerUnavailableError as error:
            # The worker stops; whoever does this entry next publishes the message.
            raise AttemptLostError from error

    def _send(
        self, name: str, args: list[object], kwargs: dict[str, object], options: dict[str, Any]
    ) -> None:
        options = {
            **self._shown,
            **options,
            **self._destination(name, options),
            **self._signed(name, args, kwargs, options),
            "add_to_parent": False,
        }
        try:
            self._app.send_task(name, args, kwargs, **options)
        except EncodeError as error:
            raise InvalidActionError(
                f"task {name}: an argument cannot be sent in its message: {error}"
            ) from error
        except (OperationalError, OSError) as error:
            raise BrokerUnavailableError(
                f"Celery's broker does not take a message: {error}; check GOSTAGE_BROKER_URL"
            ) from error

    def _destination(self, name: str, options: dict[str, Any]) -> dict[str, str]:
        """Return where a message goes that would otherwise end up in our queue by default.

        That is so in an app of our own, whose default queue is ours: there nobody knows the task.
        """
        if name in KEPT_TASKS:
            return {"queue": self._queue}
        if self._app.conf.task_default_queue != self._queue or _DESTINATIONS & options.keys():
            return {}
        task: Any = self._app.tasks.get(name)
        if getattr(task, "queue", None) or self._app.amqp.router.lookup_route(
            options.get("route_name", name), (), {}, options, task
        ):
            return {}
        return {"queue": _DEFAULT_QUEUE}

    def _signed(
        self, name: str, args: list[object], kwargs: dict[str, object], options: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the signature of a message that workers of gostage take."""
        if self._signer is None or name not in KEPT_TASKS:
            return {}
        made = self._signer.options(name, args, kwargs, options.get("task_id") or "")
        return {**made, "headers": {**(options.get("headers") or {}), **made["headers"]}}

    def _answer(self, task: str, **kwargs: str) -> dict[str, Any]:
        """Return a callback as data. JSON, whatever the project writes its own messages in."""
        if self._signer is not None:
            kwargs[TICKET] = self._signer.ticket(task, kwargs)
        return {
            "task": task,
            "args": [],
            "kwargs": kwargs,
            "options": {"queue": self._queue, "serializer": "json", "ignore_result": True},
            "subtask_type": None,
            "immutable": False,
        }
