"""Classes with named fields: take an instance apart into its fields, and build it from them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, RootModel, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

from gostage_core.values.adapters import adapter, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

Kind = Literal["enum", "data", "model", "named"]
"""What a storable class is; also the tag of its values in stored data."""

# A dataclass that is one of these too has content beyond its fields.
_CONTENT: Final = (str, bytes, int, float, complex, list, dict, set, frozenset, tuple)


class MisfitError(Exception):
    """Fields and a class do not go together; never leaves the codec."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def kind_of(cls: type) -> Kind | None:
    """Return what kind of storable class *cls* is, or ``None`` if it is none."""
    if issubclass(cls, Enum):
        return "enum" if cls.__members__ else None
    if issubclass(cls, BaseModel):
        return None if cls in (BaseModel, RootModel) else "model"
    if dataclasses.is_dataclass(cls):
        return None if issubclass(cls, _CONTENT) else "data"
    if issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return "named"
    return None


def fields_of(value: object) -> dict[str, object]:
    """Return the fields of an instance of a storable class, by name.

    Raises:
        MisfitError: an instance could not be built from these fields.
    """
    if isinstance(value, BaseModel):
        return _model_fields(value)
    if isinstance(value, tuple):
        return dict(zip(typing.cast("Any", value)._fields, value, strict=True))
    return _dataclass_fields(value)


def build(cls: type, fields: Mapping[str, object], strictly: Set[str] = frozenset()) -> object:
    """Build an instance of *cls* by its own rules: a model's validation, or the constructor.

    Args:
        cls: a storable class.
        fields: its fields by name, never by alias; unknown ones follow the class's own rule.
        strictly: fields whose values must be of the annotated type as they are.

    Raises:
        MisfitError: the fields are refused; says which, and why.
    """
    if issubclass(cls, Enum):
        raise MisfitError("it has members, not fields")
    try:
        if issubclass(cls, BaseModel):
            return _build_model(cls, fields, strictly)
        _check_annotated(cls, fields, strictly)
        if issubclass(cls, tuple):
            return cls(**{name: fields[name] for name in field_names(cls) if name in fields})
        return _build_dataclass(cls, fields)
    except MisfitError:
        raise
    except Exception as error:  # validators and constructors are the user's code
        raise MisfitError(reason_of(error)) from error


def field_names(cls: type) -> tuple[str, ...]:
    """Return the names of the fields of a storable class; an Enum has none."""
    if issubclass(cls, Enum):
        return ()
    if issubclass(cls, BaseModel):
        return tuple(cls.model_fields)
    if issubclass(cls, tuple):
        return tuple(typing.cast("Any", cls)._fields)
    return tuple(field.name for field in dataclasses.fields(typing.cast("Any", cls)))


def allows_field(cls: type, name: str) -> bool:
    """Whether an instance of *cls* may have a field of this name."""
    if name in field_names(cls):
        return True
    return issubclass(cls, BaseModel) and cls.model_config.get("extra") == "allow"


def annotations_of(cls: type) -> Mapping[str, object]:
    """Return the annotations of a class's fields; empty while they cannot be resolved."""
    try:
        return _resolved(cls)
    except Exception:  # noqa: BLE001 - a forward reference is evaluated, and may do anything
        return {}


@lru_cache(maxsize=1024)
def _resolved(cls: type) -> Mapping[str, object]:
    if not issubclass(cls, BaseModel):
        return typing.get_type_hints(cls, include_extras=True)
    if not cls.__pydantic_complete__:
        raise NameError(cls.__qualname__)
    return {name: field.annotation for name, field in cls.model_fields.items()}


def _model_fields(value: BaseModel) -> dict[str, object]:
    held = value.__dict__
    missing = [name for name in type(value).model_fields if name not in held]
    if missing:
        raise MisfitError(f"its field {missing[0]!r} was never set")
    fields = {name: held[name] for name in type(value).model_fields}
    return fields | (value.__pydantic_extra__ or {})


def _dataclass_fields(value: object) -> dict[str, object]:
    cls: type = type(value)
    unfillable = _unfillable(cls)
    if unfillable:
        raise MisfitError(f"its constructor and its fields disagree about {unfillable!r}")
    fields: dict[str, object] = {}
    for field in dataclasses.fields(typing.cast("Any", value)):
        if hasattr(value, field.name):
            fields[field.name] = getattr(value, field.name)
        elif field.init:
            raise MisfitError(f"its field {field.name!r} was never set")
    return fields


@lru_cache(maxsize=1024)
def _unfillable(cls: type) -> str | None:
    """Return a parameter that no field fills, or a field that no parameter takes."""
    if is_pydantic_dataclass(cls):
        return None  # it is built by name through its validator; its signature has the aliases
    given = {field.name for field in dataclasses.fields(typing.cast("Any", cls)) if field.init}
    parameters = inspect.signature(cls).parameters
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            return None
        optional = parameter.kind is parameter.VAR_POSITIONAL
        if name not in given and parameter.default is parameter.empty and not optional:
            return name
    return min(given - set(parameters), default=None)


def _build_model(
    cls: type[BaseModel], fields: Mapping[str, object], strictly: Set[str]
) -> BaseModel:
    if strictly:
        try:
            return _validated(cls, fields, strict=True)
        except ValidationError as error:
            # What other fields hold was accepted by the model's own, laxer rules.
            if not {loc[0] if loc else "" for loc in _places(error)}.isdisjoint({"", *strictly}):
                raise
    try:
        return _validated(cls, fields)
    except ValidationError as error:
        kept = _without_odd_defaults(cls, fields, error)
        if len(kept) == len(fields):
            raise
        return _validated(cls, kept)


def _validated(
    cls: type[BaseModel], fields: Mapping[str, object], *, strict: bool | None = None
) -> BaseModel:
    data = fields["root"] if issubclass(cls, RootModel) else fields
    return cls.model_validate(data, strict=strict, by_name=True, by_alias=False)


def _without_odd_defaults(
    cls: type[BaseModel], fields: Mapping[str, object], error: ValidationError
) -> Mapping[str, object]:
    """Leave out what equals a default that its own annotation refuses (``name: str = None``).

    Pydantic does not validate defaults, so such a value was never refused before.
    """
    odd = set()
    for place in _places(error):
        name = str(place[0]) if place else ""
        field = cls.model_fields.get(name)
        value = fields.get(name)
        if field is None or type(field.default) is not type(value) or field.default != value:
            return fields
        odd.add(name)
    return {name: value for name, value in fields.items() if name not in odd}


def _places(error: ValidationError) -> list[tuple[int | str, ...]]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [detail["loc"] for detail in found]


def _build_dataclass(cls: type, fields: Mapping[str, object]) -> object:
    declared = dataclasses.fields(typing.cast("Any", cls))
    given = {f.name: fields[f.name] for f in declared if f.init and f.name in fields}
    if is_pydantic_dataclass(cls):
        value = adapter(cls).validate_python(given, by_name=True, by_alias=False)
    else:
        value = cls(**given)
    for field in declared:
        if not field.init and field.name in fields:
            object.__setattr__(value, field.name, fields[field.name])
    return value


def _check_annotated(cls: type, fields: Mapping[str, object], names: Set[str]) -> None:
    """Hold the named fields to their annotations, which a plain constructor would not."""
    known = annotations_of(cls)
    for name in names & known.keys():
        try:
            adapter(known[name]).validate_python(fields[name], strict=True)
        except ValidationError as error:
            raise MisfitError(f"{name}: {reason_of(error)}") from error
