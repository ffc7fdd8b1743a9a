"""Refuses submits while as much is under way as may be, and says when to come again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gostage_core.broker.depth import queue_depth
from gostage_core.errors import BackpressureError

if TYPE_CHECKING:
    from celery import Celery

    from gostage_core.settings import Settings
    from gostage_core.state.answers import Answer

_SOONEST: Final = 0.5
_LATEST: Final = 60.0
_UNKNOWN: Final = 5.0
"""When to come again, in seconds, where nothing tells how fast runs end."""


def too_many_runs(answer: Answer, limit: int) -> BackpressureError:
    """Return the refusal of a submit while *limit* runs or more live.

    The *answer* has how many do, and how many have ended within the last minute: at that pace the
    next one may begin.
    """
    living, ended = map(int, answer.details)
    pace = ended / 60
    wait = (living - limit + 1) / pace if pace else _UNKNOWN
    return BackpressureError(
        f"{living:,} runs live", limit, "GOSTAGE_MAX_LIVE_RUNS", _bounded(wait)
    )


def check_depth(app: Celery, settings: Settings) -> None:
    """Refuse a submit while too many messages wait in the queue. One round trip more, where asked.

    Raises:
        BackpressureError: there are as many as may be, or more.
    """
    if not settings.max_queued:
        return
    with app.connection_or_acquire() as connection:
        depth = queue_depth(connection, settings.namespace)
    if depth is not None and depth >= settings.max_queued:
        raise BackpressureError(
            f"{depth:,} messages wait in queue {settings.namespace!r}",
            settings.max_queued,
            "GOSTAGE_MAX_QUEUED",
            _bounded(depth / settings.max_queued),
        )


def _bounded(seconds: float) -> float:
    return round(min(_LATEST, max(_SOONEST, seconds)), 1)
