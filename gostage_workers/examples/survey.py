"""Surveys the Python standard library of this machine; the plan grows with what it finds.

Stage ``discover`` finds the packages and adds a stage with one analysing action for each, side by
side. Stage ``report`` reduces what they found to a table.
"""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from gostage_core import Action, ActionContext, Key, Stage, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_OUT: Final = frozenset({"test", "tests", "idle_test", "site-packages", "__pycache__"})
"""The library's own tests are larger than all the rest together."""

_TELL_EVERY: Final = 8
"""Files between two reports of progress."""


class PackageSurvey(BaseModel):
    """What one package, or several together, consist of."""

    package: str
    files: int = 0
    lines: int = 0
    functions: int = 0
    documentable: int = 0
    """Functions, classes and modules: what may have a docstring."""
    documented: int = 0
    """How many of these have one."""
    unreadable: int = 0
    """Files that are no Python of this version."""

    @property
    def coverage(self) -> float:
        """Which part of what may have a docstring has one."""
        return self.documented / self.documentable if self.documentable else 1.0

    def read(self, file: Path) -> None:
        """Add what is in *file*."""
        self.files += 1
        try:
            text = file.read_text(encoding="utf-8")
            tree = ast.parse(text)
        except (OSError, SyntaxError, ValueError):
            self.unreadable += 1
            return
        self.lines += text.count("\n")
        for node in ast.walk(tree):
            self._count(node)

    def _count(self, node: ast.AST) -> None:
        self.functions += isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            self.documentable += 1
            self.documented += ast.get_docstring(node, clean=False) is not None


SURVEYS = Key("surveys", list[PackageSurvey])
PACKAGES = Key("packages", int)
REPORT = Key("report", str)


class FindPackages(Action):
    """Finds the packages, and adds one analysing action for each to the plan."""

    root: str = ""

    def execute(self, ctx: ActionContext) -> None:
        """Look into the library's folder."""
        root = Path(self.root or sysconfig.get_path("stdlib"))
        packages = [path.parent for path in root.glob("*/__init__.py")]
        chosen = [path for path in packages if path.name not in LEFT_OUT]
        # The largest first, or one worker would be left with it at the end.
        chosen.sort(key=lambda path: (-len(python_files(path)), path.name))
        analyses = [Analyse(path=str(path)).options(name=path.name) for path in chosen]
        ctx.add_stage(Stage("analyse", analyses, name="Analyse", parallel=True))
        ctx.store[PACKAGES] = len(chosen)


class Analyse(Action):
    """Counts files, lines, functions and docstrings of one package."""

    path: str

    def execute(self, ctx: ActionContext) -> None:
        """Read every file of the package."""
        root = Path(self.path)
        files = python_files(root)
        survey = PackageSurvey(package=root.name)
        for number, file in enumerate(files, start=1):
            survey.read(file)
            if number % _TELL_EVERY == 0:
                ctx.progress(number / len(files), f"{number} of {len(files)} files")
        ctx.store.append(SURVEYS, survey)


class Report(Action):
    """Reduces the surveys to a table, in the store and in a file."""

    output: str = ""

    def execute(self, ctx: ActionContext) -> None:
        """Write the table."""
        surveys = ctx.store.get(SURVEYS, default=[])
        table = "\n".join(markdown(surveys)) + "\n"
        ctx.store[REPORT] = table
        if self.output:
            Path(self.output).write_text(table, encoding="utf-8")


def python_files(root: Path) -> list[Path]:
    """Return the files of a package, without its tests."""
    return [
        file
        for file in sorted(root.rglob("*.py"))
        if LEFT_OUT.isdisjoint(file.relative_to(root).parts)
    ]


def markdown(surveys: list[PackageSurvey]) -> Iterator[str]:
    """Yield the lines of the table, the largest package first."""
    yield "| package | files | lines | functions | documented |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for one in sorted(surveys, key=lambda survey: (-survey.lines, survey.package)):
        yield _row(one)
    yield _row(total(surveys), "**")


def total(surveys: list[PackageSurvey]) -> PackageSurvey:
    """Return all *surveys* as one."""
    return PackageSurvey(
        package="all",
        files=sum(one.files for one in surveys),
        lines=sum(one.lines for one in surveys),
        functions=sum(one.functions for one in surveys),
        documentable=sum(one.documentable for one in surveys),
        documented=sum(one.documented for one in surveys),
        unreadable=sum(one.unreadable for one in surveys),
    )


def survey_workflow(output: str = "", root: str = "") -> Workflow:
    """Return the workflow.

    Args:
        output: a file that the report goes to as well.
        root: the folder to survey; by default the standard library.
    """
    workflow = Workflow("stdlib-survey", name="Survey of the standard library")
    workflow.add_stage("discover", name="Discover").add(FindPackages(root=root))
    workflow.add_stage("report", name="Report").add(Report(output=output))
    return workflow


def _row(one: PackageSurvey, mark: str = "") -> str:
    cells = (one.package, one.files, f"{one.lines:,}", f"{one.functions:,}", f"{one.coverage:.0%}")
    return "| " + " | ".join(f"{mark}{cell}{mark}" for cell in cells) + " |"


workflow = survey_workflow()
