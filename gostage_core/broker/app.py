"""The Celery app of a producer, and the settings that producers and workers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from celery import Celery

from gostage_core.broker.direct import DirectLine
from gostage_core.broker.options import BROKER_OPTIONS

if TYPE_CHECKING:
    from gostage_core.broker.direct import Push
    from gostage_core.settings import Settings

TRANSPORT = "gostage_core.broker.transport:Transport"


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings for whoever publishes; each non-default value has its reason."""
    url = settings.broker_url or settings.redis_url
    celery: dict[str, Any] = {
        "broker_url": url,
        "task_default_queue": settings.namespace,
        # State is ours; a result backend would cost two round trips a task and fail tasks whose
        # result could not be written.
        "result_backend": None,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # A publish that fails is repeated for a second, then told: the rescuer sends it later.
        "task_publish_retry_policy": {
            "max_retries": 3, "interval_start": 0.05, "interval_step": 0.2, "interval_max": 0.5,
        },
        # The default waits for a free connection without end.
        "broker_pool_acquire_timeout": 10,
        "broker_connection_timeout": 2,
    }  # fmt: skip
    if is_redis(url):
        celery["broker_transport"] = TRANSPORT
        celery["broker_transport_options"] = dict(BROKER_OPTIONS)
    return celery


def is_redis(url: str) -> bool:
    """Tell whether a broker's URL is one of Redis."""
    return urlsplit(url).scheme in ("redis", "rediss", "redis+socket", "unix")


def direct_line(app: Celery, settings: Settings, push: Push) -> DirectLine | None:
    """Return the short way to the queues, where the broker is the server that keeps the runs."""
    if settings.broker_url not in (None, settings.redis_url) or not is_redis(settings.redis_url):
        return None
    return DirectLine(app, settings.redis_url, TRANSPORT, push)


def producer_app(settings: Settings) -> Celery:
    """Return a Celery app that publishes and does nothing else. Nothing is connected yet."""
    app = Celery("gostage-producer", set_as_current=False)
    app.conf.update(client_settings(settings))
    return app
