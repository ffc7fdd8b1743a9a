"""The table of mutants fits the code and its tests, and mutants are found out."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

import pytest
from lupa.lua51 import LuaRuntime

from gostage_core.state import scripts
from tests.mutants.__main__ import main
from tests.mutants.copy import Copy, Outcome
from tests.mutants.mutants import MUTANTS, ROOT, Mutant

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = ("fence-by-state-alone", "delay-of-the-next-failure")
by_name = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@cache
def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def known_tests(path: str) -> set[str]:
    tree = ast.parse(text_of(path))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture(scope="module")
def load_lua() -> Callable[[str], object]:
    """Compile a text; the function, or ``None`` and the error."""
    return LuaRuntime().eval("function(text) return loadstring(text) end")  # type: ignore[no-any-return]


def test_there_are_many_mutants_of_either_language_and_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    caught = [mutant.file for mutant in MUTANTS if not mutant.equivalent]
    assert sum(file.endswith(".lua") for file in caught) >= 24
    assert sum(file.endswith(".py") for file in caught) >= 12


@by_name
def test_what_a_mutant_replaces_stands_in_its_file_once_and_what_it_puts_there_parses(
    mutant: Mutant, load_lua: Callable[[str], object]
) -> None:
    broken = mutant.applied(text_of(mutant.file))
    assert broken != text_of(mutant.file)
    if mutant.file.endswith(".py"):
        ast.parse(broken)
        return
    loaded = load_lua(broken)
    assert not isinstance(loaded, tuple), loaded


@by_name
def test_a_mutant_breaks_one_promise_and_names_tests_that_there_are(mutant: Mutant) -> None:
    assert mutant.breaks.endswith(".")
    assert mutant.tests
    for test in mutant.tests:
        path, separator, name = test.partition("::")
        assert not separator or name.partition("[")[0] in known_tests(path)


def test_no_mutant_is_of_what_no_operation_includes() -> None:
    included = "".join(map(scripts.source, scripts.names()))
    for mutant in MUTANTS:
        is_spelt_out = "K." in mutant.old or "call(" in mutant.old
        if mutant.file.endswith(".lua") and not is_spelt_out:
            assert mutant.old in included, mutant.name


def test_mutants_are_found_out_and_the_copy_is_whole_again_behind_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(QUICK) == 0
    printed = capsys.readouterr().out
    assert printed.count("caught by tests/") == len(QUICK)


def with_tests_that(monkeypatch: pytest.MonkeyPatch, broken: Outcome) -> None:
    """Have the tests of every mutant go like that; without any they pass."""
    sound = Outcome(True, (), False, 0, "")
    monkeypatch.setattr(Copy, "test", lambda *_, first=True, **__: broken if first else sound)
    monkeypatch.setattr(Copy, "is_imported", lambda _: True)


@pytest.mark.parametrize(
    ("broken", "status", "told"),
    [
        (Outcome(True, (), False, 0, ""), 1, "SURVIVED"),
        (Outcome(False, ("tests/t.py::t",), False, 0, ""), 0, "caught by tests/t.py::t"),
        (Outcome(False, (), True, 0, ""), 0, "caught: its tests hang for 60 s"),
        (Outcome(False, (), False, 0, "no such test"), 1, "its tests cannot be run:\nno such test"),
    ],
    ids=["none fails", "one fails", "they hang", "they cannot be run"],
)
def test_what_becomes_of_a_mutant_is_told_and_is_the_exit_status(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    broken: Outcome,
    status: int,
    told: str,
) -> None:
    with_tests_that(monkeypatch, broken)
    assert main(QUICK[:1]) == status
    assert told in capsys.readouterr().out


def test_what_is_called_equivalent_and_is_caught_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (name, *_) = (mutant.name for mutant in MUTANTS if mutant.equivalent)
    with_tests_that(monkeypatch, Outcome(True, (), False, 0, ""))
    assert main([name]) == 0
    assert "equivalent: " in capsys.readouterr().out
    with_tests_that(monkeypatch, Outcome(False, ("tests/t.py::t",), False, 0, ""))
    assert main([name]) == 1
    assert "NOT EQUIVALENT" in capsys.readouterr().out


def test_tests_that_fail_without_a_mutant_tell_nothing_of_any(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Outcome(False, ("tests/t.py::t",), False, 0, "1 failed")
    monkeypatch.setattr(Copy, "test", lambda *_, **__: failing)
    assert main(QUICK[:1]) == 1
    assert "the tests fail without any mutant:\n1 failed" in capsys.readouterr().out


def test_what_does_not_stand_there_once_is_an_error() -> None:
    missing = Mutant("m", "README.md", "\n", "", "Nothing.", ("tests/test_documents.py",))
    with pytest.raises(ValueError, match=r"m: its old text stands \d+ times in README.md"):
        missing.applied(text_of("README.md"))


def test_all_of_them_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(MUTANTS)
