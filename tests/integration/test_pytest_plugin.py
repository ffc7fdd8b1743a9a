"""The fixtures that pytest finds where gostage is installed, as a project of its own uses them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.command import SECONDS, Shell

if TYPE_CHECKING:
    from pathlib import Path

SHOP = """
import pytest
from gostage_core import Sleep, Workflow, action

payments = []

@action
def careless(ctx):
    payments.append(ctx.idempotency_key)

@action
def careful(ctx):
    def pay():
        if ctx.idempotency_key not in payments:
            payments.append(ctx.idempotency_key)
    ctx.once("pay", pay)

@action
def ask(ctx):
    ctx.store["answer"] = ctx.resources.oracle

def order(*actions):
    workflow = Workflow("order")
    workflow.add_stage("pay").add(*actions)
    return workflow
"""

CAREFUL = """
from shop import careful, order, payments

def test_charges_once(gostage_crashes):
    for scenario in gostage_crashes(order(careful.s())):
        payments.clear()
        result = scenario.run()
        assert result.status == "completed", scenario
        assert len(payments) == 1, scenario
"""

CARELESS = CAREFUL.replace("careful", "careless")

ENGINE = """
import pytest
from shop import Sleep, ask, order

@pytest.fixture
def gostage_options():
    return {"resources": {"oracle": 42}}

def test_engine(gostage_engine):
    result = gostage_engine.execute(order(Sleep(days=2), ask.s()))
    assert (result.store["answer"], result.duration) == (42, 172_800)

def test_crashes_have_the_same_resources(gostage_crashes):
    (scenario,) = gostage_crashes(order(ask.s()), only=5)
    assert scenario.run().store["answer"] == 42
"""

UNUSED = """
import sys

def test_nothing_of_gostage_was_imported():
    assert not [name for name in sys.modules if name.startswith("gostage_")]
"""


def ran(directory: Path, text: str) -> tuple[int, str]:
    (directory / "shop.py").write_text(SHOP)
    (directory / "test_shop.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=directory,
        env=Shell(directory).environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return ended.returncode, ended.stdout


def test_an_action_that_survives_everything_passes(tmp_path: Path) -> None:
    code, told = ran(tmp_path, CAREFUL)
    assert (code, "1 passed" in told) == (0, True), told


def test_one_that_does_not_fails_and_is_told_in_which_scenario(tmp_path: Path) -> None:
    code, told = ran(tmp_path, CARELESS)
    assert code == 1, told
    assert (
        "AssertionError: <scenario 10: freezes after the claim of pay/careless (attempt 1); "
        "only=10 repeats it>" in told
    )


def test_engines_are_made_with_what_the_project_says(tmp_path: Path) -> None:
    code, told = ran(tmp_path, ENGINE)
    assert (code, "2 passed" in told) == (0, True), told


def test_nothing_of_it_costs_a_project_that_does_not_use_it(tmp_path: Path) -> None:
    code, told = ran(tmp_path, UNUSED)
    assert (code, "1 passed" in told) == (0, True), told
