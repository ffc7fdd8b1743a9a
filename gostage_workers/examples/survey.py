"""Surveys the Python standard library of this machine; the plan grows with what it finds.

Stage ``discover`` finds the packages and adds a stage of one analysing action for each, side by
side. Stage ``report`` reduces what they found to a table.
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator  # noqa: TC003 - pydantic reads annotations at run time
from pathlib import Path

from pydantic import BaseModel

from gostage_core import Action, ActionContext, Key, Stage, Workflow

LEFT_OUT = frozenset({"test", "site-packages", "__pycache__"})
"""The library's own tests are larger than all the rest together."""


class PackageSurvey(BaseModel):
    """What one package consists of."""

    package: str
    files: int = 0
    lines: int = 0
    functions: int = 0
    documented: int = 0
    """How many of its functions, classes and modules have a docstring, of ``documentable``."""
    documentable: int = 0
    unreadable: int = 0

    @property
    def coverage(self) -> float:
        """Return which part of what could have a docstring has one."""
        return self.documented / self.documentable if self.documentable else 1.0


SURVEYS = Key("surveys", list[PackageSurvey])


class FindPackages(Action):
    """Finds the packages, and adds one analysing action for each to the plan."""

    root: str = ""

    def execute(self, ctx: ActionContext) -> None:
        """Look into the library's folder."""
        root = Path(self.root or sysconfig.get_path("stdlib"))
        packages = sorted(path.parent for path in root.glob("*/__init__.py"))
        chosen = [path for path in packages if path.name not in LEFT_OUT]
        analyses = [Analyse(path=str(path)).options(name=path.name) for path in chosen]
        ctx.add_stage(Stage("analyse", analyses, name="Analyse", parallel=True))
        ctx.store["packages"] = len(chosen)


class Analyse(Action):
    """Counts files, lines, functions and docstrings of one package."""

    path: str

    def execute(self, ctx: ActionContext) -> None:
        """Read every file of the package."""
        root = Path(self.path)
        survey = PackageSurvey(package=root.name)
        for file in sorted(root.rglob("*.py")):
            if "test" not in file.relative_to(root).parts:
                count(file, survey)
        ctx.store.append(SURVEYS, survey)


class Report(Action):
    """Reduces the surveys to a table, in the store and in a file."""

    output: str = ""

    def execute(self, ctx: ActionContext) -> None:
        """Write the table."""
        surveys = ctx.store.get(SURVEYS, default=[])
        table = "\n".join(markdown(surveys)) + "\n"
        ctx.store["report"] = table
        if self.output:
            Path(self.output).write_text(table, encoding="utf-8")


def count(file: Path, survey: PackageSurvey) -> None:
    """Add one file to *survey*."""
    survey.files += 1
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        survey.unreadable += 1
        return
    survey.lines += text.count("\n")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            survey.functions += 1
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            survey.documentable += 1
            survey.documented += ast.get_docstring(node, clean=False) is not None


def markdown(surveys: list[PackageSurvey]) -> Iterator[str]:
    """Yield the lines of the table, the largest package first."""
    yield "| package | files | lines | functions | docstrings |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for one in sorted(surveys, key=lambda survey: -survey.lines):
        yield f"| {one.package} | {one.files} | {one.lines:,} | {one.functions:,} | {one.coverage:.0%} |"
    total = PackageSurvey(
        package="all",
        **{
            name: sum(getattr(one, name) for one in surveys)
            for name in ("files", "lines", "functions", "documented", "documentable")
        },
    )
    yield (
        f"| **{total.package}** | {total.files} | {total.lines:,} | {total.functions:,} "
        f"| {total.coverage:.0%} |"
    )


def survey_workflow(output: str = "", root: str = "") -> Workflow:
    """Return the workflow; the report goes to the file *output* as well, if that is given."""
    workflow = Workflow("stdlib-survey", name="Survey of the standard library")
    workflow.add_stage("discover", name="Discover").add(FindPackages(root=root))
    workflow.add_stage("report", name="Report").add(Report(output=output))
    return workflow


workflow = survey_workflow()
