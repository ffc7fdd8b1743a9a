"""Break the engine on purpose: ``python -m tests.mutants`` shows that each mistake is found out.

The repository is copied to a temporary directory. One mistake after another is made there, and the
tests that are to catch it are run; so are those of the mistakes that are equivalent, which none may
catch. The exit status is 1 when one survives, when what it replaces does not stand in its file
exactly once, or when the tests fail without any mistake.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from rich.progress import Progress

from tests.mutants.copy import Copy
from tests.mutants.mutants import MUTANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mutants.copy import Outcome
    from tests.mutants.mutants import Mutant

_WIDTH = max(len(mutant.name) for mutant in MUTANTS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    chosen = [one for one in MUTANTS if not options.names or one.name in options.names]
    if options.list:
        print(*(f"{one.name:<{_WIDTH}}  {one.breaks}" for one in chosen), sep="\n")
        return 0
    began = time.monotonic()
    with Copy.made() as copy:
        trouble = _trouble_without(copy, chosen, options.timeout)
        if trouble:
            print(trouble)
            return 1
        wrong = _try_all(copy, chosen, options.timeout)
    print(
        f"{len(chosen)} mutants in {time.monotonic() - began:.0f} s, {wrong} not as they should be"
    )
    return 1 if wrong else 0


def _trouble_without(copy: Copy, chosen: Sequence[Mutant], most: float) -> str:
    """Return why nothing can be told of mutants; empty where all is well without any."""
    if not copy.is_imported():
        return "the tests of the copy import another gostage than the copy's"
    tests = sorted({test for one in chosen for test in one.tests})
    tested = copy.test(tests, most=most + 10 * len(tests), first=False)
    return "" if tested.passed else f"the tests fail without any mutant:\n{tested.output}"


def _try_all(copy: Copy, chosen: Sequence[Mutant], most: float) -> int:
    """Try each, print a line of it, and return how many are not as they should be."""
    wrong = 0
    with Progress(transient=True, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("", total=len(chosen))
        for mutant in chosen:
            progress.update(bar, description=mutant.name)
            is_right, line = _try(copy, mutant, most)
            wrong += not is_right
            print(f"{mutant.name:<{_WIDTH}}  {line}", flush=True)
            progress.advance(bar)
    return wrong


def _try(copy: Copy, mutant: Mutant, most: float) -> tuple[bool, str]:
    """Return whether a mutant is as it should be, and what is printed of it."""
    try:
        with copy.mutated(mutant):
            tested = copy.test(mutant.tests, most=most)
    except ValueError as error:
        return False, str(error)
    if mutant.equivalent:
        word = f"equivalent: {mutant.equivalent}" if tested.passed else "NOT EQUIVALENT"
        return tested.passed, f"{tested.seconds:5.1f} s  {word}"
    return tested.is_found_out, f"{tested.seconds:5.1f} s  {_found(tested, most)}"


def _found(tested: Outcome, most: float) -> str:
    if tested.failed:
        return f"caught by {tested.failed[0]}"
    if tested.hung:
        return f"caught: its tests hang for {most:.0f} s"
    return "SURVIVED" if tested.passed else f"its tests cannot be run:\n{tested.output}"


def _mutant(text: str) -> str:
    if text not in {mutant.name for mutant in MUTANTS}:
        raise argparse.ArgumentTypeError(f"there is no mutant {text!r}; --list tells them all")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", type=_mutant, metavar="NAME", help="these alone; by default all")
    add("--list", action="store_true", help="tell what each of them breaks, and try none")
    add("--timeout", type=float, default=60, metavar="S",
        help="tests that take longer hang, which counts as caught: %(default)s")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
