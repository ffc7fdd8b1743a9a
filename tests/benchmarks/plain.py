"""The other side: a plain Celery app, tuned, as its users would run it."""

from __future__ import annotations

import os

from celery import Celery

from tests.benchmarks import work

app = Celery(
    "plain",
    broker=os.environ.get("BENCHMARK_URL"),
    backend=os.environ.get("BENCHMARK_URL"),  # a chord counts its results there
    set_as_current=False,
)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    task_default_queue="plain",
)


@app.task(name="plain.noop")
def noop() -> None:
    """Do nothing."""


@app.task(name="plain.member", ignore_result=False)
def member() -> None:
    """Do nothing, as a member of a chord."""


@app.task(name="plain.last")
def last() -> None:
    """Do nothing, and say so."""
    work.tell()
