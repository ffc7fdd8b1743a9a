"""Takes away what is left of runs that were forgotten, where their records did not tell of it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, cast

from gostage_core.state.keys import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gostage_core.state.client import Client
    from gostage_core.state.keys import Keys

_AT_A_TIME: Final = 1_000


def sweep(client: Client, keys: Keys, run_ids: Iterable[str]) -> None:
    """Take away the lists of runs, their timers, and their names in the indexes.

    Reads the name of every key, and every timer. What else names them loses it by itself: whoever
    looks at a line or an idempotency key finds that there is no such run, and so with a timer that
    moved while this looked.
    """
    for run_id in run_ids:
        for key in _named(client, keys.of("items", run_id, "")):
            client.unlink(key)
        for index in ("tag", "workflow"):
            for key in _named(client, keys.of(index, "")):
                client.zrem(key, run_id)
        for index in ("wake", "sent"):
            for member in list(_timers(client, keys.of(index), run_id)):
                client.zrem(keys.of(index), member)


def _named(client: Client, beginning: str) -> list[str]:
    """Return the keys whose names begin so."""
    return cast("list[str]", list(client.scan_iter(f"{escaped(beginning)}*", count=_AT_A_TIME)))


def _timers(client: Client, key: str, run_id: str) -> Iterator[bytes]:
    """Yield the timers of a run, as far as they stand still."""
    beginning = f"{run_id} ".encode()
    for first in count(0, _AT_A_TIME):
        found = cast("list[bytes]", client.zrange(key, first, first + _AT_A_TIME - 1))
        yield from (member for member in found if member.startswith(beginning))
        if len(found) < _AT_A_TIME:
            return
