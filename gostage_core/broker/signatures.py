"""Signatures of messages: who has no key cannot have workers do anything.

The header ``gostage_signature`` of a message is ``1.<key id>.<time>.<mac>``: the time in whole
seconds since 1970, and in hexadecimal the HMAC-SHA256 of these lines, with a newline between::

    gostage1
    <namespace>
    <name of the task>
    <id of the message>
    <time>
    <args, as they stand in the body>
    <kwargs, as they stand in the body>

The body is JSON in UTF-8, ``[args, kwargs, embed]``. What others send on our behalf, and whose
arguments nobody knows before, has a *ticket* among its kwargs instead: ``1.<key id>.<mac>``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from kombu.utils.json import dumps

from gostage_core.broker.task_names import FAILED_TASK, RESULT_TASK, RUN_TASK, SUBMIT_TASK
from gostage_core.sealing.keys import read_ring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gostage_core.sealing.keys import KeyRing
    from gostage_core.settings import Settings

HEADER: Final = "gostage_signature"
TICKET: Final = "ticket"

_BEGINS_RUNS: Final = frozenset({SUBMIT_TASK, RUN_TASK})
"""What may not come again when what it began is forgotten: it would begin anew."""

_decoder: Final = json.JSONDecoder()


class UnsignedError(Exception):
    """A message has no signature, or not the one of what it says."""


class Signer:
    """Signs and checks the messages of one namespace. Safe to share between threads."""

    def __init__(
        self,
        namespace: str,
        ring: KeyRing,
        *,
        requires: bool = True,
        retention: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Sign with the first key of *ring*, and take what any of them has signed.

        Args:
            namespace: to which a signature is bound.
            ring: the keys.
            requires: whether what has no signature at all is refused.
            retention: seconds after which what begins a run is refused.
            now: the time, in seconds since 1970.
        """
        self._namespace = namespace
        self._ring = ring
        self._requires = requires
        self._retention = retention
        self._now = now

    @classmethod
    def of(cls, settings: Settings) -> Signer | None:
        """Return the signer for *settings*; ``None`` where there are no keys.

        Raises:
            ConfigurationError: the keys in them are none.
        """
        name = "GOSTAGE_SIGNING_KEYS"
        ring = read_ring(name, settings.signing_keys, settings.signing_keys_file)
        if ring is None:
            return None
        return cls(
            settings.namespace,
            ring,
            requires=settings.signing == "require",
            retention=settings.retention,
        )

    def options(
        self, task: str, args: Sequence[object], kwargs: Mapping[str, object], task_id: str = ""
    ) -> dict[str, Any]:
        """Return what ``apply_async`` and ``send_task`` take for a message that is signed."""
        task_id = task_id or str(uuid4())
        texts = (dumps(list(args)), dumps(dict(kwargs)))
        header = self._signature(self._ring.first, task, task_id, str(int(self._now())), *texts)
        return {"task_id": task_id, "headers": {HEADER: header}, "serializer": "json"}

    def ticket(self, task: str, kwargs: Mapping[str, object]) -> str:
        """Return what lets others send a message of *task* with these *kwargs* on our behalf."""
        return self._ticket(self._ring.first, task, kwargs)

    def check(self, task: str, headers: Mapping[str, Any], body: str, payload: Any) -> None:
        """Check a message of *task*.

        Args:
            task: its name.
            headers: those of the message.
            body: its body, as text.
            payload: the same, decoded: args, kwargs and what Celery adds.

        Raises:
            UnsignedError: it may not be executed; says why, without anything of its content.
        """
        if HEADER in headers:
            self._check_signature(task, headers, body)
        elif ticket := _ticket_in(task, payload):
            self._check_ticket(ticket, task, payload[1])
        elif self._requires:
            raise UnsignedError("it is not signed")

    def _check_signature(self, task: str, headers: Mapping[str, Any], body: str) -> None:
        given = str(headers[HEADER])
        key_id, at = _parts(given, 4)[1:3]
        texts = _texts_of(body)
        self._compare(given, key_id, self._signature(key_id, task, headers.get("id"), at, *texts))
        if task in _BEGINS_RUNS and self._now() - int(at) > self._retention:
            raise UnsignedError(
                "it was signed longer ago than GOSTAGE_RETENTION, and what it began may be "
                "forgotten"
            )

    def _check_ticket(self, given: str, task: str, kwargs: Mapping[str, object]) -> None:
        key_id = _parts(given, 3)[1]
        self._compare(given, key_id, self._ticket(key_id, task, kwargs))

    def _compare(self, given: str, key_id: str, wanted: str) -> None:
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode()):
            raise UnsignedError(f"it says something else than what the key {key_id!r} has signed")

    def _signature(
        self, key_id: str, task: str, task_id: object, at: str, args: str, kwargs: str
    ) -> str:
        lines = ("gostage1", self._namespace, task, str(task_id), at, args, kwargs)
        return f"1.{key_id}.{at}.{self._mac(key_id, lines)}"

    def _ticket(self, key_id: str, task: str, kwargs: Mapping[str, object]) -> str:
        known = {name: value for name, value in kwargs.items() if name in _known(task, kwargs)}
        text = json.dumps(known, sort_keys=True, separators=(",", ":"))
        return f"1.{key_id}.{self._mac(key_id, ('gostage1 ticket', self._namespace, task, text))}"

    def _mac(self, key_id: str, lines: Sequence[str]) -> str:
        key = self._ring.get(key_id)
        if key is None:
            raise UnsignedError(f"it is signed with the key {key_id!r}, which is not known here")
        text = "\n".join(lines).encode("utf-8", "surrogatepass")
        return hmac.new(key, text, hashlib.sha256).hexdigest()


def signed_link(link: dict[str, Any], signer: Signer) -> dict[str, Any]:
    """Return a signature of Celery, as data, whose message will be signed whoever sends it."""
    options = link["options"]
    made = signer.options(link["task"], link["args"], link["kwargs"], options["task_id"])
    return {**link, "options": {**options, **made}}


def _ticket_in(task: str, payload: Any) -> str:
    match payload:
        case [_, {"ticket": str(ticket)}, _] if task in _WITH_TICKETS:
            return ticket
    return ""


_WITH_TICKETS: Final = frozenset({RESULT_TASK, FAILED_TASK, RUN_TASK})
"""Tasks whose messages others send on our behalf: a Celery worker that knows nothing of gostage."""


def _known(task: str, kwargs: Mapping[str, object]) -> set[str]:
    """Return which kwargs were known when a ticket was made: who tells an end adds what it was."""
    return kwargs.keys() - {TICKET} if task == RUN_TASK else {"wait"}


def _parts(text: str, count: int) -> list[str]:
    parts = text.split(".")
    if len(parts) != count or parts[0] != "1" or (count > 3 and not parts[2].isdecimal()):
        raise UnsignedError("its signature is of no form that is known here")
    return parts


def _texts_of(body: str) -> tuple[str, str]:
    """Return args and kwargs just as they stand in a body."""
    try:
        start = _past(body, 0, "[")
        end = _decoder.raw_decode(body, start)[1]
        second = _past(body, end, ",")
        return body[start:end], body[second : _decoder.raw_decode(body, second)[1]]
    except (ValueError, IndexError, RecursionError):
        raise UnsignedError("its body is not the JSON [args, kwargs, embed]") from None


def _past(body: str, at: int, mark: str) -> int:
    """Return where what follows a *mark* begins, with space around that."""
    text = body[at:].lstrip(_SPACE)
    if text[:1] != mark:
        raise ValueError
    return len(body) - len(text[1:].lstrip(_SPACE))


_SPACE: Final = " \t\r\n"
