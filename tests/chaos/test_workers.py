"""Workers are frozen, told to end, told twice, have wrong clocks, or meet what kills them."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from gostage_core import RunStatus, Workflow
from tests.chaos.checks import check_workers
from tests.chaos.directed import (
    assert_committed_once,
    entries,
    held_run,
    let_leases_lapse,
    member_at,
    row_of,
)
from tests.support.eventually import eventually
from tests.support.gated import deadly
from tests.support.processes import send

if TYPE_CHECKING:
    from tests.chaos.conftest import Told
    from tests.support.crew import Crew
    from tests.support.gated import Gate

pytestmark = pytest.mark.chaos


def test_a_whole_worker_that_stood_still_comes_back_too_late_to_commit(
    crew: Crew, gate: Gate, told: Told
) -> None:
    run = held_run(crew, gate)
    frozen = member_at(crew, gate).processes
    send(frozen, signal.SIGSTOP)
    try:
        eventually(lambda: len(gate.begun) == 2)
        gate.open(1)
    finally:
        send(frozen, signal.SIGCONT)
    eventually(lambda: told(run).get("ended:fenced"))
    assert run.status is RunStatus.RUNNING, "the other one is at it"
    gate.open(2)
    assert_committed_once(run)
    assert run.store["held"] == [2]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_worker_whose_clock_is_wrong_keeps_its_leases_and_calls_nobody_dead(
    crew: Crew, gate: Gate, hours: int
) -> None:
    run = held_run(crew, gate)
    for member in crew.members:
        member.clock.step(hours * 3600)
    runs = [crew.runner.submit(row_of(5)) for _ in range(10)]
    let_leases_lapse(crew)
    gate.open()
    for one in (run, *runs):
        assert_committed_once(one)
        assert not entries(one, "action.lost")


@pytest.mark.parametrize(
    "signals", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGKILL]], ids=["SIGQUIT", "SIGKILL"]
)
def test_an_action_whose_worker_is_not_let_finish_is_done_by_another(
    crew: Crew, gate: Gate, signals: list[signal.Signals]
) -> None:
    run = held_run(crew, gate)
    for number in signals:
        os.kill(main_process_at(crew, gate), number)
    eventually(lambda: len(gate.begun) == 2)
    gate.open()
    assert_committed_once(run)
    assert len(run.store["held"]) == 1


def test_a_worker_that_is_asked_to_end_and_asked_again_finishes_what_it_is_at(
    crew: Crew, gate: Gate
) -> None:
    run = held_run(crew, gate)
    ending = member_at(crew, gate)
    before = main_process_at(crew, gate)
    for _ in range(2):
        os.kill(before, signal.SIGTERM)
    let_leases_lapse(crew)
    gate.open()
    assert_committed_once(run)
    assert run.store["held"] == [1]
    eventually(lambda: ending.worker.pid not in (before, None))


def test_runs_go_on_while_one_worker_after_the_other_is_started_anew(crew: Crew) -> None:
    runs = []
    for member in crew.members:
        runs += [crew.runner.submit(row_of(10)) for _ in range(10)]
        before = member.worker.pid
        assert before is not None
        os.kill(before, signal.SIGTERM)
        eventually(lambda: member.worker.pid not in (before, None) and member.worker.is_ready)  # noqa: B023
    for run in runs:
        assert_committed_once(run)
        assert not entries(run, "action.lost")
        assert not entries(run, "action.failed")


def main_process_at(crew: Crew, gate: Gate) -> int:
    """The main process of the worker that is held up."""
    pid = member_at(crew, gate).worker.pid
    assert pid is not None
    return pid


def test_an_action_that_kills_whoever_takes_it_ends_alone(crew: Crew) -> None:
    poison = Workflow("poison")
    poison.add_stage("s").add(deadly.s())
    poisoned = crew.runner.submit(poison)
    others = [crew.runner.submit(row_of(5)) for _ in range(10)]
    result = poisoned.wait(60)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "PoisonedError"
    assert len(entries(poisoned, "action.started")) == crew.runner.settings.max_losses
    check_workers(crew)
    for run in others:
        assert_committed_once(run)
