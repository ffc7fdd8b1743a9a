"""The demo: what a newcomer sees first, on the standard library of this very Python."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from gostage_core.testing import context
from gostage_workers.examples.survey import (
    LEFT_OUT,
    SURVEYS,
    Analyse,
    FindPackages,
    PackageSurvey,
    Report,
    survey_workflow,
)
from tests.support.command import Shell

STDLIB = Path(sysconfig.get_path("stdlib"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_demo_prints_its_report_and_nothing_else_to_a_pipe(shell: Shell) -> None:
    ended = shell.gostage("demo", "--output", "report.md")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (shell.directory / "report.md").read_text()
    assert "the plan begins with 2 actions" in ended.stderr
    assert "action discover/FindPackages changed it: it grew from 2 to" in ended.stderr


def test_the_demo_survives_the_worker_that_it_kills_and_says_what_was_lost(shell: Shell) -> None:
    ended = shell.gostage("demo", "--kill", "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    casualty = document["casualty"]
    assert document["status"] == "completed"
    assert casualty["lost"] is True
    again = _action(document, casualty["entry"])
    assert again["status"] == "completed"
    assert casualty["done_by"]["attempt"] == again["attempt"] == 2
    assert f"killed worker {casualty['worker']} (pid {casualty['pid']})" in ended.stderr
    assert f"in the middle of {casualty['action']}" in ended.stderr
    assert f"by {casualty['done_by']['worker']} (pid {casualty['done_by']['pid']})" in ended.stderr
    assert _packages(document) == sorted(_packages_here())
    assert (shell.directory / "stdlib-survey.md").read_text() == document["store"]["report"]


def test_the_demo_fits_a_terminal_of_80_columns_and_is_alive_on_it(shell: Shell) -> None:
    shown = shell.on_terminal(80, "demo", "--kill")
    assert "analyse/" in shown
    assert " of " in shown
    assert "done again, in attempt 2" in shown
    assert "the report is in stdlib-survey.md" in shown
    assert max(cell_len(line) for line in shown.splitlines()) <= 80


def test_the_demo_says_at_once_where_it_cannot_write(shell: Shell) -> None:
    ended = shell.gostage("demo", "--output", "no/such/folder.md")
    assert ended.returncode == 2
    assert "cannot be written" in ended.stderr
    assert "starting" not in ended.stderr


def test_the_survey_looks_at_the_largest_package_first_and_at_no_tests(tmp_path: Path) -> None:
    _package(tmp_path / "small", "x = 1\n")
    _package(tmp_path / "large", "x = 1\n", "y = 1\n")
    for left_out in LEFT_OUT:
        _package(tmp_path / left_out, "x = 1\n")
        _package(tmp_path / "large" / left_out, "x = 1\n")
    ctx = context()
    FindPackages(root=str(tmp_path)).execute(ctx)
    stage = ctx.additions.stages[0]
    assert [action.name for action in stage.actions] == ["large", "small"]
    assert stage.parallel


def test_the_survey_counts_what_can_be_read_and_says_what_cannot(tmp_path: Path) -> None:
    _package(
        tmp_path / "p", 'def f():\n    """Documented."""\n', "def broken(:\n", "x = '\udc80'\n"
    )
    ctx = context()
    Analyse(path=str(tmp_path / "p")).execute(ctx)
    assert ctx.store[SURVEYS] == [
        PackageSurvey(
            package="p", files=4, lines=2, functions=1, documentable=3, documented=1, unreadable=2
        )
    ]


def test_the_report_adds_up_and_goes_to_a_file(tmp_path: Path) -> None:
    output = tmp_path / "report.md"
    ctx = context()
    ctx.store[SURVEYS] = [
        PackageSurvey(package="a", files=1, lines=1_000, functions=1, documentable=2, documented=1),
        PackageSurvey(package="b", files=2, lines=2_000, functions=3),
    ]
    Report(output=str(output)).execute(ctx)
    lines = output.read_text().splitlines()
    assert lines[2] == "| b | 2 | 2,000 | 3 | 100% |"
    assert lines[-1] == "| **all** | **3** | **3,000** | **4** | **50%** |"
    assert ctx.store["report"] == output.read_text()


def test_the_survey_begins_with_two_actions() -> None:
    stages = survey_workflow().stages.values()
    assert [action.name for stage in stages for action in stage.definition().actions] == [
        "FindPackages",
        "Report",
    ]


def _action(document: dict[str, Any], entry: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        action for stage in document["stages"] for action in stage["actions"]
    ]
    return next(one for one in found if one["entry"] == entry)


def _packages(document: dict[str, Any]) -> list[str]:
    return sorted(survey["package"] for survey in document["store"]["surveys"])


def _packages_here() -> set[str]:
    return {path.parent.name for path in STDLIB.glob("*/__init__.py")} - LEFT_OUT


def _package(path: Path, *files: str) -> None:
    path.mkdir(parents=True)
    (path / "__init__.py").write_text("")
    for number, text in enumerate(files):
        file = path / f"m{number}.py"
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
