"""Conditions: registered functions that tell whether something holds, for plans to name."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError

from gostage_core.authoring.action_checks import refuse_generator, refuse_reserved, settled_id
from gostage_core.authoring.parameters import model_from, parameter_problems, parameters_of
from gostage_core.authoring.problems import listing, reason, shown
from gostage_core.authoring.registry import Registry
from gostage_core.authoring.signature import signature_of
from gostage_core.errors import ConditionTypeError, InvalidActionError, UnknownConditionError
from gostage_core.event_loop import run_in_loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from gostage_core.authoring.signature import Signature
    from gostage_core.context import ActionContext

P = ParamSpec("P")
R = TypeVar("R", bound=bool | Coroutine[Any, Any, bool])


class Parameters(BaseModel):
    """What a condition takes after its context."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
        protected_namespaces=(),
    )


class Condition(Generic[P, R]):
    """A function that plans can ask by its id; called it is the function."""

    __name__: str
    __wrapped__: Callable[..., R]

    def __init__(
        self, id: str, function: Callable[Concatenate[ActionContext, P], R], signature: Signature
    ) -> None:
        """Made by :func:`condition`."""
        functools.update_wrapper(self, function)
        self.id = id
        """The registry id."""
        self._function = function
        self._signature = signature
        self._parameters = _model_of(signature)

    def __call__(self, ctx: ActionContext, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as if it were not a condition."""
        return self._function(ctx, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<condition {self.id}>"

    def bound(self, given: Mapping[str, object]) -> dict[str, JsonValue]:
        """Return the parameters that were *given* as JSON values.

        Raises:
            InvalidActionError: they do not fit; one line for each problem.
        """
        owner = self.__name__
        try:
            return parameters_of(self._parameters(**given))
        except ValidationError as error:
            problems = parameter_problems(self._parameters, error, owner)
            raise InvalidActionError(listing(problems)) from error
        except InvalidActionError:
            raise
        except Exception as error:  # a validator is user code and may raise anything
            raise InvalidActionError(f"{owner}: {reason(error)}") from error

    def check(self, params: Mapping[str, JsonValue], where: str = "") -> None:
        """Check parameters that are JSON values.

        Raises:
            InvalidActionError: they do not fit; each line begins with *where*.
        """
        model_from(self._parameters, params, where)

    def holds(self, ctx: ActionContext, params: Mapping[str, JsonValue]) -> bool:
        """Ask the function, and wait for it where it is ``async``.

        Raises:
            InvalidActionError: the parameters do not fit.
            ConditionTypeError: it returned neither ``True`` nor ``False``.
        """
        values = model_from(self._parameters, params).__dict__
        args, kwargs = self._signature.arguments(values)
        found: object = self._function(ctx, *args, **kwargs)
        if inspect.iscoroutine(found):
            found = run_in_loop(found)
        if not isinstance(found, bool):
            raise ConditionTypeError(self.id, type(found).__name__)
        return found


conditions: Final[Registry[Condition[..., Any]]] = Registry("condition", UnknownConditionError)
"""The conditions of this process."""


class ConditionDecorator:
    """What ``@condition("id")`` makes."""

    def __init__(self, id: str | None) -> None:
        self._id = id

    def __call__(self, function: Callable[Concatenate[ActionContext, P], R], /) -> Condition[P, R]:
        """Make a condition of *function*."""
        return _made(function, self._id, sys._getframe(1).f_locals)


@overload
def condition(function: Callable[Concatenate[ActionContext, P], R], /) -> Condition[P, R]: ...
@overload
def condition(id: str | None = None) -> ConditionDecorator: ...
def condition(id: object = None) -> Any:
    """Register a function that a plan may ask: ``@condition``, ``@condition("id")``.

    The function takes the context first and returns ``True`` or ``False``; what follows are its
    parameters. It may be ``async``. It may be asked more than once after a crash. The registry id
    is ``module:qualname`` where none is given.

    Raises:
        InvalidActionError: a function that cannot be a condition.
        DuplicateActionError: another condition has this id.
    """
    if inspect.isroutine(id):
        return _made(id, None, sys._getframe(1).f_locals)
    if id is not None and not isinstance(id, str):
        raise InvalidActionError(f"@condition takes a function or an id, not {shown(id)}")
    return ConditionDecorator(id)


def _made(function: Any, id: str | None, names: Mapping[str, object]) -> Condition[Any, Any]:
    if not inspect.isroutine(function):
        raise InvalidActionError(
            f"@condition makes a condition of a function, not of {shown(function)}"
        )
    refuse_generator(function.__name__, function)
    signature = signature_of(function, names)
    refuse_reserved(signature.owner, signature.annotations)
    made: Condition[Any, Any] = Condition(settled_id(function, id), function, signature)
    conditions.register(made.id, made)
    return made


def _model_of(signature: Signature) -> type[Parameters]:
    fields: dict[str, Any] = {
        name: (annotation, signature.defaults.get(name, ...))
        for name, annotation in signature.annotations.items()
    }
    try:
        return create_model(signature.owner, __base__=Parameters, **fields)
    except (PydanticUserError, NameError) as error:
        raise InvalidActionError(f"{signature.owner}: {reason(error)}") from error
