"""Takes away what is left of a run that was forgotten, where its record did not tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from gostage_core.state.keys import escaped

if TYPE_CHECKING:
    from gostage_core.state.client import Client
    from gostage_core.state.keys import Keys

_AT_A_TIME: Final = 1_000


def sweep(client: Client, keys: Keys, run_id: str) -> None:
    """Take away the lists of a run, and its name in the indexes of tags and of workflows.

    Reads the name of every key. What else names it loses it by itself: whoever looks at a timer, a
    line or an idempotency key finds that there is no such run.
    """
    for key in _named(client, keys.of("items", run_id, "")):
        client.unlink(key)
    for index in ("tag", "workflow"):
        for key in _named(client, keys.of(index, "")):
            client.zrem(key, run_id)


def _named(client: Client, beginning: str) -> list[str]:
    """Return the keys whose names begin so."""
    return cast("list[str]", list(client.scan_iter(f"{escaped(beginning)}*", count=_AT_A_TIME)))
