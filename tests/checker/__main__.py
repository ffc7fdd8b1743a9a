"""Walk small worlds in every order of steps: ``python -m tests.checker`` tells what it found.

Each world has a run or two, two workers, rescuers, operators, and so many faults in one path. The
Lua scripts, the executor and the rescuer are those that are shipped, over a server in memory that
is set to one state after the other. In every state that there is all invariants must hold, and from
each of them all must come to its end without more faults. The exit status is 1 when that is not so;
then the shortest path of steps is told that leads there.
"""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from tests.checker.explorer import Explorer
from tests.checker.worlds import WORLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.checker.explorer import Walk

_ROW = "{:14} {:>6} {:>9} {:>12} {:>8} {:>6} {:>8}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name, world in WORLDS.items():
            print(f"{name:14} {world.about} (faults: {world.faults})")
        return 0
    logging.disable(logging.CRITICAL)  # the rescuer tells of each process that has died
    print(_ROW.format("world", "faults", "states", "transitions", "deepest", "ends", "seconds"))
    walks = [_walk(name, options.faults) for name in options.world or WORLDS]
    return 1 if any(walk.violation for walk in walks) else 0


def _walk(name: str, faults: int | None) -> Walk:
    world = WORLDS[name]
    most = world.faults if faults is None else faults
    walk = Explorer(world, most).walk()
    figures = (walk.states, walk.transitions, walk.deepest, walk.ends, f"{walk.seconds:.1f}")
    print(_ROW.format(name, most, *figures), flush=True)
    if walk.violation is not None:
        print(f"  violation: {walk.violation}")
        print(*(f"  {n:3} {step}" for n, step in enumerate(walk.violation.path, 1)), sep="\n")
    return walk


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.checker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--world", choices=WORLDS, action="append", metavar="NAME",
        help="this one alone; may be given again")  # fmt: skip
    add("--faults", type=_not_negative, metavar="N",
        help="in one path; by default as many as the list says")  # fmt: skip
    add("--list", action="store_true", help="tell which worlds there are")
    return parser


if __name__ == "__main__":
    sys.exit(main())
