"""Joins gostage to a Celery app: the task, the rescuer's step, the queue and the transport."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from celery import signals

from gostage_core.broker.app import TRANSPORT, is_redis, use_our_transport
from gostage_core.errors import ConfigurationError
from gostage_core.settings import Settings
from gostage_workers.installation import attach, installation_of
from gostage_workers.resource_scopes import process_scope
from gostage_workers.steps import RescuerStep
from gostage_workers.tasks import register

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery


def install(
    app: Celery, modules: Sequence[str] = (), *, settings: Settings | None = None
) -> Celery:
    """Give an existing Celery app everything that a gostage worker needs, and return it.

    Sets what is ours: the task ``gostage.action``, its queue, a worker step, and on Redis the
    transport with its repairs. Tasks and settings of the project stay as they are. Safe to repeat.

    Args:
        app: of the project.
        modules: to import for the actions in them, beside ``GOSTAGE_MODULES``.
        settings: in place of those from ``GOSTAGE_*``. The state's Redis is by default the app's
            broker, where that is Redis.

    Raises:
        ConfigurationError: a setting does not fit, or a module cannot be imported.
    """
    settings = settings or _settings_for(app, modules)
    if installation_of(app) is None:
        register(app, attach(app, settings))
        _repair_transport(app)
        _consume_our_queue(app, settings.namespace)
        app.steps["worker"].add(RescuerStep)
        _tear_resources_down()
    for module in (*settings.modules, *modules):
        _import(module)
    return app


def _settings_for(app: Celery, modules: Sequence[str]) -> Settings:
    given: dict[str, object] = {"modules": tuple(modules) or None}
    broker = app.conf.broker_url
    if broker and is_redis(broker) and "GOSTAGE_REDIS_URL" not in os.environ:
        given["redis_url"] = broker
    elif broker and "GOSTAGE_BROKER_URL" not in os.environ:
        given["broker_url"] = broker
    return Settings.from_env(os.environ, **given)


def _repair_transport(app: Celery) -> None:
    broker = app.conf.broker_url
    if broker and is_redis(broker) and not app.conf.broker_transport:
        use_our_transport(broker)
        app.conf.broker_transport = TRANSPORT


def _consume_our_queue(app: Celery, queue: str) -> None:
    """Have workers take from our queue beside the project's, unless ``-Q`` names what they take."""

    def add(instance: Any, **_: Any) -> None:
        queues = instance.app.amqp.queues
        if instance.app is app and queues._consume_from is None and queue not in queues:
            queues.select_add(queue)

    signals.celeryd_after_setup.connect(add, weak=False)


def _tear_resources_down() -> None:
    """Have the resources of a process torn down at its end: a pool's child's, or a worker's own."""

    def close(**_: Any) -> None:
        process_scope.close()

    for ending in (signals.worker_process_shutdown, signals.worker_shutdown):
        ending.connect(close, weak=False, dispatch_uid="gostage.resources")


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"module {module!r} cannot be imported: {error}; it was named by modules= or "
            f"GOSTAGE_MODULES"
        ) from error
