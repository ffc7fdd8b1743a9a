"""One crew for all tests that strike it at chosen moments; each finds it whole."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from tests.chaos import witness
from tests.chaos.checks import check_idle, check_workers
from tests.chaos.server_faults import limit_files
from tests.support.crew import Crew
from tests.support.gated import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gostage_core import Run

    Told = Callable[[Run], dict[str, int]]


@pytest.fixture(scope="session")
def witness_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("witness") / "told"


@pytest.fixture(scope="session")
def standing_crew(witness_file: Path) -> Iterator[Crew]:
    modules = ["tests.support.gated", "tests.chaos.witness"]
    with Crew(2, modules=modules, env={witness.VARIABLE: str(witness_file)}) as crew:
        yield crew


@pytest.fixture
def crew(standing_crew: Crew) -> Iterator[Crew]:
    """Two workers that do one thing at a time; whole before and after each test."""
    yield standing_crew
    standing_crew.server.start()
    limit_files(standing_crew.server.pid, resource.RLIM_INFINITY)
    standing_crew.state.client.config_set("maxmemory", 0)
    for member in standing_crew.members:
        member.proxy.heal()
        member.clock.step(0)
    check_workers(standing_crew)
    check_idle(standing_crew.state, standing_crew.runner.settings.namespace)


@pytest.fixture
def told(witness_file: Path) -> Told:
    """What workers told of a run."""
    return lambda run: witness.heard(witness_file, run.run_id)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.open()
