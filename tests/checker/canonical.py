"""The form of a standing: the same for standings between which nothing can ever tell.

Names of processes and nonces are numbered as they come up; workers have no order, messages none
either. Left out is what no script decides by, or what decides only when something is due: any timer
may be the next here. So moments are all one, marks, beats and leases are not looked at, the journal
is one sequence an entry, and how often a message was looked for does not count.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gostage_core.testing.memory import MemoryServer
    from tests.checker.standing import Late, Replica, Standing, Worker
    from tests.support.bench import Message

_MOMENT: Final = re.compile(r"\b17\d{11}(\.0)?\b")
"""Any time by the server's clock, in milliseconds."""
_NAME: Final = re.compile(r"[NP]\d+_")
"""A nonce, or a process; see :meth:`Engine.token`."""
_UNSEEN: Final = frozenset(("alive", "beat", "marks", "doomed", "numbers"))
_RESENDS, _WHERE = 9, 8


def form_of(standing: Standing, server: MemoryServer) -> bytes:
    """Return the form of *standing*, which *server* holds."""
    books = _Keys(server.content())
    parts = [repr((standing.faults, standing.deeds, standing.failed_over))]
    parts += sorted((_of_worker(one, books) for one in standing.workers), key=_nameless)
    parts += sorted(map(_of_message, standing.queue))
    parts += map(_of_late, standing.late)
    parts += [*sorted(books.texts), *sorted(books.rest, key=_nameless)]
    if standing.replica is not None:
        parts += _of_replica(standing.replica, server)
    text = _MOMENT.sub("T", "\n".join(parts))
    return blake2b(_renamed(text).encode("utf-8", "surrogateescape"), digest_size=12).digest()


class _Keys:
    """What a server holds, key by key."""

    def __init__(self, content: Any) -> None:
        self.of: dict[str, str] = {}
        self.texts: list[str] = []
        for key, value, _ends in content:
            name = key.partition(b":")[2].decode()
            if name in _UNSEEN:
                continue
            text = _text_of(name.partition(":")[0], value)
            if name.startswith("claims:"):
                self.of[name.partition(":")[2]] = text
            else:
                self.texts.append(f"{name}={text}")

    @property
    def rest(self) -> list[str]:
        """The books of processes that nobody has asked for."""
        return [f"claims of {process}: {text}" for process, text in self.of.items()]


def _of_worker(worker: Worker, keys: _Keys) -> str:
    claim = worker.claim
    parts: list[object] = [worker.process, worker.doing, worker.nonce, worker.words]
    parts.append(keys.of.pop(worker.process, ""))
    if worker.message is not None:
        parts.append(_of_message(worker.message))
    if claim is not None:
        store = sorted((claim.store or {}).items())
        parts += [claim.run_id, claim.entry, claim.token, claim.attempt, claim.fails, claim.phase]
        parts += [store, claim.store is None]
    return f"worker {parts!r}"


def _of_message(message: Message) -> str:
    return f"message {message.run_id} {message.entry} {message.tail}"


def _of_late(late: Late) -> str:
    return f"late {late.kind} {late.what}"


def _of_replica(replica: Replica, server: MemoryServer) -> list[str]:
    now = server.snapshot()
    server.restore(replica.server)
    keys = _Keys(server.content())
    server.restore(now)
    queue = sorted(map(_of_message, replica.queue))
    return [f"replica for {replica.steps}", *queue, *sorted(keys.texts), *sorted(keys.rest)]


def _nameless(text: str) -> str:
    return _NAME.sub("", text)


def _renamed(text: str) -> str:
    known: dict[str, str] = {}
    return _NAME.sub(lambda found: known.setdefault(found[0], f"{found[0][0]}{len(known)}"), text)


@lru_cache(maxsize=100_000)
def _text_of(kind: str, value: Any) -> str:
    """Return what is told of a key. Values that were not written to are not looked at again."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    form, members = value
    if kind == "journal":
        return _of_journal([text for _, text in sorted(members)])
    texts = sorted(_of_member(kind, member) for member in members)
    return f"{form} {texts}"


def _of_member(kind: str, member: Any) -> str:
    if isinstance(member, bytes):
        return member.decode()
    first, second = (one.decode() if isinstance(one, bytes) else one for one in member)
    if kind == "plan" and re.fullmatch(r"r\d+", first):
        second = _of_record(second)
    return f"{first}: {second}"


def _of_record(text: str) -> str:
    parts = text.split("|")
    if len(parts) > _RESENDS + 1:
        parts[_RESENDS] = ""
        if parts[0] != "x":
            parts[_WHERE] = ""
    return "|".join(parts)


def _of_journal(lines: list[bytes]) -> str:
    entries = [json.loads(line) for line in lines]
    for entry in entries:
        for part in entry:
            if isinstance(part, dict):
                part.pop("worker", None)
    return repr([entry[1:] for entry in sorted(entries, key=lambda entry: str(entry[2]))])
