"""The documents say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from gostage_core.settings import PREFIX, Settings
from gostage_core.state import keys

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def first_program() -> str:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def test_the_readme_begins_with_a_small_program_that_runs_as_it_is_printed(tmp_path: Path) -> None:
    program = first_program()
    line = README[: README.index(program)].count("\n") + 1
    assert line <= 25
    assert len([text for text in program.splitlines() if text.strip()]) <= 18
    (tmp_path / "hello.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, "hello.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ran.stdout == "Hello, Alice!\n", ran.stderr
    assert "It prints `Hello, Alice!`" in README


def test_the_example_of_the_readme_is_the_one_that_ships() -> None:
    shipped = (ROOT / "gostage_workers/examples/hello.py").read_text(encoding="utf-8")
    assert first_program() in shipped


def test_the_readme_lists_every_setting() -> None:
    listed = set(re.findall(rf"`({PREFIX}\w+)` \|", README))
    assert listed == {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_key_table_lists_every_key() -> None:
    table = ARCHITECTURE[ARCHITECTURE.index("## Keys") : ARCHITECTURE.index("## States")]
    rows = re.findall(r"^\| (`.*?) \| \w", table, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert listed == {template.split(":")[0] for template in keys._TEMPLATES.values()}


def test_each_kind_of_bad_input_names_a_test_that_there_is() -> None:
    tests = ROOT / "tests"
    table = (tests / "BAD_INPUT.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    named = [re.findall(r"`([\w/]+\.py)::(\w+)`", row) for row in rows]
    assert all(len(found) == 1 for found in named)
    missing = [
        (file, name)
        for [(file, name)] in named
        if f"def {name}(" not in (tests / file).read_text(encoding="utf-8")
    ]
    assert missing == []
