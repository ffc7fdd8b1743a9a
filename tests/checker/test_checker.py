"""The engine is sound in every order of steps, and the checker tells where it would not be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from gostage_core.rescuer import Rescuer
from gostage_core.state import scripts
from tests.checker.__main__ import main
from tests.checker.explorer import NO_WAY_OUT, NOTHING_GOES_ON, Explorer
from tests.checker.worlds import WORLDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.checker.explorer import Walk

WITH_A_FAULT = ("sequence", "turns", "retry", "throttle")
BREAKS = {
    "a worker that was fenced commits": (
        "sequence", 'if r.state ~= "x" or r.token ~= token then', "if false then",
    ),
    "a commit that is repeated is applied twice": (
        "sequence", 'if word then\n  return { word }\nend\nlocal no = refused(run, changes)',
        "local no = refused(run, changes)",
    ),
    "a commit that is repeated is told that it was fenced": (
        "sequence", "if r.token == token and DONE[r.state] then", "if false then",
    ),
    "a claim takes what another one holds": (
        "sequence", '  return { "held" }', '  r.state, l = "r", links(run, n)',
    ),
    "a message that is lost is never found": (
        "sequence", 'return { "waiting", ', 'return { "gone", ',
    ),
    "a throttle lets everyone in": ("throttle", "if throttle.most == 0 then", "if true then"),
    "a claim that was lost stays on the books": (
        "delete", "and not goes_on then", "and false then",
    ),
}  # fmt: skip
"""Of a world with one fault: what a script has there, and what it has instead."""


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Rescuers tell of each process that has died."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def walk(name: str, faults: int) -> Walk:
    return Explorer(WORLDS[name], faults).walk()


@pytest.mark.parametrize("name", WORLDS)
def test_every_promise_is_kept_in_every_order_of_steps(name: str) -> None:
    found = walk(name, faults=0)
    assert found.violation is None, found.violation.path
    assert found.ends > 0


@pytest.mark.parametrize("name", WITH_A_FAULT)
def test_every_promise_is_kept_wherever_one_thing_goes_wrong(name: str) -> None:
    found = walk(name, faults=1)
    assert found.violation is None, found.violation.path
    assert found.states > 250


def test_a_walk_is_the_same_each_time() -> None:
    one, other = walk("retry", faults=1), walk("retry", faults=1)
    assert (one.states, one.transitions, one.deepest) == (
        other.states,
        other.transitions,
        other.deepest,
    )


@pytest.fixture
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The world in which scripts are other ones than those that are shipped."""
    name, right, wrong = BREAKS[request.param]
    sound = scripts.source
    assert any(right in sound(script) for script in scripts.names())
    monkeypatch.setattr(scripts, "source", lambda script: sound(script).replace(right, wrong))
    monkeypatch.setattr(scripts, "digest", lambda script: scripts._sha(scripts.source(script)))
    return name


@pytest.mark.parametrize("broken", BREAKS, indirect=True)
def test_an_engine_that_is_broken_is_found_out_with_the_way_that_leads_there(broken: str) -> None:
    found = walk(broken, faults=1)
    assert found.violation is not None
    assert found.violation.path


@pytest.mark.parametrize("piece", ["give_back", "_bury", "_rouse_one", "_look_for_one"])
def test_a_rescuer_that_leaves_a_piece_of_its_work_is_found_out(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rescuer, piece, lambda *_args, **_options: None)
    found = walk("retry", faults=1)
    assert str(found.violation) in (NOTHING_GOES_ON, NO_WAY_OUT)


def test_figures_are_told_of_a_sound_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--world", "join", "--faults", "0"]) == 0
    heads, figures = capsys.readouterr().out.splitlines()
    assert heads.split()[:4] == ["world", "faults", "states", "transitions"]
    assert figures.split()[:2] == ["join", "0"]


@pytest.mark.parametrize("broken", ["a worker that was fenced commits"], indirect=True)
def test_the_shortest_way_to_what_is_wrong_is_told(
    broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--world", broken, "--faults", "1"]) == 1
    printed = capsys.readouterr().out
    assert "violation: who ended attempt" in printed
    assert "    1 take" in printed


def test_worlds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(WORLDS)
