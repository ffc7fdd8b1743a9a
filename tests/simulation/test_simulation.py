"""The engine keeps its promises in simulated worlds, and worlds show where it does not."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gostage_core.state import scripts
from tests.simulation.__main__ import main, report_of
from tests.simulation.figures import Figures
from tests.simulation.server import ToldServer
from tests.simulation.themes import THEMES
from tests.simulation.world import Violation, World

if TYPE_CHECKING:
    from collections.abc import Iterator

BREAKS = {
    "a worker that was fenced commits": (
        'if r.state ~= "x" or r.token ~= token then', 'if r.state ~= "x" then'
    ),
    "an attempt that was committed is told that it was fenced": (
        "if r.token == token and DONE[r.state] then", "if false then"
    ),
    "a throttle lets everyone in": ("if throttle.most == 0 then", "if true then"),
}  # fmt: skip


@pytest.fixture(scope="module")
def figures() -> Figures:
    """One world about each theme."""
    figures = Figures()
    for seed, theme in enumerate(THEMES):
        figures.add(report_of(seed, theme))
    return figures


def test_every_promise_is_kept_whatever_goes_wrong(figures: Figures) -> None:
    assert not figures.wrong


def test_every_story_and_every_kind_of_fault_comes_up(figures: Figures) -> None:
    assert not figures.missing
    assert figures.foretold > 50


def test_a_world_follows_from_its_seed_byte_for_byte() -> None:
    one = "\n".join(report_of(7, trace=True).trace)
    environment = os.environ | {"PYTHONHASHSEED": "5", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "tests.simulation", "--replay", "7"]
    other = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert other.stdout.decode().startswith(f"{one}\n")
    assert len(one) > 10_000


@pytest.fixture
def silent() -> Iterator[None]:
    """Workers tell of each fault, which is what worlds are full of."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ToldServer:
    """A server that is given other scripts than those that are shipped."""
    right, wrong = BREAKS[request.param]
    sound = scripts.source
    assert any(right in sound(name) for name in scripts.names())
    monkeypatch.setattr(scripts, "source", lambda name: sound(name).replace(right, wrong))
    monkeypatch.setattr(scripts, "digest", lambda name: scripts._sha(scripts.source(name)))
    return ToldServer()


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("broken", BREAKS, indirect=True)
def test_an_engine_that_is_broken_is_found_out(broken: ToldServer) -> None:
    assert any(World(seed, server=broken).live().wrong for seed in range(20))


@pytest.mark.usefixtures("silent")
def test_what_is_wrong_is_told_with_what_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.simulation.oracle.Oracle.check_end", _find_fault)
    assert main(["--runs", "1", "--seed", "3", "--story", "wait"]) == 1
    printed = capsys.readouterr().out
    assert "the count is off" in printed
    assert "python -m tests.simulation --story wait --replay 3" in printed


@pytest.mark.usefixtures("silent")
def test_a_sound_engine_is_told_in_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "1", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "violations 0" in printed
    assert "message lost" in printed


def _find_fault(_oracle: object) -> None:
    raise Violation("the count is off")
