"""The operations on runs: one method an atomic script, words and values in and out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

import redis

from gostage_core.state import scripts
from gostage_core.state.client import connect, our_errors
from gostage_core.state.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gostage_core.settings import Settings

GRACE_MS: Final = 1_000
"""How far beyond its timeout an attempt may be before it is ended from outside its process."""

HOLD_MS: Final = 2_000
"""How long a rescuer keeps what it was handed before another one may be handed it."""

_PUSH: Final = "for i = 2, #ARGV do redis.call(ARGV[1], KEYS[1], ARGV[i]) end"
"""What goes on was let in before the server was full; so must be the message that says so."""


class Ready(NamedTuple):
    """One entry that became ready, or stands behind one in its sequence."""

    entry: str
    carrier: bytes
    run_id: str = ""
    """Where it is an entry of another run: the one above, or one below."""


@dataclass(frozen=True, slots=True)
class Next:
    """What a run goes on with.

    ``keep``: the chain at hand carries it. ``chain``: the first is ready, the others follow it.
    ``group``: all are ready, side by side (none: the run has ended, or waits for others).
    """

    mode: Literal["keep", "chain", "group"]
    ready: tuple[Ready, ...] = ()


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


@dataclass(frozen=True, slots=True)
class CommitParts:
    """What an attempt commits, as the scripts read it."""

    changes: Sequence[object] = (0,)
    bail: str = ""
    value: bytes = b""
    """What the action returned, encoded, where that is collected."""
    report: Sequence[object] = ()
    """Of a hook: verdict, scratch, by whom, why."""
    details: str = "{}"
    """JSON for the journal: who changes the plan."""
    actions: Sequence[object] = (0,)
    stages: Sequence[object] = (0,)
    edits: Sequence[object] = (0,)


class Stored(NamedTuple):
    """One key of a store as Redis keeps it."""

    value: bytes | None
    meta: bytes | None = None
    items: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What a tick of the rescuer found."""

    now: int
    timers: tuple[tuple[str, ...], ...]
    dead: dict[str, dict[str, str]] = field(default_factory=dict)
    expired: tuple[str, ...] = ()


class State:
    """The runs of one namespace in one Redis. Safe to share between threads.

    Every method is one round trip, safe to repeat, and raises
    :class:`~gostage_core.errors.StoreUnavailableError` or
    :class:`~gostage_core.errors.CorruptRunError`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = Keys(settings.namespace)
        self.client = connect(settings.redis_url)

    def submit(self, run_id: str, arguments: Sequence[object]) -> Answer:
        """Create a run: ``created``, ``exists`` (and whose the key is) or ``taken``."""
        return _answer(self._run("submit", run_id, self.settings.window, *arguments), "created")

    def claim(
        self, run_id: str, entry: str, *, nonce: str, process: str, slot: str, mark: str
    ) -> Claim | str:
        """Take the lease of an action; a word says why it is not to be had."""
        reply = self._run(
            "claim", run_id, entry, nonce, process, slot, round(self.settings.lease * 1000), mark,
            self.settings.small_store, GRACE_MS,
        )  # fmt: skip
        if reply[0] != b"claimed":
            return _text(reply[0])
        return Claim(
            run_id=run_id,
            entry=entry,
            token=_text(reply[1]),
            attempt=cast("int", reply[2]),
            fails=cast("int", reply[3]),
            spec=cast("bytes", reply[4]),
            store=_small_store(reply[5]),
            shared=reply[6] == 1,
            phase=cast("int", reply[7]),
        )

    def commit(self, claim: Claim, *, have: str, order: str, parts: CommitParts) -> Answer:
        """End an attempt that did its work, all or nothing."""
        reply = self._run(
            "commit", claim.run_id, claim.entry, claim.token, have, self.settings.window, order,
            parts.bail, parts.details, parts.value, len(parts.report), *parts.report,
            *parts.changes, *parts.actions, *parts.stages, *parts.edits,
        )  # fmt: skip
        return _answer(reply, "committed")

    def wait(self, claim: Claim, *, changes: Sequence[object], parts: Sequence[object]) -> Answer:
        """End a phase of an attempt, whose entry now waits for what *parts* says."""
        reply = self._run(
            "wait", claim.run_id, claim.entry, claim.token, self.settings.window, *changes, *parts
        )
        return _answer(reply, "waiting")

    def deliver(self, run_id: str, entry: str, awaited: str, text: str) -> Answer:
        """Bring a waiting entry what it waits for: ``delivered``, ``repeated`` or ``gone``."""
        return _answer(
            self._run("deliver", run_id, entry, awaited, text, self.settings.window), "delivered"
        )

    def ask(self, run_id: str, reply_to: str) -> str:
        """Have a run's result put onto a list when it has ended: ``asked`` or ``gone``."""
        return _text(self._run("ask", run_id, reply_to)[0])

    def reply(self, run_id: str, text: str) -> str:
        """Put a run's result onto the lists that are to get it, once: ``sent`` or ``gone``."""
        return _text(self._run("reply", run_id, text)[0])

    def edit(
        self, run_id: str, *, nonce: str, revision: int, details: str, edits: Sequence[object]
    ) -> Answer:
        """Change a plan as it was at *revision*, all or nothing: ``applied``, or why not."""
        reply = self._run("edit", run_id, nonce, revision, self.settings.window, details, *edits)
        return _answer(reply, "applied")

    def note(self, run_id: str, *, nonce: str, kind: str, entry: str, details: str) -> str:
        """Write an entry of a run's journal that changes nothing else."""
        return _text(self._run("note", run_id, nonce, kind, entry or "0", details)[0])

    def fail(
        self, claim: Claim, *, delay: float | None, policy: str, failure: str, details: str
    ) -> Answer:
        """End an attempt that failed; *delay* seconds until the next one, ``None`` for none."""
        due = "" if delay is None else max(1, round(delay * 1000))
        reply = self._run(
            "fail", claim.run_id, claim.entry, claim.token, due, policy, self.settings.window,
            failure, details,
        )  # fmt: skip
        return _answer(reply, "continued", "failed")

    def release(self, claim: Claim, *, delay: float, reason: str) -> Answer:
        """Give an attempt back that did not begin its work."""
        reply = self._run(
            "release", claim.run_id, claim.entry, claim.token, round(delay * 1000), reason
        )
        return _answer(reply)

    def checkpoint(self, claim: Claim, *, nonce: str, changes: Sequence[object]) -> Answer:
        """Write store changes of an attempt that goes on."""
        reply = self._run("checkpoint", claim.run_id, claim.entry, claim.token, nonce, *changes)
        return _answer(reply)

    def control(self, claim: Claim, progress: str = "") -> str:
        """Say whether an attempt may go on: ``go``, ``stop`` or ``lost``."""
        return _text(self._run("control", claim.run_id, claim.entry, claim.token, progress)[0])

    def halt(self, run_id: str, status: str, why: str) -> Answer:
        """Ask a run to end as *status*."""
        reply = self._run("halt", run_id, status, why, self.settings.window)
        return _answer(reply, "halted")

    def read(self, run_id: str, names: Sequence[str]) -> list[Stored]:
        """Read keys of a run's store."""
        reply = self._run("read", run_id, *names, key=self.keys.of("store", run_id))
        return [
            Stored(
                cast("bytes | None", reply[i]),
                cast("bytes | None", reply[i + 1]),
                None if reply[i + 2] is None else tuple(cast("list[bytes]", reply[i + 2])),
            )
            for i in range(0, len(reply), 3)
        ]

    def tick(self, processes: Iterable[str], *, judge: bool, limit: int = 200) -> Due:
        """Renew the leases of *processes* and hand out what is due."""
        living = list(processes)
        reply = self._run_shared(
            "tick",
            round(self.settings.lease * 1000),
            round((self.settings.lease - 1.5 * self.settings.tick) * 1000),
            HOLD_MS,
            limit,
            int(judge),
            len(living),
            *living,
        )
        dead = cast("list[object]", reply[2])
        return Due(
            now=cast("int", reply[0]),
            timers=tuple(tuple(_text(m).split(" ")) for m in cast("list[object]", reply[1])),
            dead={
                _text(process): _pairs(cast("list[object]", claims))
                for process, claims in zip(dead[::2], dead[1::2], strict=True)
            },
            expired=tuple(_text(run_id) for run_id in cast("list[object]", reply[3])),
        )

    def renew(self, processes: Iterable[str]) -> None:
        """Renew the leases of *processes*."""
        self.tick(processes, judge=False, limit=0)

    def rouse(self, run_id: str, what: str, timer: str, deadline: str) -> Roused:
        """Look at one due timer of a run."""
        reply = self._run(
            "rouse", run_id, what, timer, deadline, self.settings.max_losses, self.settings.window
        )
        return Roused(_answer(reply, "ended", "halted"), reply[1:])

    def lose(self, run_id: str, entry: str, process: str, slot: str, *, counted: bool) -> Answer:
        """Take an attempt from a process that has died, or (not counted) is leaving."""
        reply = self._run(
            "lose", run_id, entry, process, slot, int(counted), self.settings.max_losses,
            self.settings.window,
        )  # fmt: skip
        return _answer(reply, "ended")

    def purge(self, run_id: str) -> str:
        """Forget a run that has ended."""
        return _text(self._run("purge", run_id)[0])

    def push(self, queue: str, texts: list[str], head: bool) -> None:
        """Put messages onto a queue of the broker, where that is this very server."""
        push, command = (self.client.rpush, "RPUSH") if head else (self.client.lpush, "LPUSH")
        with our_errors(url=self.settings.redis_url):
            try:
                push(queue, *texts)
            except redis.exceptions.OutOfMemoryError:
                self.client.eval(scripts.THOUGH_FULL + _PUSH, 1, queue, command, *texts)

    def working(self) -> set[str]:
        """Return the processes that work on something now. Reads the name of every key."""
        prefix = self.keys.of("claims", "")
        with our_errors(url=self.settings.redis_url):
            found = list(self.client.scan_iter(f"{escaped(prefix)}*", count=1_000))
        return {_text(key).removeprefix(prefix) for key in found}

    def claims_of(self, process: str) -> dict[str, str]:
        """Return what a process works on: slot -> ``"run entry"``."""
        with our_errors(url=self.settings.redis_url):
            held = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.of("claims", process)))
        return {_text(slot): _text(member) for slot, member in held.items()}

    def marks(self) -> dict[str, int]:
        """Return for each queue when the youngest message that was taken from it had been sent."""
        with our_errors(url=self.settings.redis_url):
            marks = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.of("marks")))
        return {_text(queue): int(at) for queue, at in marks.items() if at.isdigit()}

    def postpone(self, index: str, member: str, seconds: float, *, known: bool = True) -> None:
        """Leave *member* of ``wake`` or ``expiry`` alone for so long: its run is damaged.

        One that is not there any more stays away, unless it need not be *known*.
        """
        until = self.server_ms() + round(seconds * 1000)
        with our_errors(url=self.settings.redis_url):
            self.client.zadd(self.keys.of(index), {member: until}, xx=known)

    def drop_claim(self, process: str, slot: str) -> None:
        """Take a claim off the books of a process."""
        with our_errors(url=self.settings.redis_url):
            self.client.hdel(self.keys.of("claims", process), slot)

    def abandon(self, claim: Claim, process: str, slot: str) -> None:
        """Have the rescuer look at an attempt that has ended without being ended."""
        member = f"{claim.run_id} {claim.entry}"
        with our_errors(claim.run_id, self.settings.redis_url):
            self.client.zadd(self.keys.of("wake"), {member: 0})
            self.client.hdel(self.keys.of("claims", process), slot)

    def server_ms(self) -> int:
        """Return the server's clock in milliseconds."""
        with our_errors(url=self.settings.redis_url):
            whole, micro = self.client.time()
        return whole * 1000 + micro // 1000

    def server_id(self) -> str:
        """Return what tells this start of this server from any other."""
        with our_errors(url=self.settings.redis_url):
            info = cast("dict[str, object]", self.client.info("server"))
        return str(info.get("run_id", ""))

    def end_lease(self, process: str) -> None:
        """Let the lease of a process that has ended be over.

        It stays on the books until a tick finds them empty: a claim of it may still be under way.
        """
        with our_errors(url=self.settings.redis_url):
            self.client.zadd(self.keys.of("alive"), {process: 0})

    def say(
        self, claim: Claim, *, nonce: str, type: str, payload: str, stage: str, action: str
    ) -> Answer:
        """Keep a message of an attempt: ``said``, ``full`` (and which run) or ``lost``."""
        reply = self._run(
            "say", claim.run_id, claim.entry, claim.token, nonce, self.settings.max_messages,
            type, payload, stage, action,
        )  # fmt: skip
        return _answer(reply)

    def _run(self, name: str, run_id: str, *args: object, key: str = "") -> scripts.Reply:
        with our_errors(run_id, self.settings.redis_url):
            return scripts.run(
                self.client,
                name,
                key or self.keys.of("run", run_id),
                (self.keys.prefix, run_id, *args),
            )

    def _run_shared(self, name: str, *args: object) -> scripts.Reply:
        with our_errors(url=self.settings.redis_url):
            return scripts.run(self.client, name, self.keys.of("wake"), (self.keys.prefix, *args))


def _answer(reply: scripts.Reply, *going_on: str) -> Answer:
    word = _text(reply[0])
    if word not in going_on or len(reply) < 2:
        return Answer(word, details=tuple(map(_text, reply[1:])))
    mode = cast('Literal["keep", "chain", "group"]', _text(reply[1]))
    if mode == "keep":
        return Answer(word, Next(mode))
    parts = cast("list[bytes]", reply[2:])
    ready = (_ready(_text(n), c) for n, c in zip(parts[::2], parts[1::2], strict=True))
    return Answer(word, Next(mode, tuple(ready)))


def _ready(label: str, carrier: bytes) -> Ready:
    run_id, _, entry = label.rpartition(" ")
    return Ready(entry, carrier, run_id)


def _small_store(reply: object) -> dict[str, bytes] | None:
    if reply is None:
        return None
    parts = cast("list[bytes]", reply)
    return {_text(k): v for k, v in zip(parts[::2], parts[1::2], strict=True)}


def escaped(text: str) -> str:
    """Return *text* as a pattern of SCAN that matches nothing else."""
    return "".join(f"\\{c}" if c in "\\*?[]" else c for c in text)


def _pairs(reply: list[object]) -> dict[str, str]:
    texts = [_text(part) for part in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
