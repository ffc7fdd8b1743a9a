"""The Celery app of our own workers: ``celery -A gostage_workers.app worker``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from celery import Celery

from gostage_core.broker.app import client_settings
from gostage_core.settings import Settings
from gostage_workers.install import install
from gostage_workers.json_logs import JsonLogging

if TYPE_CHECKING:
    from collections.abc import Sequence


def create_app(
    url: str | None = None,
    *,
    broker: str | None = None,
    namespace: str | None = None,
    modules: Sequence[str] = (),
    settings: Settings | None = None,
) -> Celery:
    """Return a Celery app of our own, hardened, with gostage installed.

    Args:
        url: of the Redis that keeps the runs; else ``GOSTAGE_REDIS_URL``, else the local one.
        broker: Celery's broker, where it is another one.
        namespace: one for each application.
        modules: to import for the actions in them; else ``GOSTAGE_MODULES``.
        settings: all of the above at once.

    Raises:
        ConfigurationError: a setting does not fit, or a module cannot be imported.
    """
    settings = settings or Settings.from_env(
        os.environ,
        redis_url=url,
        broker_url=broker,
        namespace=namespace,
        modules=tuple(modules) or None,
    )
    logs = JsonLogging if settings.log_format == "json" else None
    app = Celery("gostage", log=logs, set_as_current=False)
    app.conf.update(worker_settings(settings))
    return install(app, settings=settings)


def worker_settings(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings for workers of our own; each non-default value has its reason."""
    return client_settings(settings) | {
        # A message is a hint: recovery is the engine's, and late acks run tasks again at every
        # blip of a connection.
        "task_acks_late": False,
        # A worker takes a message only when it can begin it, so none waits behind a long action
        # while another worker is idle.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        # Workers outlive their broker: they wait for it, however long.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        # Flower or `celery control enable_events` turn events on; they cost near half of the
        # throughput of small actions.
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        # Celery does not replace the logging of the process that embeds it.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "task_create_missing_queues": True,
    }


def __getattr__(name: str) -> Celery:
    """Make ``app`` when it is asked for, so that importing this module reads no environment."""
    if name == "app":
        app = create_app()
        globals()["app"] = app
        return app
    raise AttributeError(name)
