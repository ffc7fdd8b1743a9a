"""Turns what is ready into Celery messages: a stage as a chain, in windows of bounded length."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from kombu.exceptions import OperationalError

from gostage_core.broker.direct import NOWHERE, Trail
from gostage_core.broker.hints import HINT_TASK
from gostage_core.broker.signatures import signed_link
from gostage_core.broker.transport import HEAD_HEADER
from gostage_core.errors import BrokerUnavailableError, StoreUnavailableError
from gostage_core.plan import Carrier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery

    from gostage_core.broker.direct import DirectLine, Link
    from gostage_core.broker.signatures import Signer
    from gostage_core.state.answers import Next, Ready

logger: Final = logging.getLogger(__name__)

_BATCH: Final = 200
_HEAD: Final = {HEAD_HEADER: "1"}
_HARD_LIMIT_GRACE: Final = 3.0
"""How long a pool's child that does not answer to its timeout may live on, in seconds."""


class Coordinator:
    """Sends the messages of one namespace through one Celery app. Safe to share between threads.

    A message is a hint: one that is lost is sent again by the rescuer, one that comes twice finds
    its work taken.
    """

    def __init__(
        self,
        app: Celery,
        queue: str,
        line: DirectLine | None = None,
        signer: Signer | None = None,
    ) -> None:
        """Publish through *app*, or where it is allowed over *line*; signed by *signer*."""
        self._app = app
        self._line = line
        self._signer = signer
        self.queue = queue

    def send(
        self, run_id: str, following: Next, trail: Trail = NOWHERE, *, head: bool = False
    ) -> None:
        """Publish what *following* says; one message for a chain, one a member for a group.

        At the *head* of the queue, all of it or what says so itself, it comes before what was sent
        since, and says nothing about that.

        Raises:
            BrokerUnavailableError: the broker does not take it.
        """
        messages = following.messages()
        for headers in (_HEAD, {}):
            chains = [
                [self._link(run_id, ready) for ready in reversed(message)]
                for message in messages
                if (head or message[0].head) == bool(headers)
            ]
            for start in range(0, len(chains), _BATCH):
                self._publish(chains[start : start + _BATCH], trail, headers=headers)

    def send_again(self, run_id: str, ready: Ready) -> None:
        """Publish one message at the head of its queue, in place of one that was lost.

        Raises:
            BrokerUnavailableError: the broker does not take it.
        """
        self._publish([[self._link(run_id, ready)]], NOWHERE, headers=_HEAD)

    def go_on(
        self, run_id: str, following: Next, carried: list[Link] | None, trail: Trail
    ) -> list[Link] | None:
        """Send what comes after a task, whose chain carries *carried*, or have Celery do it.

        Returns the links that Celery is to go on with, the next one last; ``None`` where nothing
        is left for it to do. What cannot be sent now is sent by a rescuer.
        """
        if following.mode == "group" or any(ready.head for ready in following.ready):
            try:
                self.send(run_id, following, trail)
            except BrokerUnavailableError as error:
                logger.warning("run %s: sent later: %s", run_id, error)
            return None
        links = carried
        if following.mode == "chain":
            links = [self._link(run_id, ready) for ready in reversed(following.ready)]
        if links and self._line is not None and self._line.takes(links[-1]):
            try:
                self._line.send([links], trail, headers={})
            except StoreUnavailableError as error:
                logger.warning("run %s: left to Celery: %s", run_id, error)
            else:
                return None
        return links

    def queue_of(self, carrier: Carrier) -> str:
        """Return the queue that a message with this carrier goes to."""
        return carrier.queue or self.queue

    def _publish(self, chains: list[list[Link]], trail: Trail, *, headers: dict[str, str]) -> None:
        """Publish each chain: its next link, which is the last, with the others as its tail.

        This is what ``celery.chain`` sends; it is put together here, as ``celery.chain`` would copy
        and freeze what is frozen already.
        """
        if self._line is not None and all(self._line.takes(links[-1]) for links in chains):
            try:
                self._line.send(chains, trail, headers=headers)
            except StoreUnavailableError as error:
                raise BrokerUnavailableError(str(error)) from error
            return
        with _our_errors(), self._app.producer_or_acquire() as producer:
            for links in chains:
                *tail, link = links
                own = link["options"].get("headers") or {}
                self._app.signature(link).apply_async(
                    chain=tail or None,
                    headers={**own, **headers},
                    producer=producer,
                    **trail._asdict(),
                )

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
        link = {
            "task": HINT_TASK,
            "args": [ready.run_id or run_id, ready.entry],
            "kwargs": {},
            "options": options,
            "subtask_type": None,
            "immutable": True,
        }
        return link if self._signer is None else signed_link(link, self._signer)


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, OSError) as error:
        raise BrokerUnavailableError(
            f"Celery's broker does not take a message: {error}; check GOSTAGE_BROKER_URL"
        ) from error
