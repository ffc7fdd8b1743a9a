"""Puts messages of ours onto a queue in Redis just as Celery and kombu would have.

A publish through Celery takes longer than claim and commit of an action together. Where the broker
is the Redis that keeps the runs, and nobody has a say in what is published, the text is written
here.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from celery import signals
from kombu.utils.uuid import uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from celery import Celery

    Push = Callable[[str, list[str], bool], None]

Link = dict[str, Any]

_KEPT_OPTIONS: Final = frozenset({"global_keyprefix", "sep", "priority_steps"})
"""Transport options that change where or how a message is written."""


class Trail(NamedTuple):
    """Where a message comes from: what Celery calls its root and its parent."""

    root_id: str | None = None
    parent_id: str | None = None


NOWHERE: Final = Trail()
"""The trail of a message that no task sent."""


class DirectLine:
    """Writes messages of one app. Safe to share between threads."""

    def __init__(self, app: Celery, url: str, transport: str, push: Push) -> None:
        self._app = app
        self._url = url
        self._transport = transport
        self._push = push
        self._reply_to = uuid()
        self._origin = "gostage"

    def takes(self, link: Link) -> bool:
        """Tell whether this message may go here.

        It may when the app publishes to this very server, and nobody listens to or changes that.
        Looked at for each message, as a tracer may come to listen at any time.
        """
        conf = self._app.conf
        return not (
            (conf.broker_write_url or conf.broker_url) != self._url
            or link["options"].get("priority")
            or signals.before_task_publish.receivers
            or signals.after_task_publish.receivers
            or conf.task_send_sent_event
            or conf.task_compression
            or conf.task_protocol != 2
            or conf.task_serializer != "json"
            or conf.broker_transport != self._transport
            or not _KEPT_OPTIONS.isdisjoint(conf.broker_transport_options)
        )

    def send(self, chains: Iterable[list[Link]], trail: Trail, *, headers: dict[str, str]) -> None:
        """Push one message a chain, its next link last as Celery keeps them.

        Raises:
            StoreUnavailableError: the server does not answer; some may have been pushed.
        """
        queues: dict[str, list[str]] = {}
        for links in chains:
            queue = links[-1]["options"]["queue"]
            queues.setdefault(queue, []).append(self.text(links, trail, headers))
        for queue, texts in queues.items():
            self._push(queue, texts, bool(headers))

    def text(self, links: list[Link], trail: Trail, headers: dict[str, str]) -> str:
        """Return the message for a chain as kombu writes it to Redis: protocol 2, JSON."""
        *tail, link = links
        options = link["options"]
        task_id = options["task_id"]
        body = [
            link["args"],
            {},
            {"callbacks": None, "errbacks": None, "chain": tail or None, "chord": None},
        ]
        message = {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": link["task"],
                "id": task_id,
                "shadow": options.get("shadow"),
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [options.get("time_limit"), None],
                "root_id": trail.root_id or task_id,
                "parent_id": trail.parent_id,
                "argsrepr": repr(link["args"]),
                "kwargsrepr": "{}",
                "origin": self._origin,
                "ignore_result": True,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
                **(options.get("headers") or {}),
                **headers,
            },
            "properties": {
                "correlation_id": task_id,
                "reply_to": self._reply_to,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": options["queue"]},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
            },
        }
        return json.dumps(message)
