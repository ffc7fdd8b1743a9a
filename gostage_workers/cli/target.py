"""Finds the workflow that a command is given: ``package.module:workflow``, or a file."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from gostage_core.authoring.workflow import Workflow

_FILES = (".yaml", ".yml", ".json")


def workflow_of(target: str, modules: tuple[str, ...] = ()) -> Workflow:
    """Return the workflow called *target*.

    Raises:
        click.UsageError: nothing of that name.
        InvalidWorkflowError: the file does not hold a workflow.
    """
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for module in modules:
        _module(module)
    if target.endswith(_FILES):
        return _from_file(Path(target))
    module, colon, name = target.partition(":")
    if not colon:
        raise click.UsageError(f"{target!r} is neither package.module:workflow nor a YAML or JSON file")
    return _from_module(module, name)


def _from_file(path: Path) -> Workflow:
    if not path.is_file():
        raise click.UsageError(f"no file {str(path)!r}")
    if path.suffix == ".json":
        return Workflow.from_json(path.read_text(encoding="utf-8"))
    return Workflow.from_yaml(path)


def _from_module(module: str, name: str) -> Workflow:
    found: object = _module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise click.UsageError(f"module {module!r} has no {name!r}")
        found = getattr(found, part)
    if callable(found) and not isinstance(found, Workflow):
        found = found()
    if not isinstance(found, Workflow):
        raise click.UsageError(f"{module}:{name} is a {type(found).__name__}, not a Workflow")
    return found


def _module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise click.UsageError(f"module {name!r} cannot be imported: {error}") from error
