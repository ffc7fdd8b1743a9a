"""Reads the messages of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from gostage_core.damage import readable
from gostage_core.errors import CorruptRunError
from gostage_core.messages import Message
from gostage_core.state.client import our_errors
from gostage_core.summary import status_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.state.operations import State

_FIRST_PAGE: Final = 16
_LONGEST_PAGE: Final = 1_000
_PAGE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """How the messages of a run stand."""

    exists: bool = False
    ended: bool = False
    """Whether no more messages come."""
    length: int = 0


def read_messages(
    state: State, run_id: str, after: int = 0, until: int | None = None
) -> Iterator[Message]:
    """Yield messages of a run in order, from behind *after* to *until*: what is there now.

    Raises:
        StoreUnavailableError: the server does not answer.
        CorruptRunError: what is there is not ours.
    """
    if until is None:
        with our_errors(run_id, state.settings.redis_url):
            until = state.client.llen(state.keys.of("messages", run_id))
    page = _FIRST_PAGE
    while texts := _read_page(state, run_id, after, min(until, after + page)):
        with readable(run_id, "messages"):
            messages = [
                Message.from_text(after + i, text, state.vault) for i, text in enumerate(texts, 1)
            ]
        yield from messages
        after += len(texts)
        page = _next_page(texts)


def look_at(state: State, run_ids: Sequence[str]) -> list[Look | CorruptRunError]:
    """Return how the messages of each of these runs stand, in one round trip.

    Raises:
        StoreUnavailableError: the server does not answer.
    """
    with our_errors(url=state.settings.redis_url):
        pipeline = state.client.pipeline(transaction=False)
        for run_id in run_ids:
            # In this order: of a run that has ended the length then is the last one.
            pipeline.hmget(state.keys.of("run", run_id), "status", "schema")
            pipeline.llen(state.keys.of("messages", run_id))
        replies = pipeline.execute(raise_on_error=False)
    pairs = zip(run_ids, replies[::2], replies[1::2], strict=True)
    return [_look(run_id, header, length) for run_id, header, length in pairs]


def _read_page(state: State, run_id: str, after: int, until: int) -> list[bytes]:
    if after >= until:
        return []
    with our_errors(run_id, state.settings.redis_url):
        key = state.keys.of("messages", run_id)
        return cast("list[bytes]", state.client.lrange(key, after, until - 1))


def _next_page(texts: list[bytes]) -> int:
    """Return how many messages of about this size make a page."""
    size = sum(map(len, texts)) // len(texts)
    return max(1, min(_PAGE_BYTES // max(1, size), _LONGEST_PAGE))


def _look(run_id: str, header: object, length: object) -> Look | CorruptRunError:
    try:
        with our_errors(run_id):
            for reply in (header, length):
                if isinstance(reply, Exception):
                    raise reply
        status, schema = cast("list[bytes | None]", header)
        if status is None or schema is None:
            return Look()
        ended = status_of(run_id, status, schema).is_terminal
    except CorruptRunError as error:
        return error
    return Look(True, ended, cast("int", length))
