"""The same kill under plain Celery and under gostage: what becomes of a chain, in one table.

While the k-th of n links runs on one of two workers, that worker, or the process of its pool that
runs it, gets a SIGKILL. Then: after how long did the chain go on, how many links never ended, how
many ended twice. ``python -m tests.benchmarks.kills`` prints the medians of some rounds, each on a
server and workers of its own; ``--help`` tells what can be chosen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
from celery import chain

from tests.benchmarks import links
from tests.support.eventually import eventually
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LATE: Final = {"task_acks_late": True, "task_reject_on_worker_lost": True}
_START_SECONDS: Final = 60
_COLUMNS: Final = ("", "killed", "went on after", "links lost", "links run twice")


@dataclass(frozen=True)
class Side:
    """One way to run a chain."""

    name: str
    app: str
    submit: Callable[[str, int], object]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one chain."""

    went_on_after: float | None
    lost: int
    twice: int


def sides(visibility: int) -> list[Side]:
    """All that are compared."""
    swept = {"visibility_timeout": visibility, "unacked_restore_interval": 1,
             "unacked_restore_throttle": 1}  # fmt: skip
    return [
        Side("Celery, default settings", "tests.benchmarks.links", send_chain),
        Side("Celery, late acks, visibility 3600 s", "tests.benchmarks.links", send_chain, _LATE),
        Side(
            f"Celery, late acks, visibility {visibility} s",
            "tests.benchmarks.links",
            send_chain,
            {**_LATE, "broker_transport_options": swept},
        ),
        Side("gostage, default settings", "gostage_workers.app", submit_run),
    ]


def send_chain(url: str, length: int) -> None:
    """Send a chain of Celery's."""
    with links.app.connection_for_write(url) as connection:
        chain(*(links.task.si(n) for n in range(length))).apply_async(connection=connection)


def submit_run(url: str, length: int) -> None:
    """Submit a run of one stage."""
    from gostage_core import Runner, Workflow

    workflow = Workflow("kills")
    workflow.add_stage("row").add(*(links.link.s(number=n) for n in range(length)))
    runner = Runner(url, broker=url)
    runner.submit(workflow)
    runner.close()


def play(side: Side, victim: str, *, length: int, at: int, limit: float) -> Outcome:
    """Let one chain run, kill while its link *at* does, and look for *limit* seconds."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        told = Path(directory) / "told"
        server = stack.enter_context(RedisServer())
        for node in ("one", "two"):
            stack.enter_context(worker(side, server.url, node, told))
        side.submit(server.url, length)
        eventually(lambda: first(told, "begin", at), _START_SECONDS)
        strike(process_of(told, at), victim)
        killed_at = time.time()
        with contextlib.suppress(AssertionError):
            eventually(lambda: first(told, "end", length - 1), limit)
        return outcome(said(told), killed_at, length)


@contextmanager
def worker(side: Side, url: str, node: str, told: Path) -> Iterator[None]:
    """A Celery worker with one pool process; nobody starts it again."""
    environment = {
        **os.environ,
        "BENCHMARK_URL": url,
        "GOSTAGE_REDIS_URL": url,
        "GOSTAGE_MODULES": "tests.benchmarks.links",
        "LINKS_FILE": str(told),
        "LINKS_SETTINGS": json.dumps(side.settings),
    }
    log = told.with_name(f"{node}.log")
    argv = [sys.executable, "-m", "celery", "-A", side.app, "worker", "-P", "prefork", "-c", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*argv, "-n", f"{node}@%h", "-l", "INFO"],
            env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        eventually(lambda: b" ready." in log.read_bytes(), _START_SECONDS)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def strike(child: int, victim: str) -> None:
    """SIGKILL to a process of a pool, or to its worker with all that it has."""
    if victim == "child":
        os.kill(child, signal.SIGKILL)
    else:
        os.killpg(psutil.Process(child).ppid(), signal.SIGKILL)


def said(told: Path) -> list[list[str]]:
    """What the links have said: word, number, process, time."""
    text = told.read_text() if told.exists() else ""
    return [line.split() for line in text.splitlines()]


def first(told: Path, word: str, number: int) -> list[str]:
    """The first line in which a link said this; nothing while there is none."""
    return next((line for line in said(told) if line[:2] == [word, str(number)]), [])


def process_of(told: Path, number: int) -> int:
    """The process that began a link first."""
    return int(first(told, "begin", number)[2])


def outcome(lines: list[list[str]], killed_at: float, length: int) -> Outcome:
    """Read what became of a chain."""
    later = [float(at) - killed_at for word, _, _, at in lines if word == "begin"]
    ends = Counter(number for word, number, *_ in lines if word == "end")
    return Outcome(
        went_on_after=min((seconds for seconds in later if seconds > 0), default=None),
        lost=length - len(ends),
        twice=sum(count > 1 for count in ends.values()),
    )


def row(side: Side, victim: str, outcomes: list[Outcome], limit: float) -> tuple[str, ...]:
    """One row of the table: medians, and how often it was not so at all."""
    times = [o.went_on_after for o in outcomes if o.went_on_after is not None]
    after = f"{statistics.median(times):.1f} s" if times else f"not within {limit:g} s"
    if times and len(times) < len(outcomes):
        after += f" ({len(times)} of {len(outcomes)} times)"
    lost, twice = (statistics.median(some) for some in zip(*((o.lost, o.twice) for o in outcomes),
                                                           strict=True))  # fmt: skip
    return side.name, victim, after, f"{lost:g}", f"{twice:g}"


def table(cells: list[tuple[str, ...]], *, markdown: bool) -> Iterator[str]:
    """Rows beneath their heads."""
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *cells, strict=True)]
    for number, line in enumerate([_COLUMNS, *cells]):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        yield f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip()
        if markdown and number == 0:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"


def machine() -> str:
    """What this was measured with."""
    with RedisServer() as server, server.client() as client:
        info: dict[str, Any] = client.info("server")
    kind = "valkey" if "valkey_version" in info else "redis"
    names = ("celery", "kombu", "redis")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}, {versions}, "
        f"server {kind} {info.get(f'{kind}_version')}"
    )


def rows(chosen: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Play all rounds, one row after another."""
    for victim in chosen.victim or ["child", "worker"]:
        for side in sides(chosen.visibility):
            outcomes = [
                play(side, victim, length=chosen.links, at=chosen.at, limit=chosen.limit)
                for _ in range(chosen.rounds)
            ]
            print(".", end="", file=sys.stderr, flush=True)
            yield row(side, victim, outcomes, chosen.limit)


def main(arguments: list[str] | None = None) -> None:
    """Play all rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--links", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.5, help="that each link takes")
    parser.add_argument("--at", type=int, default=3, help="the link that is killed, from 0")
    parser.add_argument("--limit", type=float, default=30, help="seconds to wait for the end")
    parser.add_argument("--visibility", type=int, default=5, help="seconds, of the third side")
    parser.add_argument("--victim", choices=["child", "worker"], action="append")
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args(arguments)
    os.environ["LINKS_SECONDS"] = str(chosen.seconds)
    lines = list(table(list(rows(chosen)), markdown=chosen.markdown))
    print(file=sys.stderr)
    print("\n".join(lines))
    print(
        f"\n{chosen.links} links of {chosen.seconds:g} s, SIGKILL in link {chosen.at} (from 0), "
        f"two workers of one process, medians of {chosen.rounds} rounds; {machine()}"
    )


if __name__ == "__main__":
    main()
