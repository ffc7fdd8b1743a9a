"""What must hold of the runs of a storm when it has passed; read out of the server."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, cast

from gostage_core import RunStatus
from gostage_core.errors import GostageError
from tests.chaos.workload import ACTIONS
from tests.support.counting import check_nothing_planned
from tests.support.eventually import eventually
from tests.support.invariants import Queues, Snapshot, check_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core import Run, RunResult
    from gostage_core.journal import JournalEntry
    from gostage_core.state.operations import State
    from tests.support.crew import Crew

_STATES: Final = {
    "action.started": "x",
    "action.completed": "c",
    "action.failed": "f",
    "action.retrying": "z",
    "action.lost": "r",
    "action.released": "r",
    "action.skipped": "s",
    "action.cancelled": "k",
}
"""What an entry's record says after each kind of journal entry."""

_OF_THE_NAMESPACE: Final = ("alive", "beat", "marks", "numbers")
"""Keys that belong to no run."""


class Lost(AssertionError):
    """A run did not end as it should."""


class CommittedTwice(AssertionError):
    """An action was committed more than once."""


def check_run(run: Run, state: State, queues: Queues) -> list[JournalEntry]:
    """Check one run; return its journal.

    Raises:
        Lost: it is not there, or has not completed all of its actions.
        CommittedTwice: it has completed one of them more often.
        AssertionError: anything else is not as it must be.
    """
    try:
        result, journal = run.result(), run.journal()
    except GostageError as error:
        raise Lost(str(error)) from error
    completed = [entry.entry for entry in journal if entry.kind == "action.completed"]
    if len(completed) != len(set(completed)):
        raise CommittedTwice(f"{run.run_id}: {Counter(completed).most_common(3)}")
    if result.status is not RunStatus.COMPLETED or len(completed) != ACTIONS:
        raise Lost(f"{run.run_id} is {result.status} with {len(completed)} done: {result.error}")
    _check_traces(result)
    _check_order(result, completed)
    _check_replay(result, journal, check_one(state, run.run_id, queues))
    return journal


def check_workers(crew: Crew, timeout: float = 60) -> None:
    """Check that every worker is there: not one was given up."""
    for member in crew.members:
        eventually(lambda: member.worker.is_ready, timeout)  # noqa: B023


def check_idle(state: State, queue: str, timeout: float = 60) -> None:
    """Check that nothing waits or is worked on any more: no timer, no claim, no message."""

    def left() -> dict[str, object]:
        queues = Queues.of(state)
        messages = state.client.llen(queue)
        return {"timers": queues.wake, "claims": queues.claimed, "messages": messages}

    eventually(lambda: not any(left().values()), timeout)
    living = (status for status in RunStatus if not status.is_terminal)
    if not any(state.client.zcard(state.keys.of("status", one.value)) for one in living):
        check_nothing_planned(state)


def check_forgotten(state: State, timeout: float = 120) -> None:
    """Let the retention of every run end; check that no key is left of any."""
    expiry = state.keys.of("expiry")
    ended = cast("list[bytes]", state.client.zrange(expiry, 0, -1))
    for start in range(0, len(ended), 1_000):
        state.client.zadd(expiry, dict.fromkeys(ended[start : start + 1_000], 0), xx=True)
    eventually(lambda: not state.client.exists(expiry), timeout)
    ours = {state.keys.of(name).encode() for name in _OF_THE_NAMESPACE}
    left = set(state.client.scan_iter(f"{state.keys.prefix}*", count=1_000)) - ours
    assert not left, f"{len(left)} keys are left: {sorted(left)[:5]}"
    check_nothing_planned(state)


def _check_traces(result: RunResult) -> None:
    """Each commit counted, and left one mark, in the place that the plan has for it."""
    store = result.store
    assert store.get("count", int) == ACTIONS, f"{result.run_id} counts {store.get('count', int)}"
    marks = {f"{action.entry}:{action.attempt}": action for action in result.actions}
    trace = store.get("trace", list[str], default=[])
    beside = store.get("marks", list[str], default=[])
    expected = [mark for mark in marks if mark not in beside]
    assert trace == expected, f"{result.run_id} was traced as {trace}, not {expected}"
    assert sorted(trace + beside) == sorted(marks), f"{result.run_id} has marks of nobody: {beside}"


def _check_order(result: RunResult, completed: list[str]) -> None:
    """What comes one after another was committed so."""
    at = {entry: number for number, entry in enumerate(completed)}
    done = -1
    for stage in result.stages.values():
        places = [at[action.entry] for action in stage.actions]
        assert stage.parallel or places == sorted(places), f"{result.run_id}: {stage.id} {places}"
        assert min(places) > done, f"{result.run_id}: {stage.id} began too early"
        done = max(places)


def _check_replay(result: RunResult, journal: list[JournalEntry], run: Snapshot) -> None:
    """The journal replays to what is kept: to the records, and to the plan."""
    assert [entry.sequence for entry in journal] == list(range(1, len(journal) + 1))
    folded = dict(_folded(journal))
    kept = {n: run.state_of(n) for n in run.actions}
    assert folded == kept, f"{result.run_id}: the journal tells of {folded}, the records of {kept}"
    outline = result.plan.at(result.plan.revision)
    told = [(action.entry, action.path) for action in outline.actions]
    stored = [(action.entry, action.path) for action in result.actions]
    assert told == stored, f"{result.run_id}: the ledger tells of {told}, the plan has {stored}"


def _folded(journal: list[JournalEntry]) -> Iterator[tuple[str, str]]:
    for entry in journal:
        if entry.kind in _STATES:
            yield entry.entry, _STATES[entry.kind]
