"""Random kills under load: ``python -m tests.chaos.storm --kills 300`` prints what became of it.

Runs of ten actions are submitted all the time; at random moments a worker, or a child of its pool,
is killed with SIGKILL, or Redis is killed and restarted. Then every run must have ended, every
action have been committed once, and the time from each kill until what it hit went on is told.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
from rich.progress import Progress

from gostage_core import RunStatus, Stage, Workflow
from gostage_workers import LocalCluster
from tests.support import storming

if TYPE_CHECKING:
    from gostage_core import Run

_ACTIONS = 10
_LIVE = 24


@dataclass
class Kill:
    """One kill: what was hit, when by the server's clock, and what it held."""

    victim: str
    at_ms: int
    held: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Report:
    """What became of a storm."""

    runs: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    hit: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    again: int = 0
    recoveries: list[float] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was lost and nothing was done twice."""
        return not (self.lost or self.twice or self.wrong)

    def lines(self) -> list[str]:
        """The figures, one a line."""
        p = sorted(self.recoveries) or [0.0]
        return [
            f"runs of {_ACTIONS} actions {self.runs}, kills {self.kills}, hitting {self.hit}",
            (
                f"lost {self.lost}, committed twice {self.twice}, wrong {self.wrong}, "
                f"attempts beyond the first {self.again}"
            ),
            (
                f"from kill to going on: p50 {statistics.median(p):.2f} s, "
                f"p99 {p[min(len(p) - 1, int(len(p) * 0.99))]:.2f} s, "
                f"most {p[-1]:.2f} s (n={len(p)})"
            ),
            *self.troubles,
        ]


def storm(cluster: LocalCluster, kills: int, seed: int, *, redis: bool = False) -> Report:
    """Let a storm pass over *cluster*, and look at what is left."""
    dice = random.Random(seed)
    runs: list[Run] = []
    struck: list[Kill] = []
    report = Report()
    with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("kills", total=kills)
        while len(struck) < kills:
            keep_busy(cluster, runs)
            time.sleep(dice.uniform(0.05, 0.4))
            kill = strike(cluster, dice, redis=redis)
            if kill is not None:
                struck.append(kill)
                report.kills[kill.victim] = report.kills.get(kill.victim, 0) + 1
                progress.advance(bar)
    for run in runs:
        check(run, report)
    measure(cluster, struck, report)
    return report


def workflow() -> Workflow:
    """Six actions, one of which adds another, and three side by side: ten in all."""
    made = Workflow("storm")
    first = [storming.work.s(adds=number == 2) for number in range(6)]
    made.add_stage(Stage("one", first))
    made.add_stage(Stage("two", [storming.work.s() for _ in range(3)], parallel=True))
    return made


def keep_busy(cluster: LocalCluster, runs: list[Run]) -> None:
    """Have so many runs live as the workers can just take."""
    live = sum(not run.status.is_terminal for run in runs[-2 * _LIVE :])
    runs.extend(cluster.runner.submit(workflow()) for _ in range(_LIVE - live))


def strike(cluster: LocalCluster, dice: random.Random, *, redis: bool) -> Kill | None:
    """Kill something; ``None`` when it was down already."""
    if redis and dice.random() < 0.1 and cluster.server is not None:
        cluster.server.restart()
        return Kill("redis", server_ms(cluster))
    worker = dice.choice(cluster.workers)
    pid = worker.pid
    if pid is None:
        return None
    victim = "worker" if dice.random() < 0.35 else "child"
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        children = [child.pid for child in psutil.Process(pid).children(recursive=True)]
        if not children:
            return None
        kill = Kill(victim, server_ms(cluster), held_by(cluster, children))
        os.kill(pid if victim == "worker" else dice.choice(children), signal.SIGKILL)
        return kill
    return None


def server_ms(cluster: LocalCluster) -> int:
    """The server's clock."""
    return cluster.runner._state.server_ms()


def held_by(cluster: LocalCluster, pids: list[int]) -> list[tuple[str, str]]:
    """What these processes work on: run and entry."""
    state = cluster.runner._state
    prefix = state.keys.of("claims", "")
    held: list[tuple[str, str]] = []
    for key in state.client.scan_iter(f"{prefix}*"):
        process = key.decode().removeprefix(prefix)
        if int(process.rpartition(".")[2]) in pids:
            held += [(m.split(" ")[0], m.split(" ")[1]) for m in state.claims_of(process).values()]
    return held


def check(run: Run, report: Report) -> None:
    """Every run ends, every action is committed once, the store agrees with both."""
    report.runs += 1
    result = run.wait(180)
    entries = run.journal()
    done = [entry.entry for entry in entries if entry.kind == "action.completed"]
    report.lost += result.status is not RunStatus.COMPLETED or len(result.actions) != _ACTIONS
    if result.status is not RunStatus.COMPLETED:
        report.troubles.append(f"{run.run_id} is {result.status}: {result.error}")
    report.twice += len(done) != len(set(done))
    right = result.store.get("count", int, default=0) == len(done) == _ACTIONS
    report.wrong += not (right and len(result.store.get("who", list[str], default=[])) == _ACTIONS)
    report.again += sum(action.attempt - 1 for action in result.actions)


def measure(cluster: LocalCluster, struck: list[Kill], report: Report) -> None:
    """Seconds from each kill until what it hit was begun again, or had been committed after all."""
    for kill in struck:
        for run_id, entry in kill.held:
            report.hit += 1
            run = cluster.runner.get(run_id)
            later = [
                e.at.timestamp() - kill.at_ms / 1000
                for e in run.journal()
                if e.entry == entry and e.at.timestamp() * 1000 > kill.at_ms
                and e.kind in ("action.started", "action.completed")
            ]  # fmt: skip
            if later:
                report.recoveries.append(later[0])


def main() -> None:
    """Run a storm and print its figures; exit status 1 when something was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--redis", action="store_true", help="kill and restart Redis as well")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    # By chance alone a storm hits one action three times, which is what poison looks like.
    os.environ["GOSTAGE_MAX_LOSSES"] = "20"
    with LocalCluster(chosen.workers, modules=["tests.support.storming"]) as cluster:
        report = storm(cluster, chosen.kills, chosen.seed, redis=chosen.redis)
    print("\n".join(report.lines()))
    sys.exit(0 if report.sound else 1)


if __name__ == "__main__":
    main()
