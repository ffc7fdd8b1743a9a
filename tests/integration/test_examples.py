"""The examples that ship, run as their readers run them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

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


def test_the_smallest_example_is_what_the_readme_shows() -> None:
    assert f"```python\n{_program(HELLO.read_text())}```" in (ROOT / "README.md").read_text()


def _program(text: str) -> str:
    """Leave out the docstring, with which a file begins and an excerpt does not."""
    return text[text.index("from gostage_core") :]
