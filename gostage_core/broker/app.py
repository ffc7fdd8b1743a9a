"""The Celery app of a producer, and the settings that producers and workers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from celery import Celery
from kombu import Connection

from gostage_core.broker.direct import DirectLine
from gostage_core.broker.options import BROKER_OPTIONS
from gostage_core.broker.transport import adopt_redis_urls
from gostage_core.errors import ConfigurationError
from gostage_core.settings import redacted

if TYPE_CHECKING:
    from gostage_core.broker.direct import Push
    from gostage_core.settings import Settings

TRANSPORT = "gostage_core.broker.transport:Transport"


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings for whoever publishes; each non-default value has its reason.

    Raises:
        ConfigurationError: the broker's URL is none that kombu knows.
    """
    url = broker_url(settings)
    _check(url)
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
        use_our_transport(url)
        celery["broker_transport"] = TRANSPORT
        celery["broker_transport_options"] = _transport_options(url)
    return celery


def _check(url: str) -> None:
    try:
        with Connection(url) as connection:
            connection.transport_cls  # noqa: B018 - it is looked up here
    except (KeyError, ValueError, ImportError) as error:
        raise ConfigurationError(
            f"GOSTAGE_BROKER_URL {redacted(url)!r} is not the URL of a broker: {error}"
        ) from None


def _transport_options(url: str) -> dict[str, Any]:
    """The hardened options, without the one that a socket's file does not know."""
    without = {"socket_keepalive"} if urlsplit(url).scheme == "redis+socket" else set()
    return {name: value for name, value in BROKER_OPTIONS.items() if name not in without}


def broker_url(settings: Settings) -> str:
    """Return the broker's URL as kombu spells it: a socket's file is ``redis+socket://`` there."""
    url = settings.broker_url or settings.redis_url
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"


def use_our_transport(url: str) -> None:
    """Have kombu take our transport for *url* where naming it does not suffice."""
    if urlsplit(url).scheme != "redis" or ";" in url:
        adopt_redis_urls()


def is_redis(url: str) -> bool:
    """Tell whether a broker's URL is one of Redis."""
    return urlsplit(url).scheme in ("redis", "rediss", "redis+socket")


def direct_line(app: Celery, settings: Settings, push: Push) -> DirectLine | None:
    """Return the short way to the queues, where the broker is the server that keeps the runs."""
    url = broker_url(settings)
    if settings.broker_url not in (None, settings.redis_url) or not is_redis(url):
        return None
    return DirectLine(app, url, TRANSPORT, push)


def producer_app(settings: Settings) -> Celery:
    """Return a Celery app that publishes and does nothing else. Nothing is connected yet."""
    app = Celery("gostage-producer", set_as_current=False)
    app.conf.update(client_settings(settings))
    return app
