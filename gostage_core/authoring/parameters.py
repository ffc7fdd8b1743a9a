"""Parameters, the fields of a model, as JSON; checked to come back as they went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import from_json, to_json

from gostage_core.authoring.json_tree import check_depth
from gostage_core.authoring.problems import listing, problem_lines, reason
from gostage_core.authoring.secret_parameters import MASK, revealed, tagged
from gostage_core.errors import InvalidActionError
from gostage_core.sealing.marks import UNSHOWN

_SECRET: Final = UNSHOWN.encode()
_MASK: Final = MASK.encode()

ModelT = TypeVar("ModelT", bound=BaseModel)


def parameters_of(model: BaseModel) -> dict[str, JsonValue]:
    """Return the parameters of *model* as JSON values, the same in every process.

    Raises:
        InvalidActionError: they cannot be written as JSON, or a worker would read something else.
    """
    tree, problems = _tree(model, as_declared=True)
    if problems:
        # A subclass where a base is declared loses its own fields, unless written as what it is.
        tree, problems = _tree(model, as_declared=False)
    if problems:
        raise InvalidActionError(listing(problems))
    try:
        check_depth(tree)
    except ValueError as error:
        raise InvalidActionError(f"{type(model).__name__}: {error}") from None
    return {name: _ordered(getattr(model, name), value) for name, value in tree.items()}


def model_from(cls: type[ModelT], params: object, place: str = "") -> ModelT:
    """Return an instance of *cls* with *params*, which are JSON values.

    Raises:
        InvalidActionError: they do not fit; each line begins with *place*, or the class's name.
    """
    owner = place or cls.__name__
    try:
        text = to_json(params, bytes_mode="base64", inf_nan_mode="strings")
        if _SECRET in text and not getattr(cls, "__keeps_secrets__", False):
            text = to_json(revealed(params))
        return _read(cls, text)
    except ValidationError as error:
        raise InvalidActionError(listing(parameter_problems(cls, error, owner))) from error
    except InvalidActionError:
        raise
    except Exception as error:  # a validator is user code and may raise anything
        raise InvalidActionError(f"{owner}: {reason(error)}") from error


def parameter_problems(cls: type[BaseModel], error: ValidationError, owner: str) -> list[str]:
    """Return what *error* says of the parameters of *cls*, a line each."""
    known = {"": cls.model_fields.keys()}
    return problem_lines(error, f"{owner}.", known=known, noun="parameter")


def _tree(model: BaseModel, *, as_declared: bool) -> tuple[dict[str, JsonValue], list[str]]:
    """Return the parameters as JSON values, and what a worker would read otherwise."""
    text = _written(model, as_declared=as_declared)
    tree: dict[str, JsonValue] = from_json(text)
    if _MASK in text:
        tree = {name: tagged(getattr(model, name), part) for name, part in tree.items()}
        text = to_json(revealed(tree))
    return tree, _problems(model, text)


def _read(cls: type[ModelT], text: bytes) -> ModelT:
    return cls.model_validate_json(text, by_alias=True, by_name=True)


def _written(model: BaseModel, *, as_declared: bool) -> bytes:
    try:
        text = model.model_dump_json(
            by_alias=False, round_trip=True, warnings=False, serialize_as_any=not as_declared
        )
        return text.encode()
    except Exception as error:  # a serializer is user code and may raise anything
        owner = type(model).__name__
        raise InvalidActionError(
            f"{owner}: the parameters cannot be written as JSON: {reason(error)}"
        ) from error


def _problems(model: BaseModel, text: bytes) -> list[str]:
    owner = type(model).__name__
    try:
        read = _read(type(model), text)
    except ValidationError as error:
        lines = parameter_problems(type(model), error, owner)
        return [f"{line} (when read back from JSON)" for line in lines]
    except Exception as error:  # noqa: BLE001 - a validator is user code, may raise anything
        return [f"{owner}: {reason(error)} (when read back from JSON)"]
    return [
        f"{owner}.{name}: would reach the worker changed; annotate it with what exactly it holds"
        for name in type(model).model_fields
        if not _kept(getattr(model, name), getattr(read, name))
    ]


def _kept(given: Any, read: Any) -> bool:
    """Tell whether *read* is what was *given*: alike at every depth, and equal in the leaves."""
    if isinstance(read, BaseModel):
        return isinstance(given, type(read)) and _all_kept(_content(given), _content(read))
    if isinstance(given, list | tuple) and isinstance(read, list | tuple):
        return len(given) == len(read) and all(map(_kept, given, read))
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        return _all_kept(given, read)
    if {type(given), type(read)} == {int, float}:  # a default that pydantic did not look at
        return _equal(given, read)
    if type(given) is not type(read):
        return False
    if is_dataclass(read):
        names = [field.name for field in fields(read)]
        return all(_kept(getattr(given, name), getattr(read, name)) for name in names)
    return _equal(given, read) or _compared_by(given) is object.__eq__


def _all_kept(given: Mapping[Any, Any], read: Mapping[Any, Any]) -> bool:
    return len(given) == len(read) and all(
        key in read and _kept(value, read[key]) for key, value in given.items()
    )


def _content(model: BaseModel) -> dict[str, Any]:
    return {
        **{name: getattr(model, name) for name in type(model).model_fields},
        **(model.model_extra or {}),
    }


def _compared_by(value: Any) -> object:
    return type(value).__eq__


def _equal(given: Any, read: Any) -> bool:
    try:
        # NaN differs from itself.
        return bool(given == read) or bool(given != given and read != read)
    except Exception:  # noqa: BLE001 - __eq__ is user code and may raise anything
        return False


def _ordered(value: Any, tree: JsonValue) -> JsonValue:
    """Return *tree* with what was a set in *value* sorted: its order differs between processes.

    Where a serializer made something of another form, its word stands.
    """
    if isinstance(tree, list) and isinstance(value, list | tuple | set | frozenset):
        if len(tree) != len(value):
            return tree
        parts = list(map(_ordered, value, tree))
        return sorted(parts, key=_canonical) if isinstance(value, set | frozenset) else parts
    if isinstance(tree, dict) and "$" not in tree:
        if isinstance(value, Mapping):
            if len(tree) != len(value):
                return tree
            return dict(zip(tree, map(_ordered, value.values(), tree.values()), strict=True))
        held = getattr(value, "__dict__", {})
        return {name: _ordered(held.get(name), part) for name, part in tree.items()}
    return tree


def _canonical(tree: JsonValue) -> str:
    return json.dumps(tree, sort_keys=True)
