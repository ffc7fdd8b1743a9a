"""Fixtures for tests of workflows, which pytest finds where gostage is installed.

Nothing of gostage is imported before one of them is used; then it wants the package lupa:
``pip install 'gostage[testing]'``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.testing import Crashes, MemoryEngine


@pytest.fixture
def gostage_options() -> dict[str, Any]:
    """What the engines of the other fixtures are made with; override it to give them resources.

    As ``gostage_core.testing.MemoryEngine`` takes it.
    """
    return {}


@pytest.fixture
def gostage_engine(gostage_options: dict[str, Any]) -> Iterator[MemoryEngine]:
    """Executes workflows in memory, with a clock that the test holds.

    A ``gostage_core.testing.MemoryEngine``, which is closed behind the test.
    """
    from gostage_core.testing import MemoryEngine

    with MemoryEngine(**gostage_options) as engine:
        yield engine


@pytest.fixture
def gostage_crashes(gostage_options: dict[str, Any]) -> Iterator[Callable[..., Crashes]]:
    """Lists every way in which a run of a workflow can be disturbed, each to be run.

    As ``gostage_core.testing.crashes``; the engines are closed behind the test::

        for scenario in gostage_crashes(order, store={"amount": 10}):
            payments.clear()
            assert scenario.run().status == "completed", scenario
            assert len(payments) == 1, scenario
    """
    from gostage_core.testing import MemoryEngine, crashes

    listed: list[Crashes] = []

    def list_all(workflow: Any, **options: Any) -> Crashes:
        options.setdefault("engine", partial(MemoryEngine, **gostage_options))
        listed.append(crashes(workflow, **options))
        return listed[-1]

    yield list_all
    for one in listed:
        one.close()
