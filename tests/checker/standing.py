"""How a world stands between two steps: the server, and all that its clients have in hand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gostage_core.state.answers import Claim
    from gostage_core.testing.memory import Snapshot
    from tests.support.bench import Message

UNANSWERED: Final = "the answer is lost"
SILENT: Final = "who did it dies before it can send a message"
LATE: Final = "it is found, and done some time later"
"""What a step may be done with that goes wrong."""

_PROCESS: Final = re.compile(r"P(\d+)_")

Words = tuple[bytes, ...]
"""A request, as it goes over the wire."""


@dataclass(frozen=True)
class Worker:
    """One process with one slot, and how far it is with a message.

    ``idle``; ``asking`` for a claim, whose answer was lost; ``working`` under a claim; ``ending``
    an attempt, when that answer was lost; ``leaving`` a slot that was taken from it; ``dead``.
    """

    process: str
    doing: str = "idle"
    message: Message | None = None
    nonce: str = ""
    claim: Claim | None = None
    words: Words = ()

    @property
    def member(self) -> str:
        """What it is at, as the books would have it."""
        one = self.claim or self.message
        return f"{one.run_id} {one.entry}" if one else ""


@dataclass(frozen=True)
class Late:
    """What a rescuer or an operator has in hand, and does some time."""

    kind: str
    """Of a step of the rescuer; ``again`` for a request whose answer was lost."""
    what: Any


@dataclass(frozen=True)
class Replica:
    """A server that has heard nothing since: it may take over within so many steps."""

    server: Snapshot
    queue: tuple[Message, ...]
    steps: int


@dataclass(frozen=True)
class Standing:
    """All of it. Nothing of it changes."""

    server: Snapshot
    workers: tuple[Worker, ...]
    queue: tuple[Message, ...]
    faults: int
    """That may still come."""
    deeds: tuple[str, ...]
    """Of operators, that may still come."""
    late: tuple[Late, ...] = ()
    replica: Replica | None = None
    failed_over: bool = False
    unique: int = 0
    """How many nonces and processes there were."""

    def with_worker(self, at: int, worker: Worker, **changes: Any) -> Standing:
        """Return it with another worker at a place."""
        workers = (*self.workers[:at], worker, *self.workers[at + 1 :])
        return replace(self, workers=workers, **changes)


@dataclass(frozen=True)
class Step:
    """One thing that may happen."""

    kind: str
    what: Any = None
    goes_wrong: str = ""
    """The fault that it is done with, if it is."""
    is_fair: bool = True
    """Whether it comes some time as long as it may: no fault, and nobody's whim."""

    def __str__(self) -> str:
        text = _PROCESS.sub(r"worker\1", f"{self.kind} {_shown(self.what)}".rstrip())
        return f"{text}: {self.goes_wrong}" if self.goes_wrong else text


@dataclass
class Violation(Exception):
    """Something that should never be."""

    text: str
    path: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text


def _shown(what: Any) -> str:
    if isinstance(what, tuple):
        return " ".join(filter(None, map(_shown, what)))
    if hasattr(what, "run_id") and hasattr(what, "entry"):
        return f"{what.run_id} {what.entry}"
    if isinstance(what, Late):
        return f"{what.kind} {_shown(what.what)}"
    if isinstance(what, Worker):
        return what.process
    return what if isinstance(what, str) else ""
