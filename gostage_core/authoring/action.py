"""Actions: classes and functions that a plan can name, and bound actions that it can hold."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import types
from abc import abstractmethod
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    overload,
)

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic.errors import PydanticUserError

from gostage_core.authoring.action_checks import (
    check_execute,
    documented,
    refuse_generator,
    refuse_reserved,
    settled_id,
)
from gostage_core.authoring.definition import ActionDefinition, default_name
from gostage_core.authoring.options import ActionOptions, check_isolation, checked_options
from gostage_core.authoring.parameters import parameter_problems, parameters_of
from gostage_core.authoring.problems import listing, reason, shown
from gostage_core.authoring.registry import registry
from gostage_core.authoring.signature import result_of, signature_of
from gostage_core.errors import InvalidActionError
from gostage_core.values.types import register_annotation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self, Unpack

    from gostage_core.authoring.options import OptionKeywords
    from gostage_core.authoring.signature import Signature
    from gostage_core.context import ActionContext

P = ParamSpec("P")
R = TypeVar("R")
ActionT = TypeVar("ActionT", bound="Action")


class Action(BaseModel):
    """The smallest unit of work: a subclass is an action, its pydantic fields are its parameters.

    Options that hold wherever the action is used stand in the head of the class::

        class Slow(Action, id="slow", tags=["io"], retry=Retry(3)):
            path: str

            def execute(self, ctx: ActionContext) -> None: ...

    The registry id is ``module:qualname`` where no ``id`` is given. Subclasses inherit the options,
    but not the id. A class without ``execute`` is abstract: it cannot be instantiated and is not
    registered. Instances are bound actions: frozen, comparable, and never executed themselves; a
    worker builds its own for each attempt.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
        # Names that must not be parameters are refused with a message of ours.
        protected_namespaces=(),
    )

    __action_id__: ClassVar[str] = ""
    __action_options__: ClassVar[dict[str, Any]] = {}
    __action_defaults__: ClassVar[dict[str, Any]] = {}
    __own_init__: ClassVar[bool] = False
    """Whether the class may have an ``__init__``: what comes with gostage is built by position."""
    __keeps_secrets__: ClassVar[bool] = False
    """Whether its parameters are definitions, whose secrets stay marked as such."""
    _gostage_options: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init_subclass__(cls, *, id: str | None = None, **options: Unpack[OptionKeywords]) -> None:
        """Refuse parameters with names that every action has, before pydantic meets them."""
        super().__init_subclass__()
        refuse_reserved(cls.__name__, inspect.get_annotations(cls))

    @classmethod
    def __pydantic_init_subclass__(cls, *, id: str | None = None, **options: object) -> None:
        """Check the class, settle its options and register it, unless it is abstract."""
        refuse_reserved(cls.__name__, cls.model_fields)
        if cls.__init__ is not Action.__init__ and not cls.__own_init__:
            raise InvalidActionError(
                f"{cls.__name__}: an action has no __init__ of its own; declare fields, and "
                f"compute what follows from them in execute()"
            )
        own = checked_options(options, cls.__name__)
        cls.__action_options__ = {**_inherited(cls), **own}
        cls.__action_defaults__ = {**cls.__action_options__, **documented(cls, own)}
        if not inspect.isabstract(cls):
            check_execute(cls.__name__, cls.execute)
            cls.__action_id__ = settled_id(cls, id)
            registry.register(cls.__action_id__, cls)
            register_annotation(result_of(cls.execute))
            for field in cls.model_fields.values():
                register_annotation(field.annotation)
        elif id is not None:
            raise InvalidActionError(f"{cls.__name__}: has an id, but no execute(self, ctx)")

    def __new__(cls, *_args: object, **_parameters: object) -> Self:
        """Refuse to make an instance of an abstract class."""
        if inspect.isabstract(cls):
            missing = " and ".join(sorted(cls.__abstractmethods__))
            raise InvalidActionError(
                f"{cls.__name__}: is abstract; a subclass must define {missing}"
            )
        return super().__new__(cls)

    def __init__(self, /, **parameters: Any) -> None:
        """Bind the action to its parameters.

        Raises:
            InvalidActionError: they do not fit; one line for each problem.
        """
        owner = type(self).__name__
        try:
            super().__init__(**parameters)
        except ValidationError as error:
            raise InvalidActionError(
                listing(parameter_problems(type(self), error, owner))
            ) from error
        except InvalidActionError:
            raise
        except Exception as error:  # a validator is user code and may raise anything
            raise InvalidActionError(f"{owner}: {reason(error)}") from error

    # JSON is then read as JSON, straight into the fields. Pydantic would hand any other __init__
    # Python values, in which bytes are text still, and turn a missing field into a TypeError.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @abstractmethod
    def execute(self, ctx: ActionContext) -> object:
        """Do the work. May be ``async``.

        The body may run more than once after a crash; ``ctx.idempotency_key`` is then the same.
        Where the option ``store_as`` is set, what it returns is written to the store.
        """

    def options(self, **overrides: Unpack[OptionKeywords]) -> Self:
        """Return this action with other options, for one entry of a plan.

        Raises:
            InvalidActionError: a value that does not fit; the message names the option.
        """
        chosen = checked_options(overrides, f"{type(self).__name__}.options()")
        return with_options(self, chosen)

    def _gostage_definition(self) -> ActionDefinition:
        """Return this action as data."""
        return definition_of(self)

    def _gostage_check(self, where: str) -> None:
        """Check that this process can build the actions that this one is made of."""

    def _gostage_settled(self, where: str) -> Self:
        """Return this action, read from a document, with every option of what is inside settled."""
        return self

    def _gostage_child_depth(self) -> int:
        """Return how deep the child runs nest that this action starts."""
        return 0


def with_options(action: ActionT, options: Mapping[str, Any]) -> ActionT:
    """Return *action* with *options*, which have been checked."""
    class_says = {**_PLAIN, **type(action).__action_defaults__}
    chosen = {**action._gostage_options, **options}
    bound = copy.copy(action)
    bound._gostage_options = {
        name: value for name, value in chosen.items() if value != class_says[name]
    }
    return bound


def definition_of(action: Action) -> ActionDefinition:
    """Return *action* as data: its id, its parameters as JSON, and every option settled.

    Raises:
        InvalidActionError: a parameter cannot be written as JSON, or would not come back the same;
            or options that do not go together.
    """
    cls = type(action)
    params = parameters_of(action)
    options = {**cls.__action_defaults__, **action._gostage_options}
    check_isolation(options, cls.__name__)
    # What takes back an option of the class is written although it is at its own default.
    written = {name for name, value in options.items() if value != _PLAIN[name]}
    written.update(action._gostage_options, ["action", "params"] if params else ["action"])
    options["name"] = options.get("name") or default_name(cls.__action_id__)
    if options.get("throttle") is not None:
        values = {name: getattr(action, name) for name in cls.model_fields}
        options["throttle"] = options["throttle"].for_parameters(
            cls.__name__, cls.__action_id__, values
        )
    return ActionDefinition.model_construct(
        written, action=cls.__action_id__, params=params, **options
    )


class ActionFunction(Generic[P, R]):
    """A function that is an action: called it is the function, ``.s(...)`` binds its parameters."""

    __name__: str
    __wrapped__: Callable[..., R]

    def __init__(
        self,
        function: Callable[Concatenate[ActionContext, P], R],
        action_class: type[Action],
        signature: Signature,
    ) -> None:
        """Made by :func:`action`."""
        functools.update_wrapper(self, function)
        self.action_class = action_class
        self._function = function
        self._signature = signature

    def __call__(self, ctx: ActionContext, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as if it were not an action."""
        return self._function(ctx, *args, **kwargs)

    def s(self, *args: P.args, **kwargs: P.kwargs) -> Action:
        """Return a bound action: what the function takes after its context.

        Raises:
            InvalidActionError: the parameters do not fit; one line for each problem.
        """
        return self.action_class(**self._signature.bind(args, kwargs))

    def __repr__(self) -> str:
        return f"<action {self.action_class.__action_id__}>"


class ActionDecorator(Protocol):
    """What ``@action(...)`` makes of its options."""

    def __call__(
        self, function: Callable[Concatenate[ActionContext, P], R], /
    ) -> ActionFunction[P, R]:
        """Make an action of *function*."""


@overload
def action(function: Callable[Concatenate[ActionContext, P], R], /) -> ActionFunction[P, R]: ...
@overload
def action(id: str | None = None, **options: Unpack[OptionKeywords]) -> ActionDecorator: ...
def action(id: object = None, /, **options: Any) -> Any:
    """Make an action of a function: ``@action``, ``@action("id")``, ``@action(tags=[...])``.

    The function takes the context first; what follows are the action's parameters. It may be
    ``async``. The registry id is ``module:qualname`` where none is given.

    Raises:
        InvalidActionError: a function that cannot be an action, or an option that does not fit.
        DuplicateActionError: another action has this id.
        TypeError: there is no such option.
    """
    if inspect.isroutine(id) or (callable(id) and not isinstance(id, type)):
        return _made(id, None, options, sys._getframe(1).f_locals)
    given = options.pop("id", id)
    if given is not None and not isinstance(given, str):
        raise InvalidActionError(f"@action takes a function or an id, not {shown(given)}")

    def decorate(function: Any) -> Any:
        return _made(function, given, options, sys._getframe(1).f_locals)

    return decorate


def _made(
    function: Any, id: str | None, options: dict[str, Any], names: Mapping[str, object]
) -> ActionFunction[Any, Any]:
    owner = getattr(function, "__name__", None)
    if owner is None or isinstance(function, type | ActionFunction):
        raise InvalidActionError(f"@action makes an action of a function, not of {shown(function)}")
    refuse_generator(owner, function)
    signature = signature_of(function, names)
    refuse_reserved(owner, signature.annotations)
    action_class = _class_of(function, signature, {"id": id, **options})
    register_annotation(signature.returns)
    return ActionFunction(function, action_class, signature)


def _class_of(function: Any, signature: Signature, head: dict[str, Any]) -> type[Action]:
    def execute(self: Action, ctx: ActionContext) -> object:
        args, kwargs = signature.arguments(self.__dict__)
        return function(ctx, *args, **kwargs)

    body = {
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "__annotations__": signature.annotations,
        "execute": execute,
        **signature.defaults,
    }
    try:
        return types.new_class(signature.owner, (Action,), head, lambda space: space.update(body))
    except (PydanticUserError, NameError) as error:
        raise InvalidActionError(f"{signature.owner}: {reason(error)}") from error


def _inherited(cls: type[Action]) -> dict[str, Any]:
    bases = [base for base in reversed(cls.__bases__) if issubclass(base, Action)]
    return {name: value for base in bases for name, value in base.__action_options__.items()}


_PLAIN: Final = {name: field.get_default() for name, field in ActionOptions.model_fields.items()}
