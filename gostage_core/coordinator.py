"""Turns what is ready into Celery messages: a stage as a chain, in windows of bounded length."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from celery import chain
from kombu.exceptions import OperationalError

from gostage_core.errors import BrokerUnavailableError
from gostage_core.plan import Carrier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from celery import Celery
    from celery.canvas import Signature

    from gostage_core.state.operations import Next, Ready

logger: Final = logging.getLogger(__name__)

ACTION_TASK: Final = "gostage.action"
"""The one Celery task that carries every action; its arguments are ids alone."""

HEAD: Final = "gostage_head"
"""The header of a message that goes to the head of its queue."""

_BATCH: Final = 200
_HARD_LIMIT_GRACE: Final = 3.0
"""How long a pool's child that does not answer to its timeout may live on, in seconds."""

Link = dict[str, Any]


class Coordinator:
    """Sends the messages of one namespace through one Celery app. Safe to share between threads.

    A message is a hint: one that is lost is sent again by the rescuer, one that comes twice finds
    its work taken.
    """

    def __init__(self, app: Celery, queue: str) -> None:
        self._app = app
        self.queue = queue

    def send(self, run_id: str, following: Next) -> None:
        """Publish what *following* says; one message for a chain, one a member for a group.

        Raises:
            BrokerUnavailableError: the broker does not take it.
        """
        if following.mode == "chain":
            with _our_errors():
                self._chain(run_id, following.ready).apply_async()
        elif following.mode == "group":
            self._send_group(run_id, following.ready)

    def send_again(self, run_id: str, ready: Ready) -> None:
        """Publish one message at the head of its queue, in place of one that was lost.

        Raises:
            BrokerUnavailableError: the broker does not take it.
        """
        link = self._link(run_id, ready)
        with _our_errors():
            self._signature(link).apply_async(headers={HEAD: "1"})

    def splice(self, run_id: str, following: Next) -> list[Link] | None:
        """Return the links that a running chain is to carry, the next one last, as in Celery."""
        links = [self._link(run_id, ready) for ready in reversed(following.ready)]
        return links or None

    def queue_of(self, carrier: Carrier) -> str:
        """Return the queue that a message with this carrier goes to."""
        return carrier.queue or self.queue

    def _chain(self, run_id: str, ready: Sequence[Ready]) -> Signature[Any]:
        links = [self._signature(self._link(run_id, one)) for one in ready]
        return links[0] if len(links) == 1 else chain(*links, app=self._app)

    def _send_group(self, run_id: str, members: Sequence[Ready]) -> None:
        for start in range(0, len(members), _BATCH):
            part = members[start : start + _BATCH]
            with _our_errors(), self._app.producer_or_acquire() as producer, producer.batch(_BATCH):
                for one in part:
                    self._signature(self._link(run_id, one)).apply_async(producer=producer)

    def _signature(self, link: Link) -> Signature[Any]:
        return self._app.signature(link)

    def _link(self, run_id: str, ready: Ready) -> Link:
        """One immutable signature, as the plain data that a chain embeds."""
        carrier = Carrier.from_text(ready.carrier)
        options: dict[str, Any] = {
            "task_id": str(uuid4()),
            "queue": self.queue_of(carrier),
            "shadow": carrier.name,
            "ignore_result": True,
        }
        if carrier.priority is not None:
            options["priority"] = carrier.priority
        if carrier.timeout is not None:
            options["time_limit"] = carrier.timeout + _HARD_LIMIT_GRACE
        return {
            "task": ACTION_TASK,
            "args": [run_id, ready.entry],
            "kwargs": {},
            "options": options,
            "subtask_type": None,
            "immutable": True,
        }


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, OSError) as error:
        raise BrokerUnavailableError(
            f"Celery's broker does not take a message: {error}; check GOSTAGE_BROKER_URL"
        ) from error
