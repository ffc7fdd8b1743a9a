"""Reads what runs share: whose leases are good, and how throttles stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from gostage_core.state.answers import text_of
from gostage_core.state.client import our_errors

if TYPE_CHECKING:
    from gostage_core.state.operations import State


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when the leases of one process are good, in ms by the server's clock."""

    until: int

    def is_over(self, now: int) -> bool:
        """Tell whether they are good no more."""
        return self.until <= now


@dataclass(frozen=True, slots=True)
class Throttled:
    """How something stands in the line of a throttle."""

    key: str
    bound: str
    """The numbers, for people."""
    inside: tuple[str, ...]
    """What is within it, or has a place in it kept: ``run/entry``, or a run."""
    place: int | None
    """How many stand before it; ``None`` for one that is not in line any more."""
    next_ms: int | None
    """When the next one may begin, where the rate is what holds it."""


def read_leases(state: State) -> dict[str, Lease]:
    """Return every process on the books."""
    with our_errors(url=state.settings.redis_url):
        found = cast(
            "list[tuple[bytes, float]]",
            state.client.zrange(state.keys.of("alive"), 0, -1, withscores=True),
        )
    return {text_of(process): Lease(int(until)) for process, until in found}


def read_throttled(state: State, text: str, member: str) -> Throttled:
    """Return how *member* (``"run entry"``) stands in the throttle that *text* says.

    Raises:
        ValueError: *text* is none of ours.
    """
    most, rate, per, key = text.split("|", 3)
    keys = state.keys
    with our_errors(url=state.settings.redis_url):
        pipeline = state.client.pipeline(transaction=True)
        pipeline.smembers(keys.of("inside", key))
        pipeline.smembers(keys.of("invited", key))
        pipeline.zrank(keys.of("line", key), member)
        pipeline.zscore(keys.of("refill"), key)
        pipeline.hmget(keys.of("throttle", key), "most", "rate", "per")
        inside, invited, place, next_ms, numbers = pipeline.execute()
    inside = {*inside, *invited}
    most, rate, per = (
        text_of(one) if one is not None else said
        for one, said in zip(numbers, (most, rate, per), strict=True)
    )
    is_full = most != "0" and len(inside) >= int(most)
    return Throttled(
        key=key,
        bound=_bound(int(most), int(rate), int(per)),
        inside=tuple(sorted(_place(one) for one in inside)),
        place=cast("int | None", place),
        next_ms=None if is_full or next_ms is None else int(next_ms),
    )


def _bound(most: int, rate: int, per: int) -> str:
    parts = []
    if most:
        parts.append(f"{most:,} at a time")
    if rate:
        parts.append(f"{rate:,} within {per / 1000:g} s")
    return ", ".join(parts)


def _place(member: bytes) -> str:
    run_id, _, entry = text_of(member).partition(" ")
    return run_id if entry == "0" else f"{run_id}/{entry}"
