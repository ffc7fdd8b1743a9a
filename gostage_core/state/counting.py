"""Reads what the scripts count of a whole namespace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from gostage_core.state.answers import text_of
from gostage_core.state.client import our_errors
from gostage_core.state.scripted import Scripted
from gostage_core.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OVERDUE_MS: Final = 5_000
"""A timer that nobody has looked at so long after it was due is overdue: every worker looks twice a
second, and one that dies with it holds it for two seconds."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of a namespace, as it stood at about one moment."""

    now: int
    """By the server's clock, in ms, as all moments here."""
    fields: Mapping[str, int]
    """Of the numbers, as ``include/counting.lua`` writes them."""
    statuses: Mapping[RunStatus, int]
    timers: int
    due: int = 0
    overdue: int = 0
    throttles: int = 0
    schedules: int = 0
    leases: Mapping[str, int] = field(default_factory=dict)
    """Process to until when its leases are good."""
    held: Mapping[str, int] = field(default_factory=dict)
    """Process to how many of its slots are in use."""


class Held(NamedTuple):
    """An entry that somebody works on."""

    process: str
    run_id: str
    entry: str
    workflow: str
    spec: bytes
    since: int
    """When it was claimed, in ms."""


class Counting(Scripted):
    """What is counted of all runs together."""

    def counted(self) -> Counted:
        """Read it: two round trips, however many runs there are."""
        with our_errors(url=self.settings.redis_url):
            pipeline = self.client.pipeline(transaction=True)
            pipeline.time()
            pipeline.hgetall(self.keys.of("numbers"))
            pipeline.zrange(self.keys.of("alive"), 0, -1, withscores=True)
            pipeline.zcard(self.keys.of("wake"))
            pipeline.scard(self.keys.of("throttles"))
            pipeline.zcard(self.keys.of("schedules"))
            for status in RunStatus:
                pipeline.zcard(self.keys.of("status", status.value))
            clock, fields, alive, timers, throttles, schedules, *runs = pipeline.execute()
        now = clock[0] * 1000 + clock[1] // 1000
        leases = {text_of(process): int(until) for process, until in alive if until > now}
        due, overdue, *held = self._due_and_held(now, leases)
        return Counted(
            now=now,
            fields=dict(_whole(fields)),
            statuses=dict(zip(RunStatus, runs, strict=True)),
            timers=timers,
            due=due,
            overdue=overdue,
            throttles=throttles,
            schedules=schedules,
            leases=leases,
            held=dict(zip(leases, held, strict=True)),
        )

    def _due_and_held(self, now: int, processes: Iterable[str]) -> list[int]:
        pipeline = self.client.pipeline(transaction=False)
        for until in (now, now - OVERDUE_MS):
            pipeline.zcount(self.keys.of("wake"), "-inf", until)
        for process in processes:
            pipeline.hlen(self.keys.of("claims", process))
        with our_errors(url=self.settings.redis_url):
            return cast("list[int]", pipeline.execute())

    def ready_since(self, entries: Iterable[tuple[str, str]]) -> list[int | None]:
        """Return since when entries ``(run, entry)`` are ready, in ms; ``None`` for others."""
        pipeline = self.client.pipeline(transaction=False)
        for run_id, entry in entries:
            pipeline.hget(self.keys.of("plan", run_id), f"r{entry}")
        with our_errors(url=self.settings.redis_url):
            return [_ready_at(record) for record in pipeline.execute(raise_on_error=False)]

    def held_by(self, processes: Iterable[str]) -> list[Held]:
        """Return what these processes work on: two round trips. What is damaged is left out."""
        names = list(processes)
        with our_errors(url=self.settings.redis_url):
            pipeline = self.client.pipeline(transaction=False)
            for name in names:
                pipeline.hvals(self.keys.of("claims", name))
            books = pipeline.execute(raise_on_error=False)
            claimed = [
                (name, *text_of(member).partition(" ")[::2])
                for name, members in zip(names, books, strict=True)
                if isinstance(members, list)
                for member in members
            ]
            for _, run_id, entry in claimed:
                pipeline.hmget(self.keys.of("plan", run_id), f"s{entry}", f"r{entry}")
                pipeline.hget(self.keys.of("run", run_id), "workflow")
            answers = pipeline.execute(raise_on_error=False)
        parts = zip(claimed, answers[::2], answers[1::2], strict=True)
        return [
            Held(*where, text_of(workflow), found[0], int(found[1].split(b"|")[5]))
            for where, found, workflow in parts
            if isinstance(workflow, bytes) and isinstance(found, list) and _is_held(*found)
        ]

    def count_resend(self) -> None:
        """Count a message that was lost and sent again."""
        with our_errors(url=self.settings.redis_url):
            self.client.hincrby(self.keys.of("numbers"), "resent", 1)


def _whole(fields: Mapping[bytes, bytes]) -> Iterable[tuple[str, int]]:
    """Yield the fields that are numbers: what none of ours wrote is left out."""
    for name, text in fields.items():
        if text.removeprefix(b"-").isdigit():
            yield text_of(name), int(text)


def _is_held(spec: Any, record: Any) -> bool:
    return isinstance(spec, bytes) and isinstance(record, bytes) and record.startswith(b"x|")


def _ready_at(record: Any) -> int | None:
    parts = record.split(b"|") if isinstance(record, bytes) else []
    return int(parts[5]) if parts[:1] == [b"r"] and parts[5].isdigit() else None
