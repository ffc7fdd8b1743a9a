"""Throttles as an operator sees them: who is within one, who stands in line, other numbers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.authoring.throttle import Throttle
from gostage_core.errors import BrokerUnavailableError, InvalidKeyError
from gostage_core.naming import LONGEST_NAME, fault_of
from gostage_core.state.answers import text_of
from gostage_core.state.client import our_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.duration import Duration
    from gostage_core.edit import Send
    from gostage_core.state.operations import State

logger: Final = logging.getLogger(__name__)

_LONGEST_KEY: Final = 2 * LONGEST_NAME + 1
"""Of a throttle of runs, which has their concurrency key behind a colon."""


@dataclass(frozen=True, slots=True)
class ThrottleInfo:
    """How one throttle stands. Places are ``(run id, entry)``; a run by itself is its entry 0."""

    key: str
    inside: tuple[tuple[str, str], ...]
    """What is within it now."""
    waiting: int
    """How many stand in line."""
    concurrency: int | None = None
    """What an operator has set; ``None`` where actions and workflows say it, as with the others."""
    rate: int | None = None
    per: float | None = None
    is_set: bool = False
    """Whether an operator has set it."""


class Throttles:
    """The throttles of one namespace that anything stands in, or that an operator has set."""

    def __init__(self, state: State, send: Send) -> None:
        self._state = state
        self._send = send

    def __iter__(self) -> Iterator[ThrottleInfo]:
        with our_errors(url=self._state.settings.redis_url):
            keys = cast("set[bytes]", self._state.client.smembers(self._state.keys.of("throttles")))
        return iter([self[key] for key in sorted(map(text_of, keys))])

    def __getitem__(self, key: str) -> ThrottleInfo:
        keys = self._state.keys
        with our_errors(url=self._state.settings.redis_url):
            pipeline = self._state.client.pipeline(transaction=True)
            pipeline.smembers(keys.of("inside", key))
            pipeline.zcard(keys.of("line", key))
            pipeline.hmget(keys.of("throttle", key), "most", "rate", "per", "set")
            inside, waiting, numbers = pipeline.execute()
        most, rate, per, is_set = numbers
        return ThrottleInfo(
            key=key,
            inside=tuple(sorted(map(_place, inside))),
            waiting=waiting,
            concurrency=int(most or 0) or None,
            rate=int(rate or 0) or None,
            per=int(per) / 1000 if per else None,
            is_set=is_set is not None,
        )

    def set(
        self,
        key: str,
        *,
        concurrency: int | None = None,
        rate: int | None = None,
        per: Duration = 1.0,
    ) -> None:
        """Set other numbers for a throttle than actions and workflows say, for all that is to come.

        What is not given here is as they say; what was set before is taken back. Who stands in line
        goes on at once, as far as there is room. Safe to repeat.

        Raises:
            InvalidActionError: a number that does not fit.
            InvalidKeyError: nothing can be called *key*.
        """
        throttle = Throttle(concurrency=concurrency, rate=rate, per=per)
        of_rate = ("", "") if rate is None else (rate, round(throttle.per * 1000))
        self._invite(_checked(key), "set", concurrency or "", *of_rate)

    def clear(self, key: str) -> None:
        """Take back what was set: what actions and workflows say holds again. Safe to repeat.

        Raises:
            InvalidKeyError: nothing can be called *key*.
        """
        self._invite(_checked(key), "clear")

    def _invite(self, key: str, *change: Any) -> None:
        following = self._state.invite(key, *change).next
        try:
            self._send("", following)
        except BrokerUnavailableError as error:
            logger.warning("throttle %s: who was let in is sent by a worker: %s", key, error)


def _checked(key: str) -> str:
    if fault := fault_of(key, longest=_LONGEST_KEY):
        raise InvalidKeyError(f"not the key of a throttle: {fault}")
    return key


def _place(member: bytes) -> tuple[str, str]:
    run_id, _, entry = text_of(member).partition(" ")
    return run_id, entry
