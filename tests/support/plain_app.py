"""A plain Celery app for tests of the broker alone: a stand-in ``gostage.action``, two tasks more.

Its settings come from the environment: ``PLAIN_BROKER`` (a url), ``PLAIN_TRANSPORT`` (empty for
kombu's own), ``PLAIN_OPTIONS`` and ``PLAIN_SETTINGS`` (JSON). Each task pushes its marker to the
list ``done``; one that is given a gate waits before that until the gate, a file, exists.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import redis
from celery import Celery

BROKER = os.environ.get("PLAIN_BROKER", "redis://127.0.0.1:1/0")

app = Celery("plain", broker=BROKER, set_as_current=False)
app.conf.update(
    broker_transport=os.environ.get("PLAIN_TRANSPORT") or None,
    broker_transport_options=json.loads(os.environ.get("PLAIN_OPTIONS", "{}")),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
)
app.conf.update(json.loads(os.environ.get("PLAIN_SETTINGS", "{}")))


@app.task(name="gostage.action", shared=False)
def action(marker: str = "", gate: str = "") -> None:
    """Stand in for the engine's own task."""
    finish(marker, gate)


@app.task(name="plain.early", shared=False)
def early(marker: str = "", gate: str = "") -> None:
    """Be a task that is none of ours."""
    finish(marker, gate)


@app.task(name="plain.late", shared=False, acks_late=True)
def late(marker: str = "", gate: str = "") -> None:
    """Be a task that is none of ours, with late acks."""
    finish(marker, gate)


def finish(marker: str, gate: str) -> None:
    """Wait for the gate, then note the marker, if there is one."""
    if not marker:
        return
    with redis.Redis.from_url(BROKER) as client:
        if gate:
            client.rpush("begun", marker)
            while not Path(gate).exists():
                time.sleep(0.01)
        client.rpush("done", marker)
