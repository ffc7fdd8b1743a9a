"""The parameters of a function as the fields of a pydantic model."""

from __future__ import annotations

import inspect
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Final, Optional, get_type_hints

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo
from pydantic.fields import FieldInfo

from gostage_core.authoring.problems import reason
from gostage_core.errors import InvalidActionError, StoreError
from gostage_core.values.codec import from_tree, to_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CATCH_ALL: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_ADVICE: Final = "import what it names at run time, not for type checkers alone"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes after its context, and what it returns."""

    owner: str
    annotations: dict[str, Any]
    defaults: dict[str, FieldInfo]
    returns: Any
    by_position: tuple[str, ...]
    """The parameters that can be given by position, in order."""
    only_by_position: frozenset[str]

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments by name, as Python would bind them; what is missing stays missing.

        Raises:
            InvalidActionError: too many, or one that is given in a way the function forbids.
        """
        if len(args) > len(self.by_position):
            raise InvalidActionError(
                f"{self.owner}: takes at most {len(self.by_position)} arguments by position "
                f"(the context is not one of them), not {len(args)}"
            )
        bound = dict(zip(self.by_position, args, strict=False))
        for name in kwargs:
            if name in bound:
                raise InvalidActionError(f"{self.owner}.{name}: given by position and by name")
            if name in self.only_by_position:
                raise InvalidActionError(f"{self.owner}.{name}: can only be given by position")
        return {**bound, **kwargs}

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return *values* as the positional and the keyword arguments of a call."""
        args = [values[name] for name in self.by_position if name in self.only_by_position]
        kwargs = {
            name: values[name] for name in self.annotations if name not in self.only_by_position
        }
        return args, kwargs


def signature_of(function: Callable[..., object], names: Mapping[str, object]) -> Signature:
    """Return what *function* takes and returns, with its annotations resolved.

    Args:
        function: takes the context first.
        names: what annotations may name beside the function's globals and closure.

    Raises:
        InvalidActionError: it does not take a context, takes ``*args`` or ``**kwargs``, or has an
            annotation that cannot be resolved.
    """
    owner = function.__name__
    parameters = _after_context(function, owner)
    resolve = _Resolver(function, names)
    annotations = {one.name: _annotation(one, resolve) for one in parameters}
    given = inspect.signature(function).return_annotation
    return Signature(
        owner=owner,
        annotations=annotations,
        defaults={one.name: _default(one) for one in parameters if one.default is not one.empty},
        returns=resolve(given, "return") if given is not inspect.Signature.empty else None,
        by_position=tuple(one.name for one in parameters if one.kind is not one.KEYWORD_ONLY),
        only_by_position=frozenset(
            one.name for one in parameters if one.kind is one.POSITIONAL_ONLY
        ),
    )


def result_of(method: Callable[..., object]) -> Any:
    """Return what *method* is annotated to return, or ``None`` where that cannot be resolved."""
    given = inspect.signature(method).return_annotation
    try:
        return None if given is inspect.Signature.empty else _Resolver(method, {})(given, "return")
    except InvalidActionError:
        return None


def _after_context(function: Callable[..., object], owner: str) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind in (*_CATCH_ALL, inspect.Parameter.KEYWORD_ONLY):
        raise InvalidActionError(
            f"{owner}: the first parameter must be the context: def {owner}(ctx, ...)"
        )
    for one in parameters[1:]:
        if one.kind in _CATCH_ALL:
            raise InvalidActionError(
                f"{owner}.{one.name}: catches any argument; declare each parameter by name"
            )
        if one.name.startswith("_"):
            raise InvalidActionError(
                f"{owner}.{one.name}: the name of a parameter may not begin with an underscore"
            )
    return parameters[1:]


def _annotation(parameter: inspect.Parameter, resolve: _Resolver) -> Any:
    if parameter.annotation is parameter.empty:
        return AnyValue
    annotation = resolve(parameter.annotation, parameter.name)
    if annotation is Any or annotation is object:
        return AnyValue
    # A default of None says that None may be given, whatever the annotation forgot.
    return Optional[annotation] if parameter.default is None else annotation  # noqa: UP045


def _from_json(value: Any, info: ValidationInfo) -> Any:
    if info.mode != "json":
        return value
    try:
        return from_tree(value)
    except StoreError as error:
        raise ValueError(str(error)) from error


AnyValue = Annotated[Any, PlainSerializer(to_tree, when_used="json"), BeforeValidator(_from_json)]
"""A value of no declared type: it travels as the store would keep it, and so keeps its own."""


def _default(parameter: inspect.Parameter) -> FieldInfo:
    given = parameter.default
    return given if isinstance(given, FieldInfo) else Field(default=given)


class _Resolver:
    """Evaluates the annotations of one function, each by itself.

    By itself, for that of the context often names what is imported for type checkers alone.
    """

    def __init__(self, function: Callable[..., object], names: Mapping[str, object]) -> None:
        inner = inspect.unwrap(function)
        self._owner = function.__name__
        self._globals = getattr(inner, "__globals__", {})
        self._locals = {**names, **_closure(inner)}

    def __call__(self, annotation: object, name: str) -> Any:
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            hints = get_type_hints(holder, self._globals, self._locals, include_extras=True)
        except Exception as error:  # an annotation is an expression and may raise anything
            raise InvalidActionError(
                f"{self._owner}.{name}: the annotation {annotation!r} cannot be resolved "
                f"({reason(error)}); {_ADVICE}"
            ) from error
        return hints[name]


def _closure(function: Callable[..., object]) -> dict[str, object]:
    cells = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if cells else ()
    found = {}
    for name, cell in zip(names, cells, strict=True):
        with suppress(ValueError):  # a name that the outer function has not bound yet
            found[name] = cell.cell_contents
    return found
