"""How a Celery task ended, as the text that is delivered to the action that waits for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from gostage_core.authoring.waits import BelowFailedError
from gostage_core.errors import StoreError, ValueTooLargeError
from gostage_core.failure import Failure
from gostage_core.values.codec import encode, from_tree

if TYPE_CHECKING:
    from gostage_core.context import ActionContext

_MESSAGE_LIMIT: Final = 8_000
TRACEBACK_LIMIT: Final = 48_000
"""Characters that are kept of a traceback: its end."""


class WaitingEntry(NamedTuple):
    """Which entry of which run waits for a task."""

    run_id: str
    entry: str


def wait_id(ctx: ActionContext) -> str:
    """Return what an attempt waits under: another one for each try, so that each gets its own."""
    return f"{ctx.idempotency_key}:{ctx.attempt}"


def waiting_entry(wait: object) -> WaitingEntry | None:
    """Return who waits under an id that came with a message; ``None`` where it is none of ours."""
    if not isinstance(wait, str) or not wait.isascii():
        return None
    run_id, _, rest = wait.rpartition(":")[0].rpartition(":")
    return WaitingEntry(run_id, rest) if run_id and rest.isdecimal() else None


def succeeded(result: object, limit: int) -> str:
    """Return the text for what a task returned; for a failure where the store cannot hold it."""
    try:
        data = encode(result)
        if len(data) > limit:
            raise ValueTooLargeError(
                "the result of the task", len(data), limit, "GOSTAGE_MAX_VALUE_BYTES"
            )
    except StoreError as error:
        return failed(type(error).__qualname__, f"the result cannot be stored: {error}")
    return f'{{"ok":true,"result":{data.decode("ascii")}}}'


def failed(type: str, message: str, traceback: str = "") -> str:
    """Return the text for a task that failed."""
    return json.dumps(
        {
            "ok": False,
            "type": type,
            "message": message[:_MESSAGE_LIMIT],
            "traceback": traceback[-TRACEBACK_LIMIT:],
        }
    )


def result_in(text: bytes, attempt: int) -> object:
    """Return what the task returned.

    Raises:
        BelowFailedError: it failed; with the type, the message and the traceback that it had.
    """
    end = json.loads(text)
    if end["ok"]:
        return from_tree(end["result"])
    raise BelowFailedError(
        Failure(end["type"], end["message"], attempt=attempt, traceback=end["traceback"])
    )
