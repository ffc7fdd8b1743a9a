"""The examples that ship, run as their readers run them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.command import ROOT, SECONDS, Shell

if TYPE_CHECKING:
    from pathlib import Path

HELLO = ROOT / "gostage_workers" / "examples" / "hello.py"


def test_the_smallest_example_is_a_script_that_greets(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    ended = subprocess.run(
        [sys.executable, str(HELLO)],
        cwd=tmp_path,
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.stdout == "Hello, Alice!\n"
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert list(tmp_path.iterdir()) == []


PRINTS: dict[str, list[str]] = {
    "core_concepts": ["Weather report: completed", "Zermatt: 5.0 °C on average"],
    "store": [
        "Ana of Lisbon spent 35.09 in 3 visits",
        "purchases, in plan order: 9.99 0.10 25",
        "personal: customer token - texts: summary token",
    ],
    "dynamic_actions": [
        "access.log.gz, app.log.gz, error.log.gz: more than 80 kB saved",
        "  compress app.log, added by compress/discover",
    ],
    "dynamic_stages": [
        "Deploy to us-east (added by prepare/plan_rollout)",
        "Version 2 is live in eu-west, us-east, asia.",
    ],
    "enable_disable": [
        "development: build, test, deploy, tell the team (5 skipped, 0 removed)",
        "staging: build, test, deploy, load test, warm up (2 skipped, 2 removed)",
    ],
    "sub_workflow": ["3 items: 55.60 + 12.79 = 68.39"],
    "parallel": [
        "digest completed: 6 of 6 actions completed",
        "copy completed: 2 of 3 actions completed",
        "failed: check/check: ValueError: the signature is not ours",
    ],
    "for_each": [
        "read/chapters[2]/find_longest: completed",
        "The Hare and the Tortoise: tortoise is the longest of 10 words",
    ],
    "branch_and_repeat": [
        "3 crates of 950 kg go by train, 1 stay here",
        "1 crates of 20 kg go by bicycle, 0 stay here",
    ],
    "order_processing": [
        "order 2 failed: validate/validate: ValueError: nobody orders 1 items for 0",
        "bookings at the bank: 41.10",
    ],
    "etl": ["completed: 6 rows, 6 book, 2 lamp, 7 pen"],
    "approval": [
        (
            "assessed, approved by a second pair of eyes, approved by the team, audited, "
            "3 entries, 8000 paid out (decide > audit > pay)"
        ),
    ],
    "operator_edit": [
        "revision 3, ben: the truck had an accident",
        "completed: 2 boxes unpacked, inspected, told by mail",
    ],
    "middleware": [
        (
            "completed: asked 1 time; 3 orders, but adverts/advertise: ConnectionError: "
            "the agency does not answer"
        ),
    ],
    "messages": ["completed: 8 messages are kept, in order"],
    "resources": ["completed: 149.90 taken"],
    "migrated_canvas": ["Ana owes 8 EUR"],
}
"""What each example prints, among other lines."""


@pytest.mark.parametrize("name", PRINTS)
def test_an_example_prints_what_came_of_it(name: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", f"gostage_workers.examples.{name}"],
        cwd=tmp_path,
        env=Shell(tmp_path).environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line for line in PRINTS[name] if line not in lines] == []


def test_every_example_is_run_by_a_test_and_fits_on_a_page() -> None:
    examples = {path.stem: path for path in HELLO.parent.glob("[a-z]*.py")}
    elsewhere = {"hello", "survey"}  # here above, and with the demo
    assert set(examples) == set(PRINTS) | elsewhere
    long = [name for name in PRINTS if len(examples[name].read_text().splitlines()) > 80]
    assert long == []


def test_the_smallest_example_is_what_the_readme_shows() -> None:
    assert f"```python\n{_program(HELLO.read_text())}```" in (ROOT / "README.md").read_text()


def _program(text: str) -> str:
    """Leave out the docstring, with which a file begins and an excerpt does not."""
    return text[text.index("from gostage_core") :]
