"""Finds the workflow that a command is given: ``package.module:workflow``, or a file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.document_file import SUFFIXES
from gostage_core.authoring.workflow import Workflow
from gostage_core.errors import DefinitionError, UnknownActionError
from gostage_workers.cli.statuses import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HOW_TO_IMPORT: Final = "name the module that defines it with --module, or in GOSTAGE_MODULES"


def workflow_of(target: str) -> Workflow:
    """Return the workflow called *target*.

    Raises:
        InputError: nothing of that name, or no workflow; the message names the place.
    """
    if is_file(target):
        return _from_file(Path(target))
    module, colon, name = target.partition(":")
    if not colon or not module or not name:
        raise InputError(_no_target(target))
    return _from_module(module, name)


def is_file(target: str) -> bool:
    """Tell whether *target* is called as workflows' files are."""
    return Path(target).suffix.lower() in SUFFIXES


def names_a_module(target: str) -> bool:
    """Tell whether *target* is ``package.module:workflow``, of a module that can be found here."""
    module, colon, name = target.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        return False
    _look_here()
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
    except Exception:  # noqa: BLE001 - a package on the way is the user's code, may raise anything
        return True


def import_modules(modules: Iterable[str]) -> None:
    """Import *modules*, which may lie in the current directory, for the actions in them.

    Raises:
        InputError: one cannot be imported; the message names the place in it.
    """
    for module in modules:
        _module(module)


def workflows_in(module: str) -> list[str]:
    """Return what names the workflows have in *module*, which has been imported."""
    return [name for name, one in vars(sys.modules[module]).items() if isinstance(one, Workflow)]


def _from_file(path: Path) -> Workflow:
    try:
        return Workflow.from_file(path)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from None
    except DefinitionError as error:
        hint = f"\n{_HOW_TO_IMPORT}" if isinstance(error, UnknownActionError) else ""
        raise InputError(f"{error}{hint}") from None


def _from_module(module: str, name: str) -> Workflow:
    found: object = _module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise InputError(f"module {module!r} has no {name!r}{_choice(module)}")
        found = getattr(found, part)
    if inspect.isroutine(found):
        found = _guarded(found, f"{module}:{name} cannot be called for a workflow")
    if not isinstance(found, Workflow):
        kind = "a class" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise InputError(f"{module}:{name} is {kind}, not a Workflow{_choice(module)}")
    return found


def _module(name: str) -> object:
    _look_here()
    return _guarded(lambda: importlib.import_module(name), f"module {name!r} cannot be imported")


def _look_here() -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def _guarded(call: Callable[[], object], what: str) -> object:
    """Call the user's code; whatever it raises is a message that names the place in it."""
    try:
        return call()
    except Exception as error:
        raise InputError(f"{what}: {type(error).__name__}: {error}{_place(error)}") from error
    except SystemExit as error:
        raise InputError(f"{what}: it ends the process (exit status {error.code})") from error


def _place(error: Exception) -> str:
    """Return the last line of the user's own code on the way to *error*."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and frame.filename not in (__file__, importlib.__file__)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _no_target(target: str) -> str:
    path = Path(target)
    if path.suffix == ".py":
        return f"{target!r} is a Python file; name what is in it, as {path.stem}:workflow"
    return f"{target!r} is neither package.module:workflow nor a file in .yaml, .yml or .json"


def _choice(module: str) -> str:
    names = workflows_in(module)
    return f"; its workflows are {', '.join(names)}" if names else ""
