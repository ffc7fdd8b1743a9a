"""What the atomic operations are told and answer, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gostage_core.sealing.box import Opener
    from gostage_core.state.scripts import Reply


class Ready(NamedTuple):
    """One entry that became ready, or stands behind one in its sequence."""

    entry: str
    carrier: bytes
    run_id: str = ""
    """Where it is an entry of another run: the one above, or one below."""
    head: bool = False
    """Whether its message goes before those that wait in its queue."""


@dataclass(frozen=True, slots=True)
class Next:
    """What a run goes on with.

    ``keep``: the chain at hand carries it. ``chain``: the first is ready, the others follow it.
    ``group``: all are ready, side by side (none: the run has ended, or waits for others).
    """

    mode: Literal["keep", "chain", "group"]
    ready: tuple[Ready, ...] = ()

    def messages(self) -> tuple[tuple[Ready, ...], ...]:
        """Return what each message is about: one for a chain, one a member for a group."""
        if self.mode == "chain":
            return (self.ready,)
        return tuple((ready,) for ready in self.ready)


NOTHING: Final = Next("group")


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on one action, and what its execution needs."""

    run_id: str
    entry: str
    token: str
    attempt: int
    fails: int
    spec: bytes
    store: dict[str, bytes] | None
    """The whole store, where it is small; ``None`` where it is to be read key by key."""
    shared: bool
    """Whether siblings may write to the store meanwhile."""
    phase: int = 0
    """How often the entry has waited for something before."""
    due: int = 0
    """When the entry is to be done, by the server's clock in ms; 0 where it has no deadline."""
    left: float | None = None
    """Seconds until then, as of the claim."""


class Origin(NamedTuple):
    """What a trace tells of the run of an attempt."""

    workflow: str
    trace: str
    """The span that the run was submitted in; empty where its submit was not traced."""
    nonce: str
    """Of its submit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A word, and what comes with it."""

    word: str
    next: Next = NOTHING
    details: tuple[str, ...] = ()


class Roused(NamedTuple):
    """What a look at a timer found: a word, and either what the run goes on with or other parts."""

    answer: Answer
    parts: list[object]


class Sought(NamedTuple):
    """An action whose message nobody has taken."""

    run_id: str
    entry: str
    carrier: bytes
    sent_at: int
    """By the server's clock, in ms."""
    looks: int
    """How often it was looked for, this time included."""


@dataclass(frozen=True, slots=True)
class CommitParts:
    """What an attempt commits, as the scripts read it."""

    changes: Sequence[object] = (0,)
    bail: str = ""
    value: bytes = b""
    """What the action returned, encoded, where that is collected."""
    undo: str = ""
    """How the action is undone, should the run fail; empty where nothing is."""
    report: Sequence[str] = ()
    """Of a hook: verdict, scratch, by whom, why."""
    planned: Sequence[object] = (0,)
    """What it changes in the plan."""


class Stored(NamedTuple):
    """One key of a store as Redis keeps it."""

    value: bytes | None
    meta: bytes | None = None
    items: tuple[bytes, ...] | None = None
    opener: Opener | None = None
    """Opens what is sealed of it, when it is read; ``None`` where nothing is."""


Member = tuple[str, ...]
"""Of an index: a run's id, an entry, and what kind of timer it is, if it is one."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a tick of the rescuer found."""

    now: int
    timers: tuple[Member, ...] = ()
    unseen: tuple[Member, ...] = ()
    """Actions whose message nobody has taken for some time."""
    dead: dict[str, dict[str, str]] = field(default_factory=dict)
    expired: tuple[str, ...] = ()
    throttles: tuple[str, ...] = ()
    """With room, perhaps."""
    schedules: tuple[str, ...] = ()
    doomed: dict[str, str] = field(default_factory=dict)
    """Processes of this worker whose body is to be stopped: ``"slot run entry"``."""


def answer_of(reply: Reply, *going_on: str) -> Answer:
    """Read a reply; one that begins with a word of *going_on* says what is ready behind it."""
    word = text_of(reply[0])
    if word not in going_on or len(reply) < 2:
        return Answer(word, details=tuple(map(text_of, reply[1:])))
    mode = cast('Literal["keep", "chain", "group"]', text_of(reply[1]))
    if mode == "keep":
        return Answer(word, Next(mode))
    parts = cast("list[bytes]", reply[2:])
    ready = (_ready(text_of(n), c) for n, c in zip(parts[::2], parts[1::2], strict=True))
    return Answer(word, Next(mode, tuple(ready)))


def pairs_of(reply: object) -> dict[str, str]:
    """Read names and values, one after the other."""
    texts = [text_of(part) for part in cast("list[object]", reply)]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def texts_of(reply: object) -> tuple[str, ...]:
    """Read a list of texts."""
    return tuple(map(text_of, cast("list[object]", reply)))


def text_of(value: object) -> str:
    """Return what the server wrote as text, whatever it is."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _ready(label: str, carrier: bytes) -> Ready:
    run_id, _, entry = label.removeprefix("!").rpartition(" ")
    return Ready(entry, carrier, run_id, label.startswith("!"))
