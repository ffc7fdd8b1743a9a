"""Simulate the whole engine: ``python -m tests.simulation`` prints what became of it.

Each world has a server in memory, workers, runs and operators, one clock, and a scheduler that
chance leads. The Lua scripts, the executor and the rescuer are those that are shipped. Processes
die at any step, stand still or lose the network; requests, answers and messages are lost, doubled,
late or out of order. A world follows from its seed alone. The exit status is 1 when something was
not as it should be; the command that replays it is told with it.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import multiprocessing
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from rich.progress import Progress

from tests.simulation.figures import Figures
from tests.simulation.server import ToldServer
from tests.simulation.themes import THEMES
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.simulation.world import Report

_server: list[ToldServer] = []
"""That of this process, which knows all scripts already."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.disable(logging.CRITICAL)  # workers tell of each fault
    command = "python -m tests.simulation"
    if options.story:
        command += f" --story {options.story}"
    if options.replay is not None:
        return _replay(options.replay, options.story)
    began, figures = time.monotonic(), Figures()
    for report in _shown(_reports(options), options.runs):
        figures.add(report)
        if figures.runs >= options.runs:
            break
    print(*figures.lines(time.monotonic() - began, f"{command} --replay"), sep="\n")
    return 1 if figures.wrong else 0


def report_of(seed: int, story: str = "", *, trace: bool = False) -> Report:
    """See the world of a seed to its end, on the server of this process."""
    if not _server:
        _server.append(ToldServer())
    return World(seed, story=story, trace=trace, server=_server[0]).live()


def _reports(options: argparse.Namespace) -> Iterator[Report]:
    """Yield the reports of one world after another, in the order of their seeds."""
    seeds, live = itertools.count(options.seed), partial(report_of, story=options.story)
    if options.processes == 1:
        yield from map(live, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        while True:
            batch = list(itertools.islice(seeds, 16 * options.processes))
            yield from pool.imap(live, batch)


def _shown(reports: Iterable[Report], runs: int) -> Iterator[Report]:
    """Yield reports, with a line that tells how far that is where somebody looks on."""
    with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("runs", total=runs)
        for report in reports:
            progress.advance(bar, report.runs)
            yield report


def _replay(seed: int, story: str) -> int:
    report = report_of(seed, story, trace=True)
    print(*report.trace, sep="\n")
    print(*(report.wrong or [f"{report.runs} runs, and all is as it should be"]), sep="\n")
    return 1 if report.wrong else 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--runs", type=_positive, default=2_000, metavar="N", help="at least so many: %(default)s")
    add("--seed", type=int, default=0, metavar="S", help="of the first world: %(default)s")
    add("--processes", type=_positive, default=1, metavar="N", help="side by side: %(default)s")
    add("--story", choices=THEMES, default="", metavar="NAME",
        help=f"let worlds be about this above all: {', '.join(THEMES)}")  # fmt: skip
    add("--replay", type=int, metavar="SEED", help="tell all that happens in the world of one seed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
