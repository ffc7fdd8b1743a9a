"""Names: how a class or a function is called in stored data, and what a store key may be called."""

from __future__ import annotations

import re
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from gostage_core.errors import InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_NAME: Final = 200
"""Characters in the longest name that a key may have."""

RESERVED_PREFIX: Final = "__"
"""Names that begin so are the engine's own."""

# multiprocessing's spawn method imports the parent's script a second time, under the second name.
_MAIN_MODULES: Final = frozenset({"__main__", "__mp_main__"})
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def canonical_module(module: str) -> str:
    """Return the name under which other processes import *module*.

    A script's ``__main__`` becomes the module that was run with ``-m`` (``pkg.__main__`` for a
    package), else the stem of its file.
    Where there is no file to import (a notebook, the prompt) it stays ``__main__``.
    """
    if module not in _MAIN_MODULES:
        return module
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    name = spec.name if spec is not None else "__main__"
    if name != "__main__":
        return str(name)
    file = getattr(main, "__file__", None)
    return PurePath(file).stem if file else "__main__"


def qualified_name(obj: type | Callable[..., object]) -> str:
    """Return ``module:qualname`` of a class or a function, the same in every process."""
    return f"{canonical_module(obj.__module__)}:{obj.__qualname__}"


def check_name(name: str) -> str:
    """Return *name* as a plain ``str``, if a key of the store may be called so.

    Raises:
        InvalidKeyError: not text, empty, longer than 200 characters, with control characters or
            lone surrogates, or beginning with ``__``, which is reserved.
    """
    fault = fault_of(name)
    if fault is not None:
        raise InvalidKeyError(f"not a name for a key: {fault}")
    return name if type(name) is str else str.__str__(name)


def fault_of(name: object, *, longest: int = LONGEST_NAME) -> str | None:
    """Say why nothing may be called *name*, or return ``None``."""
    if not isinstance(name, str):
        return f"a name is text, not {type(name).__name__}"
    if not name:
        return "it is empty"
    if len(name) > longest:
        return f"it has {len(name):,} characters, and {longest} are allowed"
    if _FORBIDDEN.search(name):
        return f"{str.__str__(name)!a} has a control character or half of a surrogate pair"
    if name.startswith(RESERVED_PREFIX):
        return f"{str.__str__(name)!r} begins with {RESERVED_PREFIX!r}, which is reserved"
    return None
