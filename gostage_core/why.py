"""Says of a run what it waits for, or what became of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.damage import readable
from gostage_core.errors import RunError
from gostage_core.moments import moment
from gostage_core.planning.tree import path_of, read_tree
from gostage_core.source import RedisSource
from gostage_core.standing import Lease, Throttled, read_leases, read_throttled
from gostage_core.state.client import our_errors
from gostage_core.status import RunStatus
from gostage_core.summary import failure_from, summary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from gostage_core.state.operations import State
    from gostage_core.summary import RunSummary

    Behind = Callable[[str, str, bytes], int | None]

_DEEPEST: Final = 10
"""How far down child runs are followed."""

_TELLING: Final = "xrhzw"
"""States of live entries, the most telling first; one that is open waits for these."""

_STATE, _ATTEMPT, _FAILS, _LOST, _AT, _BEGAN, _WHERE, _LOOKS, _PHASE = 0, 1, 2, 3, 5, 6, 8, 9, 10


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one entry of the plan does not go on, or that it does."""

    entry: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Why:
    """What a run waits for, or what became of it; ``str()`` says it in one line."""

    run_id: str
    status: RunStatus
    text: str
    """Of the whole run."""
    reasons: tuple[Reason, ...] = ()
    """Of each entry that lives, the most telling first."""

    def __str__(self) -> str:
        return f"{self.run_id} is {self.status}: {self.text}"


def explain(state: State, run_id: str, behind: Behind = lambda *_: None, *, depth: int = 0) -> Why:
    """Return why a run stands as it does.

    *behind* tells how many messages stand before the one of an entry, given the run, the entry and
    its carrier; ``None`` where that is not known.

    Raises:
        RunNotFoundError: no such run.
        CorruptRunError: it cannot be read.
    """
    header, fields = RedisSource(state, run_id).plan()
    summary = summary_of(run_id, header)
    with readable(run_id, "plan"):
        if not summary.status.is_terminal:
            state.inspect(run_id)  # nothing of it goes on that is damaged there
            read_tree(fields, summary.status)
        told = _Teller(state, run_id, header, fields, behind, depth)
        reasons = () if summary.status.is_terminal else tuple(told.reasons())
        text = told.of_run(summary, reasons)
    return Why(run_id, summary.status, text, reasons)


class _Teller:
    """Tells of one run, as it was read."""

    def __init__(
        self,
        state: State,
        run_id: str,
        header: Mapping[str, bytes],
        fields: Mapping[str, bytes],
        behind: Behind,
        depth: int,
    ) -> None:
        self._state = state
        self._run_id = run_id
        self._header = header
        self._fields = fields
        self._behind = behind
        self._depth = depth
        self._now = state.server_ms()
        self._leases: dict[str, Lease] | None = None

    def of_run(self, summary: RunSummary, reasons: tuple[Reason, ...]) -> str:
        if summary.status.is_terminal:
            return self._end(summary)
        if "paused" in self._header:
            return self._by(self._json("paused"))
        if "held" in self._header:
            text = self._text("throttle")
            return _in_line(read_throttled(self._state, text, f"{self._run_id} 0"))
        if "verdict" in self._header:
            doing = f"it {_ENDS[self._text('verdict')]}, and what it had done is undone"
            return f"{doing}; {_first(reasons)}" if reasons else doing
        if "stop" in self._header:
            asked = f"it is to end as {self._text('stop')} {self._by(self._json('why'))}"
            return f"{asked}; {_first(reasons)}" if reasons else asked
        return _first(reasons) if reasons else "it is about to go on"

    def reasons(self) -> Iterator[Reason]:
        """Yield why each entry that lives stands as it does."""
        with our_errors(self._run_id, self._state.settings.redis_url):
            live = cast(
                "set[bytes]", self._state.client.smembers(self._state.keys.of("live", self._run_id))
            )
        entries = [entry.decode() for entry in live if f"r{entry.decode()}" in self._fields]
        for entry in sorted(entries, key=lambda one: (self._rank(one), int(one))):
            record = self._record(entry)
            if record[_STATE] in _TELLING:
                spec = json.loads(self._text(f"s{entry}", self._fields))
                yield Reason(entry, path_of(spec), self._of_entry(entry, record, spec))

    def _rank(self, entry: str) -> int:
        state = self._record(entry)[_STATE]
        return _TELLING.index(state) if state in _TELLING else len(_TELLING)

    def _of_entry(self, entry: str, record: list[str], spec: Mapping[str, Any]) -> str:
        match record[_STATE]:
            case "x":
                return self._running(entry, record)
            case "r":
                return self._ready(entry, record)
            case "h":
                throttle = self._text(f"t{entry}", self._fields)
                return _in_line(read_throttled(self._state, throttle, f"{self._run_id} {entry}"))
            case "z":
                return self._sleeping(entry, record, spec)
        return self._waiting(entry, record)

    def _running(self, entry: str, record: list[str]) -> str:
        process = record[_WHERE].rpartition("/")[0]
        since = self._since(int(record[_AT]))
        lease = self._known_leases().get(process)
        if lease is None or lease.is_over(self._now):
            gone = "is gone" if lease is None else f"has been silent for {self._since(lease.until)}"
            return (
                f"has run for {since} on worker {_worker(process)}, which {gone}: it is frozen, or "
                f"dead, or cut off; another one takes over within seconds"
            )
        progress = json.loads(self._fields.get(f"p{entry}", b"{}"))
        tells = f", {progress['fraction']:.0%} {progress['message']}".rstrip() if progress else ""
        attempt = f", attempt {record[_ATTEMPT]}" if record[_ATTEMPT] != "1" else ""
        return f"has run for {since} on worker {_worker(process)}{attempt}{tells}"

    def _ready(self, entry: str, record: list[str]) -> str:
        if not any(not one.is_over(self._now) for one in self._known_leases().values()):
            return "is ready, and no worker is there; start one with 'gostage worker'"
        lost = int(record[_LOST])
        was_lost = f"; it has lost its worker {lost} times" if lost else ""
        behind = self._behind(self._run_id, entry, self._fields.get(f"c{entry}", b"[]"))
        since = self._since(int(record[_AT]))
        if behind is not None and behind >= 0:
            return f"has been ready for {since}, queued behind {behind:,} messages{was_lost}"
        again = (
            "is with one already"
            if int(record[_LOOKS]) == 0
            else "is with a busy one, or lost and sent again"
        )
        found = "" if behind is None else f"; its message {again}"
        return f"has been ready for {since}, and waits for a worker{found}{was_lost}"

    def _sleeping(self, entry: str, record: list[str], spec: Mapping[str, Any]) -> str:
        due = self._until(int(record[_AT]))
        error = json.loads(self._fields.get(f"e{entry}", b"{}"))
        if "released" in error:
            return (
                f"is left to a worker that agrees; {_worker(error['worker'])} says: "
                f"{error['released']}; asked again {due}"
            )
        if error and int(record[_FAILS]):
            failure = failure_from(error)
            told = f"{failure.type}: {failure.message}"[:300]
            return f"has failed {_times(int(record[_FAILS]))}, last with {told}; tried again {due}"
        return f"sleeps until {_clock(int(record[_AT]))} ({due})"

    def _waiting(self, entry: str, record: list[str]) -> str:
        until = f", until {_clock(int(record[_AT]))}" if int(record[_AT]) else ""
        child = self._text(f"u{entry}", self._fields)
        if child and self._depth < _DEEPEST:
            return f"waits for its child run {self._below(child)}"
        awaited = self._text(f"q{entry}", self._fields)
        if awaited.startswith("s") and awaited[1:].isdecimal():
            name, _, wanted = self._text(f"j{entry}", self._fields).partition("\n")
            kind = f" ({wanted})" if wanted else ""
            return f"waits for signal {name!r}{kind}{until}"
        return f"waits for a Celery task to tell its end{until}"

    def _below(self, child: str) -> str:
        """What a child run waits for; its damage is its own."""
        try:
            return str(explain(self._state, child, self._behind, depth=self._depth + 1))
        except RunError as error:
            return f"{child}, of which nothing can be told: {error}"

    def _end(self, summary: RunSummary) -> str:
        at = _clock(int(self._header["ended"]))
        undone = {None: "", True: "; what it had done is undone", False: _LEFT}[summary.compensated]
        if summary.status is RunStatus.FAILED and summary.error is not None:
            return f"{self._failed(summary)}, at {at}{undone}"
        if summary.status is RunStatus.CANCELLED:
            return f"{self._by(self._json('why'))}, at {at}{undone}"
        if summary.status is RunStatus.BAILED:
            return f"ended early on purpose, {summary.bail_reason}, at {at}"
        return f"it has done all there was to do, at {at}"

    def _failed(self, summary: RunSummary) -> str:
        entry = self._text("failed")
        error = summary.error
        path = error.path if error else ""
        if not path and f"s{entry}" in self._fields:
            path = path_of(json.loads(self._text(f"s{entry}", self._fields)))
        what = f"{error.type}: {error.message}" if error else "it failed"
        attempt = f", attempt {error.attempt}" if error and error.attempt > 1 else ""
        return f"{path} failed with {what}{attempt}" if path else what

    def _known_leases(self) -> dict[str, Lease]:
        if self._leases is None:
            self._leases = read_leases(self._state)
        return self._leases

    def _record(self, entry: str) -> list[str]:
        return self._text(f"r{entry}", self._fields).split("|")

    def _text(self, name: str, of: Mapping[str, bytes] | None = None) -> str:
        found = (self._header if of is None else of).get(name, b"")
        return found.decode("utf-8", "surrogateescape")

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._header.get(name, b"{}"))
        return found

    def _by(self, details: Mapping[str, Any]) -> str:
        who = f"by {details['actor']}" if details.get("actor") else "by its deadline"
        return f"{who}: {details['reason']}" if details.get("reason") else who

    def _since(self, ms: int) -> str:
        return span((self._now - ms) / 1000)

    def _until(self, ms: int) -> str:
        left = (ms - self._now) / 1000
        return f"in {span(left)}" if left > 0 else "now"


_SEEN: Final = "is with one already"
_UNSEEN: Final = "is with a busy one, or was lost and is sent again"
_ENDS: Final = {"failed": "failed", "cancelled": "was cancelled"}
_LEFT: Final = "; not all that it had done is undone, see 'gostage runs show'"


def span(seconds: float) -> str:
    """Return a span of time for people: its two largest units."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def _first(reasons: tuple[Reason, ...]) -> str:
    first = reasons[0]
    more = f" (and {len(reasons) - 1:,} more)" if len(reasons) > 1 else ""
    return f"{first.path} {first.text}{more}"


def _in_line(throttled: Throttled) -> str:
    within = ", ".join(throttled.inside[:3]) + (", …" if len(throttled.inside) > 3 else "")
    holders = f"; within it are {within}" if within else ""
    place = "" if throttled.place is None else f", {throttled.place + 1:,}. in its line"
    due = (
        "" if throttled.next_ms is None else f"; the next may begin at {_clock(throttled.next_ms)}"
    )
    return f"waits for throttle {throttled.key!r} ({throttled.bound}){place}{holders}{due}"


def _worker(process: str) -> str:
    return process.partition("/")[0].rsplit(".", 2)[0]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _clock(ms: int) -> str:
    at: datetime | None = moment(ms)
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
