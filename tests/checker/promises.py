"""What is promised: of each answer, in each standing, and of the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.run import Run
from tests.checker.standing import Violation
from tests.checker.worlds import COUNTS
from tests.support.invariants import check_all, check_forgotten, check_left
from tests.support.throttling import check_throttles

if TYPE_CHECKING:
    from gostage_core.state.answers import Claim
    from tests.checker.engine import Engine
    from tests.checker.worlds import World
    from tests.support.invariants import Snapshot

_REFUSED = ("fenced", "gone", "repeated")


def check_claimed(before: str, answer: Claim | str, nonce: str) -> None:
    """Check that nobody got what another one holds, and each what it holds itself."""
    state, token = _standing_of(before)
    is_own = token.partition(":")[2] == nonce
    if isinstance(answer, str):
        if state == "x" and is_own:
            raise Violation(f"who holds an attempt is told {answer!r} when it asks again")
    elif not (state == "r" or (state == "x" and is_own)):
        raise Violation(f"an attempt was claimed of an entry that was {before!r}")


def check_answer(before: str, claim: Claim, word: str) -> None:
    """Check that an attempt was ended by who held it, and told so when it asks again."""
    state, token = _standing_of(before)
    where = f"{claim.run_id} {claim.entry}, which was {before!r}"
    held = state == "x" and token == claim.token
    if held == (word in _REFUSED):
        raise Violation(f"who ended attempt {claim.token} of {where} was told {word!r}")
    if word == "fenced" and state == "c" and token == claim.token:
        raise Violation(f"who committed attempt {claim.token} of {where} was told 'fenced'")


def check_standing(engine: Engine, world: World) -> bool:
    """Check all that is kept, and tell whether all runs have ended. The engine is set to it."""
    try:
        runs = [one for number in range(world.runs) for one in _runs(engine, number + 1)]
        check_throttles(runs)
        for run in runs:
            _check_counts(engine, run)
        roots = [run for run in runs if "." not in run.run_id]
        for run in roots:
            if run.is_terminal and run.header["status"] not in world.ends:
                raise Violation(f"{run.run_id} has ended as {run.header['status']}")
    except AssertionError as error:
        raise Violation(str(error)) from error
    return all(run.is_terminal for run in runs)


def check_nothing_left(engine: Engine, world: World) -> None:
    """Check that nothing is left of runs that have ended, once they are deleted."""
    for number in range(1, world.runs + 1):
        Run(engine.state, f"run{number}").delete()
    try:
        check_forgotten(engine.state)
    except AssertionError as error:
        raise Violation(str(error)) from error


def _runs(engine: Engine, number: int) -> list[Snapshot]:
    return check_all(engine.state, f"run{number}")


def _check_counts(engine: Engine, run: Snapshot) -> None:
    """Check that each action that has completed was committed once, and no other one at all."""
    for name in run.store:
        if name.startswith("n."):
            n = name.removeprefix("n.")
            assert run.state_of(n) == "c", f"{run.run_id}: entry {n} has left something"
    if run.is_terminal:
        check_left(engine.state, run, COUNTS)
        return
    store = engine.state.client.hgetall(engine.state.keys.of("store", run.run_id))
    twice = [name for name, value in store.items() if name[:2] == b"n." and value != b"1"]
    assert not twice, f"{run.run_id}: committed more than once: {twice}"


def _standing_of(record: str) -> tuple[str, str]:
    """Return the state of a record, and its token."""
    parts = [*record.split("|"), "", "", "", ""]
    return parts[0], parts[4]
