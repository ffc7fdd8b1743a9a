"""Ours beside a plain Celery chain, in one run: medians of interleaved pairs, and their ratios.

``python -m tests.benchmarks.compare`` prints a table; ``--help`` tells what can be chosen. Server,
workers and driver share the machine, so absolute times are the machine's; ratios are what to read.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import redis
from celery import chain, chord

from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_ROWS = ("latency", "throughput", "long", "join", "submit")


@contextmanager
def worker(app: str, url: str, node: str, *extra: str) -> Iterator[None]:
    """A Celery worker with two pool processes."""
    environment = {
        **os.environ,
        "BENCHMARK_URL": url,
        "GOSTAGE_REDIS_URL": url,
        "GOSTAGE_MODULES": "tests.benchmarks.work",
    }
    argv = [
        sys.executable, "-m", "celery", "-A", app, "worker", "-P", "prefork", "-c", "2",
        "-n", f"{node}@%h", "-l", "WARNING", "--without-gossip", "--without-mingle", *extra,
    ]  # fmt: skip
    process = subprocess.Popen(argv, env=environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


class Bench:
    """Both sides on one server."""

    def __init__(self, url: str) -> None:
        from gostage_core import Runner
        from tests.benchmarks import plain, work

        self.work = work
        self.plain = plain
        self.runner = Runner(url)
        # A wait for the end of a long chain is longer than any answer may take otherwise.
        self.client = redis.Redis.from_url(url, socket_timeout=None)
        self.done = work.DONE

    def wait(self, count: int) -> None:
        """Wait until so many chains have ended."""
        for _ in range(count):
            if self.client.blpop([self.done], timeout=120) is None:
                raise SystemExit("the work is not done after two minutes")

    def ours(self, runs: int, length: int) -> float:
        """Seconds from the first submit to the last step."""
        from gostage_core import Workflow

        workflow = Workflow("bench")
        workflow.add_stage("s").add(
            *[self.work.noop.s() for _ in range(length - 1)], self.work.last.s()
        )
        start = time.perf_counter()
        for _ in range(runs):
            self.runner.submit(workflow)
        self.wait(runs)
        return time.perf_counter() - start

    def theirs(self, runs: int, length: int) -> float:
        """Seconds from the first send to the last step."""
        links = [self.plain.noop.si() for _ in range(length - 1)] + [self.plain.last.si()]
        start = time.perf_counter()
        for _ in range(runs):
            chain(*links).apply_async()
        self.wait(runs)
        return time.perf_counter() - start

    def our_join(self, members: int) -> float:
        """Seconds from the submit of members side by side to the step behind their join."""
        from gostage_core import Stage, Workflow

        workflow = Workflow("join")
        workflow.add_stage(Stage("s", [self.work.noop.s()] * members, parallel=True))
        workflow.add_stage(Stage("t", [self.work.last.s()]))
        start = time.perf_counter()
        self.runner.submit(workflow)
        self.wait(1)
        return time.perf_counter() - start

    def their_join(self, members: int) -> float:
        """The same with a chord."""
        start = time.perf_counter()
        chord([self.plain.member.si() for _ in range(members)])(self.plain.last.si())
        self.wait(1)
        return time.perf_counter() - start


def runner_submits(bench: Bench, count: int) -> None:
    """Submit runs of one action."""
    from gostage_core import Workflow

    workflow = Workflow("bench")
    workflow.add_stage("s").add(bench.work.last.s())
    for _ in range(count):
        bench.runner.submit(workflow)


def chain_sends(bench: Bench, count: int) -> None:
    """Send chains of one task."""
    for _ in range(count):
        chain(bench.plain.last.si()).apply_async()


def pairs(
    count: int, ours: Callable[[], float], theirs: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Both in turn, the order changing each time, after one of each that is not counted."""
    ours(), theirs()
    left: list[float] = []
    right: list[float] = []
    for number in range(count):
        if number % 2:
            left.append(ours())
            right.append(theirs())
        else:
            right.append(theirs())
            left.append(ours())
    return left, right


def report(
    name: str, unit: str, scale: Callable[[float], float], result: tuple[list[float], list[float]]
) -> None:
    """One row: medians of both sides, and the median of the ratios of the pairs."""
    ours, theirs = result
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    a, b = scale(statistics.median(ours)), scale(statistics.median(theirs))
    print(
        f"{name:<28} ours {a:>9.2f} {unit:<10} plain {b:>9.2f} {unit:<10} "
        f"time ratio {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f}..{ratios[-1]:.2f}, n={len(ratios)})",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", choices=list(_ROWS), action="append")
    parser.add_argument("--window", type=int, default=None)
    chosen = parser.parse_args(arguments)
    wanted = chosen.only or list(_ROWS)
    if chosen.window:
        os.environ["GOSTAGE_WINDOW"] = str(chosen.window)
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer())
        os.environ["BENCHMARK_URL"] = server.url
        stack.enter_context(worker("gostage_workers.app", server.url, "ours"))
        stack.enter_context(worker("tests.benchmarks.plain", server.url, "plain"))
        run(Bench(server.url), wanted, chosen.pairs)


def run(bench: Bench, wanted: list[str], count: int) -> None:
    """Print the rows that are wanted."""
    if "latency" in wanted:
        report(
            "one run of 100",
            "ms/action",
            lambda s: s * 10,
            pairs(count, lambda: bench.ours(1, 100), lambda: bench.theirs(1, 100)),
        )
    if "throughput" in wanted:
        report(
            "200 runs of 10",
            "actions/s",
            lambda s: 2000 / s,
            pairs(count, lambda: bench.ours(200, 10), lambda: bench.theirs(200, 10)),
        )
    if "long" in wanted:
        for length, some in ((1_000, max(1, count // 4)), (3_000, max(1, count // 7))):
            report(
                f"one run of {length:,}",
                "ms/action",
                lambda s, n=length: s * 1000 / n,
                pairs(some, lambda n=length: bench.ours(1, n), lambda n=length: bench.theirs(1, n)),
            )
    if "join" in wanted:
        report(
            "1,000 side by side, join",
            "ms/action",
            lambda s: s,
            pairs(
                max(3, count // 2), lambda: bench.our_join(1_000), lambda: bench.their_join(1_000)
            ),
        )
    if "submit" in wanted:
        report(
            "submits (of 1 action)",
            "per s",
            lambda s: 300 / s,
            pairs(
                max(3, count // 4),
                lambda: submits(bench, runner_submits),
                lambda: submits(bench, chain_sends),
            ),
        )


def submits(bench: Bench, send: Callable[[Bench, int], None]) -> float:
    """Seconds that 300 submits take the producer; the work is waited for but not counted."""
    start = time.perf_counter()
    send(bench, 300)
    seconds = time.perf_counter() - start
    bench.wait(300)
    return seconds


if __name__ == "__main__":
    main()
