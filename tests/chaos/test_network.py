"""The network fails at a chosen moment: nothing is lost, and nothing is done twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import RunStatus
from gostage_core.state import scripts
from tests.chaos.directed import (
    assert_committed_once,
    entries,
    held_run,
    let_leases_lapse,
    member_at,
    row_of,
)
from tests.support.eventually import eventually
from tests.support.lanes import Direction

if TYPE_CHECKING:
    from tests.chaos.conftest import Told
    from tests.support.crew import Crew
    from tests.support.gated import Gate

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("operation", ["claim", "commit", "tick"])
def test_an_operation_whose_answer_is_lost_is_repeated_and_happens_once(
    crew: Crew, operation: str
) -> None:
    request = scripts.digest(operation).encode()
    drops = [member.proxy.drop_answer(request) for member in crew.members for _ in range(2)]
    run = crew.runner.submit(row_of(12))
    assert_committed_once(run)
    eventually(lambda: any(drop.has_happened for drop in drops))
    assert not entries(run, "action.lost")
    assert {entry.change["attempt"] for entry in entries(run, "action.started")} == {1}


@pytest.mark.parametrize("command", [b"BRPOP", b"LPUSH"])
def test_a_message_that_is_cut_off_on_its_way_is_lost_or_doubled_and_its_run_goes_on(
    crew: Crew, command: bytes
) -> None:
    drops = [member.proxy.drop_answer(command) for member in crew.members]
    assert_committed_once(crew.runner.submit(row_of(12)))
    assert any(drop.has_happened for drop in drops)


@pytest.mark.parametrize("ways", [(), (Direction.TO_CLIENT,)], ids=["both ways", "one way"])
def test_a_worker_that_is_cut_off_past_its_lease_comes_back_too_late_to_commit(
    crew: Crew, told: Told, gate: Gate, ways: tuple[Direction, ...]
) -> None:
    run = held_run(crew, gate)
    cut_off = member_at(crew, gate)
    cut_off.proxy.black_hole(*ways)
    eventually(lambda: len(gate.begun) == 2)
    cut_off.proxy.heal()
    gate.open(1)
    eventually(lambda: told(run).get("ended:fenced"))
    assert run.status is RunStatus.RUNNING, "the other one is at it"
    gate.open(2)
    assert_committed_once(run)
    assert run.store["held"] == [2]


def test_a_commit_that_arrives_when_others_are_at_it_is_refused(
    crew: Crew, told: Told, gate: Gate
) -> None:
    run = held_run(crew, gate)
    cut_off = member_at(crew, gate)
    cut_off.proxy.black_hole(Direction.TO_SERVER)
    gate.open(1)
    eventually(lambda: cut_off.proxy.is_holding(scripts.digest("commit").encode()))
    eventually(lambda: len(gate.begun) == 2)
    cut_off.proxy.heal()
    eventually(lambda: told(run).get("ended:fenced"))
    assert run.status is RunStatus.RUNNING, "the other one is at it"
    gate.open(2)
    assert_committed_once(run)
    assert run.store["held"] == [2]


def test_workers_whose_connections_were_forgotten_take_work_again(crew: Crew) -> None:
    pids = [member.worker.pid for member in crew.members]
    assert all(member.proxy.forget() for member in crew.members)
    assert_committed_once(crew.runner.submit(row_of(6)))
    assert [member.worker.pid for member in crew.members] == pids


def test_a_worker_behind_a_slow_network_keeps_its_lease(crew: Crew, gate: Gate) -> None:
    run = held_run(crew, gate)
    member_at(crew, gate).proxy.delay(0.3)
    let_leases_lapse(crew)
    gate.open()
    assert_committed_once(run)
    assert run.store["held"] == [1]
