"""A copy of the repository, in which one mutant after another lives."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from tests.mutants.mutants import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.mutants.mutants import Mutant

_LEFT_OUT: Final = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How tests went."""

    passed: bool
    failed: tuple[str, ...]
    """The tests that failed."""

    hung: bool
    seconds: float
    output: str

    @property
    def is_found_out(self) -> bool:
        """Whether a test failed, or none ended in time."""
        return bool(self.failed) or self.hung


class Copy:
    """A copy of the repository, with what is not committed yet; nothing else is touched."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Copy]:
        """Make one, and take it away afterwards."""
        with TemporaryDirectory(prefix="mutants-") as directory:
            root = Path(directory) / "copy"
            shutil.copytree(ROOT, root, ignore=_LEFT_OUT)
            yield cls(root)

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Have one mistake in it for a while.

        Raises:
            ValueError: what the mistake replaces does not stand there exactly once.
        """
        path = self._root / mutant.file
        text = path.read_text(encoding="utf-8")
        try:
            _write(path, mutant.applied(text))
            yield
        finally:
            _write(path, text)

    def test(self, tests: Sequence[str], *, most: float, first: bool = True) -> Outcome:
        """Run tests in it for *most* seconds; with *first*, until one fails."""
        options = ["-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", *(["-x"] if first else [])]
        began = time.monotonic()
        code, output = self._run(["-m", "pytest", "-n", "0", *options, *tests], most)
        failed = tuple(_FAILED.findall(output)) if code == 1 else ()
        return Outcome(code == 0, failed, code is None, time.monotonic() - began, output)

    def is_imported(self) -> bool:
        """Whether it is this copy that its tests import, and not what is installed."""
        program = "import gostage_core, pytest_gostage; print(gostage_core.__file__)"
        return self._run(["-c", program], 60)[1].startswith(str(self._root))

    def _run(self, arguments: Sequence[str], most: float) -> tuple[int | None, str]:
        """Run Python; the exit status is ``None`` where it had to be killed, with all it began."""
        with subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self._root,
            env=os.environ | {"PYTHONPATH": str(self._root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output = process.communicate(timeout=most)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return None, process.communicate()[0]
        return process.returncode, output


def _write(path: Path, text: str) -> None:
    """Write a file, and have Python read it again though it is as long and as old as before."""
    path.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(path))).unlink(missing_ok=True)
