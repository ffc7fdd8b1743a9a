"""The server is killed, full, forgetful or loses its last moments: workers wait, and runs go on."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from gostage_core import RunStatus
from gostage_core.errors import StoreUnavailableError
from tests.chaos.directed import (
    assert_committed_once,
    entries,
    held_run,
    let_leases_lapse,
    row_of,
)
from tests.chaos.server_faults import limit_files
from tests.support.crew import Crew
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from gostage_core import Run
    from tests.chaos.conftest import Told
    from tests.support.gated import Gate

pytestmark = pytest.mark.chaos


def test_scripts_that_the_server_forgot_while_a_body_ran_are_given_to_it_again(
    crew: Crew, gate: Gate
) -> None:
    run = held_run(crew, gate)
    crew.state.client.script_flush()
    gate.open()
    assert_committed_once(run)
    assert run.store["held"] == [1]


def test_nothing_that_was_acknowledged_is_lost_when_the_server_is_killed(
    crew: Crew, gate: Gate
) -> None:
    crew.state.client.config_set("appendfsync", "always")
    held = held_run(crew, gate)
    runs = [held, *(crew.runner.submit(row_of(5)) for _ in range(30))]
    eventually(lambda: runs[5].status.is_terminal)
    before = [run.journal() for run in runs]
    crew.server.restart()
    after = [run.journal() for run in runs]
    assert all(now[: len(then)] == then for then, now in zip(before, after, strict=True))
    gate.open()
    for run in runs:
        assert_committed_once(run)
    assert held.store["held"] == [1]


def test_a_run_goes_on_from_what_is_left_when_the_last_moments_of_the_server_are_lost(
    crew: Crew, told: Told
) -> None:
    run = crew.runner.submit(row_of(300))
    eventually(lambda: count(run) >= 20)
    kept = crew.server.log.stat().st_size
    eventually(lambda: count(run) >= 60)
    crew.server.kill()
    written = crew.server.log.stat().st_size
    os.truncate(crew.server.log, kept + (written - kept) // 2)
    crew.server.start()
    assert_committed_once(run)
    assert told(run)["ended:committed"] > 300, "what was lost was done once more"


def test_a_long_body_is_left_to_its_worker_when_the_server_was_started_anew(gate: Gate) -> None:
    env = {"GOSTAGE_LEASE": "0.6s", "GOSTAGE_TICK": "0.1s"}
    with Crew(2, modules=["tests.support.gated"], env=env) as crew:
        run = held_run(crew, gate)
        crew.server.restart()
        let_leases_lapse(crew)  # those of the test's own settings: several of the workers'
        gate.open()
        assert_committed_once(run)
        assert run.store["held"] == [1]
        assert not entries(run, "action.released")


def test_a_server_without_memory_refuses_new_runs_and_those_at_work_end(
    crew: Crew, gate: Gate
) -> None:
    run = held_run(crew, gate)
    crew.state.client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailableError, match="maxmemory"):
        crew.runner.submit(row_of(1))
    let_leases_lapse(crew)
    gate.open()
    assert_committed_once(run)
    assert run.store["held"] == [1]
    assert crew.state.client.config_get("maxmemory") == {"maxmemory": "1"}
    crew.state.client.config_set("maxmemory", 0)
    assert_committed_once(crew.runner.submit(row_of(1)))


def test_a_server_without_disk_is_waited_for_and_nobody_is_called_dead_meanwhile(
    crew: Crew, gate: Gate
) -> None:
    run = held_run(crew, gate)
    limit_files(crew.server.pid, 1)
    with pytest.raises(StoreUnavailableError, match="AOF"):
        [crew.runner.submit(row_of(1)) for _ in range(100)]
    gate.open()
    let_leases_lapse(crew)
    assert run.status is RunStatus.RUNNING
    limit_files(crew.server.pid, resource.RLIM_INFINITY)
    assert_committed_once(run)
    assert run.store["held"] == [1]
    assert not entries(run, "action.lost")


def count(run: Run) -> int:
    return run.store.get("count", int, default=0)
