"""Messages of actions to who follows their run: what may be sent, and how it reads."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.json_tree import check_depth, expanded_size
from gostage_core.errors import InvalidKeyError, NotStorableError, ValueTooLargeError
from gostage_core.naming import fault_of
from gostage_core.values.refusals import type_name

if TYPE_CHECKING:
    from gostage_core.sealing.vault import Vault

_INSTEAD: Final = "put such values into the store, and send the key"


@dataclass(frozen=True, slots=True)
class MessageContext:
    """Where a message comes from, and its place in the stream that it was read from."""

    workflow: str
    """The id of the sender's workflow."""
    stage: str
    """The id of the stage."""
    action: str
    """The name of the action."""
    attempt: int
    """Which try at the action sent it, from 1."""
    run_id: str
    """The run of the sender: in a parent's stream it may be a child's."""
    sequence: int
    """From 1, without gaps; of the run whose stream was read."""


@dataclass(frozen=True, slots=True)
class Message:
    """What an action has sent with ``ctx.send``."""

    type: str
    payload: Any
    """JSON: text, numbers, booleans, ``None``, lists, and dicts with text for keys."""
    at: datetime
    """By the server's clock."""
    context: MessageContext

    @classmethod
    def from_text(cls, sequence: int, text: bytes, vault: Vault) -> Message:
        """Read one item of a run's messages, whose payload *vault* opens where it is sealed."""
        at, kind, payload, workflow, stage, action, attempt, run_id = json.loads(text)
        return cls(
            type=kind,
            payload=vault.payload(run_id, payload, kind, stage, action),
            at=datetime.fromtimestamp(at / 1000, UTC),
            context=MessageContext(workflow, stage, action, attempt, run_id, sequence),
        )


def check_type(kind: str) -> str:
    """Return *kind* as a plain ``str``, if messages may be of this type.

    Raises:
        InvalidKeyError: it is no name; the same names as for keys of the store.
    """
    fault = fault_of(kind)
    if fault is not None:
        raise InvalidKeyError(f"not a name for a type of messages: {fault}")
    return str.__str__(kind)


def payload_text(kind: str, payload: object, limit: int) -> str:
    """Return the *payload* of a message of type *kind* as JSON of at most *limit* bytes.

    Raises:
        NotStorableError: it is no JSON value; the message names the place and the type.
        ValueTooLargeError: it is longer.
    """
    try:
        check_depth(payload)
        if (size := expanded_size(payload)) > 2 * limit:  # it is no more than about right
            _check_size(kind, size, limit)
        fault = _fault_of(payload, "payload")
        text = "" if fault else json.dumps(payload, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        fault = str(error)
    if fault:
        raise NotStorableError(f"cannot send message {kind!r}: {fault}; {_INSTEAD}")
    _check_size(kind, len(text), limit)
    return text


def _check_size(kind: str, size: int, limit: int) -> None:
    if size > limit:
        what = f"the payload of message {kind!r}"
        raise ValueTooLargeError(what, size, limit, "GOSTAGE_MAX_MESSAGE_BYTES")


def _fault_of(tree: object, path: str) -> str | None:
    """Say what at *path* or below is no JSON value, or return ``None``."""
    if isinstance(tree, dict):
        wrong = next((key for key in tree if not isinstance(key, str)), "")
        if not isinstance(wrong, str):
            return f"a key of {path} is of type {type_name(type(wrong))}, and JSON has text alone"
        found = (_fault_of(part, f"{path}[{key!r:.60}]") for key, part in tree.items())
        return next(filter(None, found), None)
    if isinstance(tree, list | tuple):
        found = (_fault_of(part, f"{path}[{index}]") for index, part in enumerate(tree))
        return next(filter(None, found), None)
    if isinstance(tree, float) and not math.isfinite(tree):
        return f"{path} is {tree}, and JSON has no such number"
    if isinstance(tree, str | int | float | None):
        return None
    return f"{path} is of type {type_name(type(tree))}, and no JSON value"
