"""The example of a canvas that became a workflow, run as its readers run it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.command import ROOT, SECONDS, Shell

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ROOT / "gostage_workers" / "examples" / "migrated_canvas.py"


def test_the_example_of_a_migrated_canvas_runs_and_tells_its_result(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=tmp_path,
        env=Shell(tmp_path).environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert ["1-order", "order", "completed"] in lines
    assert lines.count(["2-group", "price", "completed"]) == 3
    assert ended.stdout.rstrip().endswith("Ana owes 8 EUR")
    assert len(EXAMPLE.read_text().splitlines()) <= 80
