"""Scripts for Node, with what they need from npm in a directory of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "producers"
SECONDS = 120


class NoNodeError(Exception):
    """There is no Node here, or npm brings nothing."""


class Node:
    """Runs scripts of ``tests/producers``."""

    def __init__(self, directory: Path) -> None:
        """Install into *directory* what the lock file names.

        Raises:
            NoNodeError: says why that cannot be.
        """
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                raise NoNodeError(f"{program} is not on the PATH")
        for file in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / file, directory)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        installed = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if installed.returncode:
            raise NoNodeError(f"npm ci: {installed.stderr.strip()}")
        self._directory = directory

    def run(self, script: str, given: str, **environment: str) -> str:
        """Run a script that reads *given*, and return what it prints."""
        # Modules are looked for beside the script.
        shutil.copy(SCRIPTS / script, self._directory)
        ran = subprocess.run(
            ["node", script],
            cwd=self._directory,
            env={**os.environ, **environment},
            input=given,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout
