"""The same link of a chain for both sides, as a Celery task and as an action: it says where it is.

Imported by the workers. ``LINKS_FILE`` names the file that it writes to, ``LINKS_SECONDS`` how long
it takes, ``LINKS_SETTINGS`` has the settings of the Celery app as JSON.
"""

from __future__ import annotations

import json
import os
import time

from celery import Celery

from gostage_core import ActionContext, action

app = Celery("links", broker=os.environ.get("BENCHMARK_URL"), set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    **json.loads(os.environ.get("LINKS_SETTINGS", "{}")),
)


def work(number: int) -> None:
    """Say that the link begins, take a while, say that it has ended."""
    tell(f"begin {number} {os.getpid()} {time.time()}")
    time.sleep(float(os.environ["LINKS_SECONDS"]))
    tell(f"end {number} {os.getpid()} {time.time()}")


def tell(line: str) -> None:
    """Write a line, whole."""
    file = os.open(os.environ["LINKS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


@app.task(name="links.task")
def task(number: int) -> None:
    """Be a link of a Celery chain."""
    work(number)


@action("links.link")
def link(ctx: ActionContext, number: int) -> None:
    """Be an action of a run."""
    work(number)
