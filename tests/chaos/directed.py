"""What tests share that strike a crew at a chosen moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core import RunStatus, Stage, Workflow
from tests.support.eventually import eventually
from tests.support.gated import QUICK, held, quick

if TYPE_CHECKING:
    from gostage_core import Run
    from gostage_core.journal import JournalEntry
    from tests.support.crew import Crew, Member
    from tests.support.gated import Gate


def row_of(count: int) -> Workflow:
    """So many quick actions, one after another."""
    made = Workflow("row")
    made.add_stage(Stage("row", [quick.s() for _ in range(count)]))
    return made


def held_by(gate: Gate, then: int = 2) -> Workflow:
    """An action that *gate* holds up, and so many quick ones behind it."""
    made = Workflow("held")
    made.add_stage(Stage("row", [held.s(place=gate.place), *(quick.s() for _ in range(then))]))
    return made


def held_run(crew: Crew, gate: Gate) -> Run:
    """Submit a run, and return it once a worker is held up by its first action."""
    run = crew.runner.submit(held_by(gate))
    eventually(lambda: gate.begun)
    return run


def member_at(crew: Crew, gate: Gate) -> Member:
    """Return who is held up since last."""
    _, pid = gate.begun[-1]
    return next(member for member in crew.members if pid in member.children)


def entries(run: Run, kind: str) -> list[JournalEntry]:
    """Return what the journal of a run has of one kind."""
    return [entry for entry in run.journal() if entry.kind == kind]


def assert_committed_once(run: Run, timeout: float = 60) -> None:
    """Wait for the end of a run; each action is committed once, each effect is there once."""
    result = run.wait(timeout)
    assert result.status is RunStatus.COMPLETED, result.error
    completed = [entry.entry for entry in entries(run, "action.completed")]
    assert completed == [action.entry for action in result.actions]
    counted = [int(action.entry) for action in result.actions if action.action == QUICK]
    assert result.store.get("count", int, default=0) == len(counted)
    assert result.store.get("trace", list[int], default=[]) == counted


def let_leases_lapse(crew: Crew) -> None:
    """Wait until every lease that is not renewed has lapsed, by the server's clock."""
    settings = crew.runner.settings
    over = crew.state.server_ms() + 1000 * (settings.lease + 2 * settings.tick)
    eventually(lambda: crew.state.server_ms() > over)
