"""Waits on one connection for what many runs publish of themselves."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any, Final, cast

import redis

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from gostage_core.state.operations import State

_PAUSE_SECONDS: Final = 0.2


class Notices:
    """Notices of runs, for one thread; any other may :meth:`wake` it.

    A notice may be lost, as with a connection: who waits looks by itself from time to time. Nothing
    here raises an error of the server.
    """

    def __init__(self, state: State) -> None:
        self._client = state.client
        self._prefix = state.keys.of("events", "")
        # No run can be called so: a run's id has no slash.
        self._own = f"{self._prefix}/{uuid.uuid4().hex}"
        self._pubsub: Any = cast("Any", state.client).pubsub()
        self._heard: set[str] = set()

    def follow(self, run_ids: AbstractSet[str]) -> None:
        """Hear of these runs, and of no others. A run that is new is a notice by itself."""
        wanted = {self._own, *(self._prefix + run_id for run_id in run_ids)}
        new, old = wanted - self._heard, self._heard - wanted
        with contextlib.suppress(redis.RedisError):
            if new:
                self._pubsub.subscribe(*new)
                self._heard |= new
            if old:
                self._pubsub.unsubscribe(*old)
                self._heard -= old

    def wait(self, seconds: float) -> set[str]:
        """Wait for a notice, at most so long, and return the runs of all that are there."""
        told: set[str] = set()
        try:
            notice = self._pubsub.get_message(timeout=seconds)
            while notice:
                told.add(self._run_of(notice["channel"]))
                notice = self._pubsub.get_message(timeout=0)
        except redis.RedisError:
            time.sleep(min(seconds, _PAUSE_SECONDS))  # it connects anew by itself
        return told

    def wake(self) -> None:
        """End the wait of the other thread."""
        with contextlib.suppress(redis.RedisError):
            self._client.publish(self._own, "")

    def close(self) -> None:
        """Close the connection."""
        self._pubsub.close()

    def _run_of(self, channel: bytes | str | None) -> str:
        name = channel.decode("utf-8", "surrogateescape") if isinstance(channel, bytes) else channel
        return (name or "").removeprefix(self._prefix)
