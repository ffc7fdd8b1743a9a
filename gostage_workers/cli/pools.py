"""Which pools the workers have: they are asked, for nothing of it stands in Redis."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kombu.exceptions import OperationalError

from gostage_workers.identity import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from celery import Celery

_ANSWER_SECONDS: Final = 0.7
_FRESH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool of one node."""

    kind: str | None = None
    """``prefork``, ``threads`` …; ``None`` where the node did not say."""
    slots: int | None = None
    """How many actions it can have at a time."""


NO_POOL: Final = Pool()


def ask_pools(app: Celery) -> dict[str, Pool]:
    """Ask every node for its pool, and wait most of a second for answers.

    Keys are the names of nodes as their processes have them. One that is busy may not answer.
    """
    try:
        answers = app.control.inspect(timeout=_ANSWER_SECONDS).stats()
    except (OperationalError, OSError):
        return {}
    return {
        safe_name(node): _pool(stats.get("pool", {})) for node, stats in (answers or {}).items()
    }


def _pool(stats: dict[str, Any]) -> Pool:
    module = str(stats.get("implementation", "")).partition(":")[0]
    kind = {"thread": "threads"}.get(module.rpartition(".")[2], module.rpartition(".")[2])
    slots = stats.get("max-concurrency")
    return Pool(kind or None, slots if isinstance(slots, int) else None)


class PoolWatch:
    """Asks again and again, beside whoever draws: nobody waits for it."""

    def __init__(self, app: Celery) -> None:
        """Nobody is asked yet."""
        self._app = app
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="gostage-pools")
        self._asked: Future[dict[str, Pool]] | None = None
        self._asked_at = 0.0
        self._known: dict[str, Pool] = {}

    def known(self) -> Mapping[str, Pool]:
        """Return what was answered so far."""
        now = time.monotonic()
        if self._asked is not None and self._asked.done():
            self._known |= self._asked.result()
            self._asked = None
        if self._asked is None and now - self._asked_at >= _FRESH_SECONDS:
            self._asked_at, self._asked = now, self._threads.submit(ask_pools, self._app)
        return self._known

    def close(self) -> None:
        """Ask nobody any more."""
        self._threads.shutdown(cancel_futures=True)
