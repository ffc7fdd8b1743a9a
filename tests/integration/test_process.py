"""Supervised child processes: when they are started again, and that they do not stay behind."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from gostage_core.errors import ConfigurationError
from gostage_workers.process import QUICK_DEATHS, Supervised
from tests.support.eventually import eventually
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
IGNORES_SIGTERM = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {SLEEPS!r}])
print("child", child.pid, flush=True)
time.sleep(600)
"""


class Started:
    """Starts Python programs under supervision, and stops them all at the end of the test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._all: list[Supervised] = []

    def __call__(self, code: str, *, restart: bool) -> Supervised:
        process = Supervised(
            [sys.executable, "-c", code],
            log_path=self._directory / "log",
            name="the program",
            restart=restart,
        )
        self._all.append(process)
        process.start()
        return process

    def stop_all(self) -> None:
        for process in self._all:
            process.stop(0)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    started = Started(tmp_path)
    yield started
    started.stop_all()


def another_pid(process: Supervised, than: int | None) -> int:
    return eventually(lambda: process.pid if process.pid != than else None) or 0


def child_of(process: Supervised) -> int:
    return int(
        eventually(lambda: re.findall(r"^child (\d+)$", process.log_tail(), re.MULTILINE))[0]
    )


def test_a_process_that_is_killed_from_outside_is_started_again(started: Started) -> None:
    process = started(SLEEPS, restart=True)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert is_alive(another_pid(process, than=first))
    assert process.deaths == 1
    assert process.exit_code == -signal.SIGKILL


def test_killing_on_purpose_never_makes_it_give_up(started: Started) -> None:
    process = started(SLEEPS, restart=True)
    for _ in range(QUICK_DEATHS + 1):
        pid = process.kill()
        another_pid(process, than=pid)
    assert process.error is None


def test_a_process_that_cannot_live_is_given_up_with_the_reason(started: Started) -> None:
    process = started("import sys; sys.exit('no luck today')", restart=True)
    assert process.wait(60)
    assert process.deaths == QUICK_DEATHS
    assert process.pid is None
    assert "no luck today" in str(process.error)
    assert "exit code 1" in str(process.error)


def test_without_restart_a_death_is_the_end(started: Started) -> None:
    process = started("print('done')", restart=False)
    assert process.wait(60)
    assert (process.exit_code, process.deaths, process.error) == (0, 1, None)


def test_stopping_kills_what_ignores_the_request_and_its_children(started: Started) -> None:
    process = started(IGNORES_SIGTERM, restart=True)
    child, main = child_of(process), process.pid
    process.stop(0.1)
    assert process.pid is None
    assert main is not None
    assert not is_alive(main)
    eventually(lambda: not is_alive(child))
    assert process.exit_code == -signal.SIGKILL


def test_the_children_of_a_killed_process_die_too(started: Started) -> None:
    process = started(IGNORES_SIGTERM, restart=False)
    child = child_of(process)
    process.kill()
    assert process.wait(30)
    eventually(lambda: not is_alive(child))


def test_a_stop_that_is_asked_for_is_not_a_death(started: Started) -> None:
    process = started(SLEEPS, restart=True)
    eventually(lambda: "up" in process.log_tail())
    process.stop(30)
    process.stop(30)
    assert process.exit_code == -signal.SIGTERM
    assert process.deaths == 0


def test_a_ctrl_c_in_the_terminal_does_not_reach_it(started: Started) -> None:
    process = started(SLEEPS, restart=False)
    assert os.getsid(process.pid or 0) != os.getsid(0)


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    process = Supervised(
        [sys.executable], log_path=tmp_path / "no" / "log", name="the program", restart=True
    )
    with pytest.raises(ConfigurationError, match="the program cannot be started"):
        process.start()
