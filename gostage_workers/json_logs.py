"""Log records as JSON, one object a line, with the attempt that each was made in."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from celery.app.log import Logging

from gostage_core.tracing.current import trace_ids
from gostage_core.whereabouts import whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_EVERY_RECORD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})
_LEFT_OUT: Final = _OF_EVERY_RECORD | {"data"}
"""Celery puts arguments of tasks into ``data``: they may be secrets, and no text log has them."""


class JsonFormatter(logging.Formatter):
    """Formats a log record as one JSON object on one line.

    ``time`` (UTC), ``level``, ``logger`` and ``message`` are always there; ``exception`` and
    ``stack`` as text where the record has them. Whatever logs within an attempt, libraries too, has
    ``run``, ``stage``, ``action`` and ``attempt``; within a span of OpenTelemetry ``trace_id`` and
    ``span_id``. What ``extra=`` gives comes along under its own names.

    Workers of ``gostage worker`` use it with ``--log-format json`` or ``GOSTAGE_LOG_FORMAT=json``.
    An app of your own takes it where it sets up logging::

        @celery.signals.setup_logging.connect
        def set_up(loglevel, **_):
            handler = logging.StreamHandler()
            handler.setFormatter(JsonFormatter())
            logging.basicConfig(handlers=[handler], level=loglevel)

    or as ``{"()": "gostage_workers.JsonFormatter"}`` among the formatters of ``dictConfig``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as a line; what is no JSON in it is written as ``repr`` has it."""
        extra = {name: one for name, one in vars(record).items() if name not in _LEFT_OUT}
        told = {**whereabouts(), **extra, **dict(self._own(record))}
        try:
            return json.dumps(told, default=repr, allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            return json.dumps({name: _plain(one) for name, one in told.items()})

    def _own(self, record: logging.LogRecord) -> Iterator[tuple[str, object]]:
        at = datetime.fromtimestamp(record.created, UTC)
        yield "time", at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        yield "level", record.levelname
        yield "logger", record.name
        yield "message", record.getMessage()
        if ids := trace_ids():
            yield from zip(("trace_id", "span_id"), ids, strict=True)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            yield "exception", record.exc_text
        if record.stack_info:
            yield "stack", self.formatStack(record.stack_info)


class JsonLogging(Logging):
    """Celery's own logging, with every handler that it makes writing JSON."""

    def setup_handlers(self, logger: Any, *args: Any, **options: Any) -> Any:
        """Give *logger* a handler, unless it has one."""
        return super().setup_handlers(logger, *args, **{**options, "formatter": _formatter})


def _formatter(*_: object, **__: object) -> JsonFormatter:
    return JsonFormatter()


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | None) else repr(value)
