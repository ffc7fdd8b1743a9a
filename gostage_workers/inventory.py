"""What a worker must load in order to know the actions and resources registered in this process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.conditions import conditions
from gostage_core.authoring.middleware import middlewares
from gostage_core.authoring.registry import registry
from gostage_core.errors import ConfigurationError
from gostage_core.naming import canonical_module
from gostage_workers.resources import resource_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAIN: Final = "__main__"
_OUR_OWN: Final = "gostage_core"
"""Every worker has loaded it."""


@dataclass(frozen=True)
class Inventory:
    """Modules to import by name, and a script to load as the module ``main_name``."""

    modules: tuple[str, ...]
    main_path: str | None = None
    main_name: str | None = None


def take_inventory(modules: Sequence[str] = ()) -> Inventory:
    """Return what a worker must load: *modules*, or whatever registered something here.

    The script that this process runs is a part of it in both cases, if it has registered any.

    Raises:
        ConfigurationError: something was registered where there is no file to load it from.
    """
    registered = _registered_modules()
    found = sorted(name for name in registered - {_MAIN} if not _is_our_own(name))
    names = tuple(modules) or tuple(found)
    if _MAIN not in registered:
        return Inventory(names)
    if (name := _name_that_was_run()) is not None:
        return Inventory((*names, name))
    if (path := _script_that_was_run()) is not None:
        return Inventory(names, path, canonical_module(_MAIN))
    if modules:
        return Inventory(names)
    raise ConfigurationError(
        "actions or resources were registered at a prompt, in a notebook or by a program read from "
        "stdin, and a worker has no file to load them from; move them to a module and import it, "
        "or name with modules=[…] what the workers shall import"
    )


def _registered_modules() -> set[str]:
    things = [
        *(registry.get(id) for id in registry.ids()),
        *(middlewares.get(id) for id in middlewares.ids()),
        *(conditions.get(id) for id in conditions.ids()),
        *(resource_registry.get(name) for name in resource_registry.ids()),
    ]
    return {thing.__module__ for thing in things}


def _is_our_own(module: str) -> bool:
    return module == _OUR_OWN or module.startswith(f"{_OUR_OWN}.")


def _name_that_was_run() -> str | None:
    """What followed ``-m``. A directory or an archive that is run has no name but ``__main__``."""
    spec = getattr(sys.modules[_MAIN], "__spec__", None)
    return None if spec is None or spec.name == _MAIN else str(spec.name)


def _script_that_was_run() -> str | None:
    file = getattr(sys.modules[_MAIN], "__file__", None)
    if file is None or canonical_module(_MAIN) == _MAIN:
        return None
    path = Path(file).absolute()
    return str(path) if path.is_file() else None
