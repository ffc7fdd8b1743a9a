"""A storm of faults over real workers: ``python -m tests.chaos.storm`` prints what is left of it.

Runs of ten actions are submitted all the time. Faults of every kind strike meanwhile, spread evenly
over the runs, one on top of another: processes are killed, asked to end and frozen, the network
fails, the server is killed, full or forgetful, messages are lost, doubled and late. Then every run
must have completed, with one commit an action, nothing left behind, and a journal that replays to
what is kept. The exit status is 1 when any of it does not hold.

The server's own clock cannot be set wrong from here. How many workers an action may take with it is
set high (GOSTAGE_MAX_LOSSES): by chance alone a storm hits one action three times, which is what
poison looks like.
"""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.progress import Progress

from gostage_core.errors import GostageError
from tests.chaos import witness
from tests.chaos.checks import check_forgotten, check_idle, check_run, check_workers
from tests.chaos.faults import FAULTS, strike
from tests.chaos.figures import Figures
from tests.chaos.scene import UNREACHABLE, Scene
from tests.chaos.workload import GO, SHAPES, WAITS
from tests.support.crew import Crew
from tests.support.invariants import Queues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core import Run
    from tests.chaos.scene import Strike

_LIVE: Final = 60
"""How many runs are live at a time: more than the workers take, so that messages wait."""
_STILL_SECONDS: Final = 120.0
"""When no run has ended for so long, those that are left are lost."""
_PAUSE: Final = 0.02


class Storm:
    """One storm over one crew."""

    def __init__(self, crew: Crew, dice: random.Random, kinds: Sequence[str]) -> None:
        self.figures = Figures()
        self._crew = crew
        self._dice = dice
        self._kinds = kinds
        self._scene = Scene(crew, dice)
        self._runs: list[Run] = []
        self._strikes: list[Strike] = []
        self._ended = 0

    def pass_over(self, runs: int, kills: int, seconds: float) -> None:
        """Submit *runs* and let faults strike meanwhile, *kills* of them SIGKILLs, for *seconds*.

        Where no chosen kind kills, as many strike of those that are.
        """
        began = time.monotonic()
        with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("runs", total=runs)
            while self._count_ended() < runs and time.monotonic() - began < seconds:
                self._submit(min(runs, self._ended + _LIVE))
                if self._counted() < kills * self._ended / runs:
                    self._strike()
                self._scene.heal()
                progress.update(bar, completed=self._ended)
                time.sleep(self._dice.uniform(0, 2 * _PAUSE))
        self._scene.heal_all()
        self._await_rest()
        self.figures.seconds = time.monotonic() - began

    def look_at_what_is_left(self) -> Figures:
        """Check everything, and return the figures."""
        state, figures = self._scene.state, self.figures
        figures.runs = len(self._runs)
        self._check_all(lambda: check_workers(self._crew))
        self._check_all(lambda: check_idle(state, self._scene.queue))
        hits = self._hits()
        queues = Queues.of(state)
        for run in self._runs:
            try:
                journal = check_run(run, state, queues)
            except AssertionError as error:
                figures.blame(error)
                continue
            for one, entry in hits[run.run_id]:
                figures.measure(one, entry, journal)
        self._check_all(lambda: check_forgotten(state))
        return figures

    def _submit(self, wanted: int) -> None:
        """Submit until so many were; what is refused is repeated, by its key and its id."""
        while len(self._runs) < wanted:
            number = len(self._runs)
            workflow = SHAPES[number % len(SHAPES)]()
            try:
                run = self._crew.runner.submit(workflow, key=f"storm-{number}")
                if workflow.id == WAITS:
                    run.signal(GO, id="only")
            except GostageError:
                self.figures.refused += 1
                return
            self._runs.append(run)

    def _counted(self) -> int:
        some_kill = any(FAULTS[kind].kills for kind in self._kinds)
        return self.figures.kills if some_kill else self.figures.struck.total()

    def _strike(self) -> None:
        struck = strike(self._scene, self._kinds)
        if struck is not None:
            self._strikes.append(struck)
            self.figures.struck[struck.kind] += 1

    def _count_ended(self) -> int:
        expiry = self._scene.state.keys.of("expiry")
        try:
            self._ended = int(self._scene.state.client.zcard(expiry))
        except UNREACHABLE:
            return self._ended
        return self._ended

    def _await_rest(self) -> None:
        before, still_since = self._count_ended(), time.monotonic()
        while self._ended < len(self._runs) and time.monotonic() - still_since < _STILL_SECONDS:
            time.sleep(_PAUSE)
            if self._count_ended() > before:
                before, still_since = self._ended, time.monotonic()

    def _hits(self) -> dict[str, list[tuple[Strike, str]]]:
        hits: dict[str, list[tuple[Strike, str]]] = defaultdict(list)
        for one in self._strikes:
            for run_id, entry in one.hit:
                hits[run_id].append((one, entry))
        return hits

    def _check_all(self, check: Callable[[], object]) -> None:
        try:
            check()
        except AssertionError as error:
            self.figures.blame_all(error)


def storm(
    *,
    runs: int,
    kills: int,
    seed: int,
    kinds: Sequence[str] = tuple(FAULTS),
    seconds: float = float("inf"),
    workers: int = 3,
    fsync: str = "always",
) -> Figures:
    """Let a storm pass over a crew of its own, and return what it left."""
    with tempfile.TemporaryDirectory(prefix="gostage-storm-") as directory:
        told = Path(directory) / "told"
        crew = Crew(
            workers,
            modules=["tests.chaos.workload"],
            concurrency=3,
            options=("--appendfsync", fsync),
            env={witness.VARIABLE: str(told), "GOSTAGE_MAX_LOSSES": "100"},
        )
        with crew:
            passing = Storm(crew, random.Random(seed), kinds)
            passing.pass_over(runs, kills, seconds)
            figures = passing.look_at_what_is_left()
        figures.told = witness.heard(told)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a storm and print its figures; exit status 1 when a promise was not kept."""
    kinds = "\n".join(f"  {name:<8} {fault.what}" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"faults:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=1_500)
    parser.add_argument("--kills", type=int, default=30, help="SIGKILLs; others strike beside")
    parser.add_argument("--faults", default=",".join(FAULTS), help="kinds, separated by commas")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--minutes", type=float, default=60, help="after which it is let end")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--fsync", choices=["always", "everysec"], default="always")
    chosen = parser.parse_args(arguments)
    chosen_kinds = chosen.faults.split(",")
    if unknown := set(chosen_kinds) - set(FAULTS):
        parser.error(f"no such faults: {', '.join(sorted(unknown))}")
    logging.disable(logging.WARNING)  # who is killed is started again, and that is told each time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # ends what was started, as Ctrl-C does
    print(f"seed {chosen.seed}", flush=True)
    figures = storm(
        runs=chosen.runs,
        kills=chosen.kills,
        seed=chosen.seed,
        kinds=chosen_kinds,
        seconds=chosen.minutes * 60,
        workers=chosen.workers,
        fsync=chosen.fsync,
    )
    print("\n".join(figures.lines()))
    sys.exit(0 if figures.sound else 1)


if __name__ == "__main__":
    main()
