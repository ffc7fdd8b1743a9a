"""The Celery app of a project that has been there before gostage: tasks, routes, its own settings.

``LEGACY_URL`` is its broker and the place of its results; ``LEGACY_INSTALL`` is ``1`` where gostage
is installed into it; ``LEGACY_OPTIONS`` has transport options as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from celery import Celery

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = os.environ.get("LEGACY_URL", "redis://127.0.0.1:1/0")

app = Celery("legacy", broker=URL, backend=URL, set_as_current=False)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options=json.loads(os.environ.get("LEGACY_OPTIONS", "{}")),
    task_routes={"legacy.routed": {"queue": "special"}},
    worker_prefetch_multiplier=1,
)


@contextmanager
def sending_to(url: str) -> Iterator[None]:
    """Have this process send to another server inside, with connections of its own."""
    app.conf.broker_url = app.conf.result_backend = url
    yield
    # A result that nobody holds any more would tell the server so, which is then gone.
    app.backend.result_consumer.subscribed_to.clear()
    app.backend.result_consumer.stop()
    app._after_fork()
    app._local = threading.local()
    app._backend_cache = None


class NoCustomerError(Exception):
    """Raised by a task."""


@app.task(name="legacy.add", shared=False)
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(name="legacy.echo", shared=False)
def echo(*args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs] if kwargs else list(args)


@app.task(name="legacy.total", shared=False)
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="legacy.split", shared=False)
def split(count: int) -> list[int]:
    return list(range(count))


@app.task(name="legacy.price", shared=False, ignore_result=True)
def price(amount: Any) -> Decimal:
    return Decimal(amount) / 4


def _place(request: Any) -> dict[str, Any]:
    return {
        "queue": request.delivery_info["routing_key"],
        "time_limit": request.timelimit[0],
        "retries": request.retries,
        "id": request.id,
    }


@app.task(name="legacy.routed", shared=False, bind=True, time_limit=300)
def routed(self: Any) -> dict[str, Any]:
    return _place(self.request)


@app.task(name="legacy.place", shared=False, bind=True)
def place(self: Any) -> dict[str, Any]:
    return _place(self.request)


@app.task(name="legacy.flaky", shared=False, bind=True, max_retries=2, default_retry_delay=0)
def flaky(self: Any, failures: int) -> int:
    if self.request.retries < failures:
        raise self.retry(exc=NoCustomerError(f"try {self.request.retries}"))
    return int(self.request.retries)


@app.task(name="legacy.fails", shared=False)
def fails(customer: str) -> None:
    raise NoCustomerError(f"no customer {customer}")


@app.task(name="legacy.replaced", shared=False, bind=True)
def replaced(self: Any, x: int) -> None:
    raise self.replace(add.si(x, 1))


@app.task(name="legacy.unwritable", shared=False)
def unwritable() -> object:
    return object()


@app.task(name="legacy.killed", shared=False)
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="legacy.gated", shared=False)
def gated(gate: str) -> str:
    note(gate, where="begun")
    while not Path(gate).exists():
        time.sleep(0.01)
    return "through"


@app.task(name="legacy.note", shared=False)
def note(*args: Any, where: str) -> Any:
    """Leave its arguments in the list *where*; return the first."""
    with redis.Redis.from_url(URL) as client:
        client.rpush(where, json.dumps(args))
    return args[0]


@app.task(name="legacy.errback", shared=False)
def errback(task_id: str, where: str) -> None:
    """Take the id alone, as errbacks of old do."""
    with redis.Redis.from_url(URL) as client:
        client.rpush(where, json.dumps(task_id))


if os.environ.get("LEGACY_INSTALL") == "1":
    from gostage_workers import install

    install(app)
