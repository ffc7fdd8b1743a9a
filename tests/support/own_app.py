"""A project's own Celery app, with a task of its own, that has gostage installed."""

from __future__ import annotations

import os

import redis
from celery import Celery

from gostage_core import ActionContext, Workflow, action
from gostage_workers import install

app = Celery("project", broker=os.environ.get("OWN_URL", "redis://localhost:1/0"))
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = 3


@app.task(name="project.add")
def add(left: int, right: int) -> None:
    """A task that knows nothing of workflows."""
    with redis.Redis.from_url(os.environ["OWN_URL"]) as client:
        client.rpush("sums", left + right)


@action
def greet(ctx: ActionContext, name: str) -> None:
    """An action beside it."""
    ctx.store["greeting"] = f"Hello, {name}"


def workflow() -> Workflow:
    made = Workflow("own")
    made.add_stage("s").add(greet.s(name="Ana"))
    return made


install(app)
