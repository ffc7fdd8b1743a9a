"""Why a value cannot be stored: where it is, of what type, and what to do instead."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from typing import Final

from gostage_core.errors import NotStorableError
from gostage_core.values.handles import handle_of

DEEPEST: Final = 100
"""Levels of lists, dicts, models and the like inside each other that a value may have."""

_SHOWN_STEPS: Final = 10
_SHOWN_KEY: Final = 40

_INSTEAD: Final[tuple[tuple[type, str], ...]] = (
    (OrderedDict, "store dict(value), which keeps the order too"),
    (defaultdict, "store dict(value); the factory of missing values cannot be kept"),
    (Counter, "store dict(value)"),
    (deque, "store list(value)"),
    (range, "store list(value)"),
    (bytearray, "store bytes(value)"),
    (memoryview, "store bytes(value)"),
    (complex, "store the tuple (value.real, value.imag)"),
    (type, "store its name, or an instance of it"),
)

_BUILTINS: Final = (str, int, float, bytes, list, dict, set, frozenset, tuple)


class RefusedError(Exception):
    """One value inside the one that was given cannot be stored; never leaves the codec."""

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(reason)
        self.type = type(value)
        self.reason = reason
        self.steps: list[str] = []
        self.owners: list[object] = []

    def passed(self, step: str, owner: object) -> None:
        """Note on the way out that the value was found in *owner*, at *step*."""
        self.steps.append(step)
        self.owners.append(owner)


def too_deep(value: object) -> RefusedError:
    """Refuse a value inside more than :data:`DEEPEST` others."""
    return RefusedError(value, f"it is nested deeper than {DEEPEST} levels")


def foreign(value: object) -> RefusedError:
    """Refuse a value of a type that the store does not hold."""
    cls = type(value)  # never isinstance(): a proxy's __class__ may be anything, or raise
    if (what := handle_of(cls)) is not None:
        return RefusedError(
            value,
            f"{what} belongs on the worker, not in the store; make it a resource there, with "
            f"@resource, use it as ctx.resources.<name>, and store what it is made from",
        )
    for kind, advice in _INSTEAD:
        if issubclass(cls, kind):
            return RefusedError(value, advice)
    for kind in _BUILTINS:
        if issubclass(cls, kind):
            name = kind.__name__
            return RefusedError(
                value, f"it would come back as a plain {name}; store {name}(value) if that is meant"
            )
    return RefusedError(
        value,
        "the store holds JSON's types, dates, Decimal, UUID, bytes, tuples, sets, and instances "
        "of pydantic models, dataclasses, Enums and NamedTuples",
    )


def not_storable(refused: RefusedError) -> NotStorableError:
    """Return the error for the user, with the path to the refused value."""
    steps = refused.steps[::-1]
    reason = refused.reason
    owners = [id(owner) for owner in refused.owners]
    if len(set(owners)) < len(owners):
        reason = "it contains itself"
    if len(steps) > _SHOWN_STEPS:
        steps = [*steps[:_SHOWN_STEPS], "…"]
    return NotStorableError(
        f"cannot store value{''.join(steps)} of type {type_name(refused.type)}: {reason}"
    )


def no_stack_left() -> NotStorableError:
    """Return the error for a value that is not too deep, but too deep here."""
    return NotStorableError(
        "cannot store the value: it is nested too deeply for what is left of Python's stack"
    )


def type_name(cls: type) -> str:
    """Return the name of a class as a traceback writes it."""
    module = getattr(cls, "__module__", "builtins")
    return cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}"


def key_step(key: object, index: int) -> str:
    """Return the step of a path into a dict; only text and numbers are shown."""
    if type(key) is str:
        shown = key if len(key) <= _SHOWN_KEY else f"{key[:_SHOWN_KEY]}…"
        return f"[{shown!r}]"
    if type(key) is int and abs(key) < 1 << 63:
        return f"[{key}]"
    return f"[key {index + 1} of type {type_name(type(key))}]"
