"""Why the entries of a plan that live do not go on, or that they do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from gostage_core.broker.position import FARTHEST
from gostage_core.moments import moment
from gostage_core.plan import Carrier
from gostage_core.planning.tree import path_of
from gostage_core.standing import Lease, Throttled, read_leases, read_throttled
from gostage_core.state.client import our_errors
from gostage_core.summary import failure_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gostage_core.state.operations import State

    Places = Callable[[str, str], "dict[str, int] | None"]
    """Tells how many messages stand before those of a run in a queue, by entry."""
    Below = Callable[[str], str]
    """Tells how a child run stands."""

_TELLING: Final = "xrhzw"
"""States of live entries, the most telling first; one that is open waits for these."""

_STATE, _ATTEMPT, _FAILS, _LOST, _AT, _WHERE, _LOOKS, _PHASE = 0, 1, 2, 3, 5, 8, 9, 10

_LONGEST_FAILURE: Final = 300

_BREAK: Final = re.compile(r"\s*[^\S ]\s*")
"""What goes from line to line, or looks so: any space but the common one."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one entry of the plan does not go on, or that it does."""

    entry: str
    path: str
    text: str


class Entries:
    """Tells of the entries of one run that live, as its plan was read."""

    def __init__(
        self,
        state: State,
        run_id: str,
        fields: Mapping[str, bytes],
        places: Places,
        below: Below,
        *,
        is_paused: bool,
    ) -> None:
        self._state = state
        self._run_id = run_id
        self._fields = fields
        self._places = places
        self._below = below
        self._is_paused = is_paused
        self._now = state.server_ms()
        self._leases: dict[str, Lease] | None = None

    def reasons(self) -> Iterator[Reason]:
        """Yield why each stands as it does, the most telling first."""
        with our_errors(self._run_id, self._state.settings.redis_url):
            live = cast(
                "set[bytes]", self._state.client.smembers(self._state.keys.of("live", self._run_id))
            )
        entries = [entry.decode() for entry in live if f"r{entry.decode()}" in self._fields]
        for entry in sorted(entries, key=lambda one: (self._rank(one), int(one))):
            record = self._record(entry)
            if record[_STATE] in _TELLING:
                spec = json.loads(self._text(f"s{entry}"))
                told = self._told(entry, record) + self._deadline(entry)
                yield Reason(entry, path_of(spec), one_line(told))

    def _deadline(self, entry: str) -> str:
        due = self._text(f"x{entry}")
        return f"; to be done by {clock(int(due))}" if due else ""

    def _rank(self, entry: str) -> int:
        state = self._record(entry)[_STATE]
        return _TELLING.index(state) if state in _TELLING else len(_TELLING)

    def _told(self, entry: str, record: list[str]) -> str:
        match record[_STATE]:
            case "x":
                return self._running(entry, record)
            case "r":
                return self._ready(entry, record)
            case "h":
                throttle, member = self._text(f"t{entry}"), f"{self._run_id} {entry}"
                return in_line(read_throttled(self._state, throttle, member))
            case "z":
                return self._sleeping(entry, record)
        return self._waiting(entry, record)

    def _running(self, entry: str, record: list[str]) -> str:
        process = record[_WHERE].rpartition("/")[0]
        since = self._since(int(record[_AT]))
        lease = self._known_leases().get(process)
        if lease is None or lease.is_over(self._now):
            gone = "is gone" if lease is None else f"has been silent for {self._since(lease.until)}"
            then = "another one takes over within seconds"
            if not self._is_served():
                then = "no other one is there; start one with 'gostage worker'"
            return (
                f"has run for {since} on worker {worker_of(process)}, which {gone}: it is frozen, "
                f"or dead, or cut off; {then}"
            )
        progress = json.loads(self._fields.get(f"p{entry}", b"{}"))
        tells = f", {progress['fraction']:.0%} {progress['message']}".rstrip() if progress else ""
        attempt = f", attempt {record[_ATTEMPT]}" if record[_ATTEMPT] != "1" else ""
        return f"has run for {since} on worker {worker_of(process)}{attempt}{tells}"

    def _ready(self, entry: str, record: list[str]) -> str:
        if self._is_paused:
            return "is ready, and goes on when the run is resumed"
        if not self._is_served():
            return "is ready, and no worker is there; start one with 'gostage worker'"
        lost = int(record[_LOST])
        was_lost = f"; it has lost its worker {times(lost)}" if lost else ""
        since = self._since(int(record[_AT]))
        return f"has been ready for {since}, {self._queued(entry, record)}{was_lost}"

    def _queued(self, entry: str, record: list[str]) -> str:
        default = self._state.settings.namespace
        queue = Carrier.from_text(self._fields.get(f"c{entry}", b"[]")).queue or default
        where = "" if queue == default else f" in {queue!r}"
        places = self._places(self._run_id, queue)
        if places is None:
            return f"and waits for a worker{where}"
        if entry in places:
            return f"queued{where} behind {places[entry]:,} messages"
        if "" in places:
            return f"queued{where} behind {FARTHEST:,} messages or more"
        if int(record[_LOOKS]) == 0:
            return f"and waits for a worker{where}; its message is with one already"
        return (
            f"and waits for a worker{where}; its message is with a busy one, or was lost and is "
            f"sent again"
        )

    def _sleeping(self, entry: str, record: list[str]) -> str:
        at, error = int(record[_AT]), json.loads(self._fields.get(f"e{entry}", b"{}"))
        if "released" in error:
            return (
                f"is left to a worker that agrees; {worker_of(error['worker'])} says: "
                f"{error['released']}; asked again {self._until(at)}"
            )
        if error and int(record[_FAILS]) and record[_PHASE] == "0":
            failure = failure_from(error)
            told = f"{failure.type}: {failure.message}"[:_LONGEST_FAILURE]
            failed = times(int(record[_FAILS]))
            return f"has failed {failed}, last with {told}; tried again {self._until(at)}"
        return f"sleeps until {clock(at)} ({self._until(at)})"

    def _waiting(self, entry: str, record: list[str]) -> str:
        until = f", until {clock(int(record[_AT]))}" if int(record[_AT]) else ""
        if child := self._text(f"u{entry}"):
            return f"waits for its child run {self._below(child)}"
        awaited = self._text(f"q{entry}")
        if awaited.startswith("s") and awaited[1:].isdecimal():
            name, _, wanted = self._text(f"j{entry}").partition("\n")
            kind = f" ({wanted})" if wanted else ""
            return f"waits for signal {name!r}{kind}{until}"
        return f"waits for a Celery task to tell its end{until}"

    def _known_leases(self) -> dict[str, Lease]:
        if self._leases is None:
            self._leases = read_leases(self._state)
        return self._leases

    def _is_served(self) -> bool:
        return any(not one.is_over(self._now) for one in self._known_leases().values())

    def _record(self, entry: str) -> list[str]:
        return self._text(f"r{entry}").split("|")

    def _text(self, name: str) -> str:
        return self._fields.get(name, b"").decode("utf-8", "surrogateescape")

    def _since(self, ms: int) -> str:
        return span((self._now - ms) / 1000)

    def _until(self, ms: int) -> str:
        left = (ms - self._now) / 1000
        return f"in {span(left)}" if left > 0 else "now"


def one_line(text: str) -> str:
    """Return *text* in one line, whatever is in it."""
    return _BREAK.sub(" ", text).strip()


def span(seconds: float) -> str:
    """Return a span of time for people: its two largest units."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def clock(ms: int) -> str:
    """Return a moment for people, by the server's clock."""
    at: Any = moment(ms)
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def times(count: int) -> str:
    """Say how often."""
    return "once" if count == 1 else f"{count:,} times"


def worker_of(process: str) -> str:
    """Return what people call the worker of a process."""
    return process.partition("/")[0].rsplit(".", 2)[0]


def in_line(throttled: Throttled) -> str:
    """Say how something stands in the line of a throttle, and who holds it."""
    within = ", ".join(throttled.inside[:3]) + (", …" if len(throttled.inside) > 3 else "")
    holders = f"; within it are {within}" if within else ""
    place = "" if throttled.place is None else f", {throttled.place + 1:,}. in its line"
    due = "" if throttled.next_ms is None else f"; the next may begin at {clock(throttled.next_ms)}"
    return f"waits for throttle {throttled.key!r} ({throttled.bound}){place}{holders}{due}"
