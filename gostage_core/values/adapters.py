"""Pydantic's validators, one for each type that was asked for, and their errors as one line."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from gostage_core.errors import DefinitionError

# Every Decimal and every class that can be stored can be asked for, whatever holds it.
_CONFIG: Final = ConfigDict(allow_inf_nan=True, arbitrary_types_allowed=True)
_SHOWN_ERRORS: Final = 3
_SHOWN_CHARACTERS: Final = 300


def adapter(type_: object) -> TypeAdapter[Any]:
    """Return the validator of any type form.

    Raises:
        DefinitionError: pydantic cannot validate this type.
    """
    try:
        return _cached(type_)
    except TypeError:  # metadata that cannot be hashed, in an Annotated
        return _made(type_)


def reason_of(error: Exception) -> str:
    """Say in one line what *error* complains of, without the values it is about."""
    if isinstance(error, ValidationError):
        return _faults(error)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception's __str__ is the user's code
        text = ""
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _faults(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    lines = []
    for fault in found[:_SHOWN_ERRORS]:
        place = ".".join(map(str, fault["loc"]))
        lines.append(f"{place}: {fault['msg']}" if place else fault["msg"])
    if len(found) > _SHOWN_ERRORS:
        lines.append(f"and {len(found) - _SHOWN_ERRORS} more")
    return "; ".join(lines)


def _made(type_: object) -> TypeAdapter[Any]:
    try:
        made = _configured(type_)
        if not made.pydantic_complete:
            made.rebuild()
    except Exception as error:  # pydantic has no one error for types that it cannot take
        raise DefinitionError(f"cannot read as {type_}: {reason_of(error)}") from error
    return made


_cached = lru_cache(maxsize=1024)(_made)


def _configured(type_: object) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(cast("Any", type_), config=_CONFIG)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
    return TypeAdapter(cast("Any", type_))
