"""Middleware: what wraps runs, stages and actions, and travels as an id and parameters."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from gostage_core.authoring.action_checks import refuse_generator, settled_id
from gostage_core.authoring.definition import MiddlewareUse, default_name
from gostage_core.authoring.parameters import parameter_problems, parameters_of
from gostage_core.authoring.problems import listing, reason
from gostage_core.authoring.registry import ModelRegistry
from gostage_core.errors import (
    InvalidActionError,
    InvalidWorkflowError,
    UnknownMiddlewareError,
)
from gostage_core.values.types import register_annotation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gostage_core.authoring.definition import WorkflowDefinition
    from gostage_core.context import ActionContext
    from gostage_core.middleware.context import HookContext, ScopeOutcome


class Middleware(BaseModel):
    """Wraps what it is used on: a subclass overrides the hooks that it needs.

    As an action it is a pydantic model: its fields are parameters, and it travels by its registry
    id (``module:qualname`` where the head gives no ``id``) and these::

        class Audit(Middleware, id="audit"):
            topic: str = "audit"

            def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None: ...

    Used on a runner or a workflow it wraps the run, each stage and each action; used on a stage,
    that stage and its actions. The first that is used is the outermost: runner, workflow, stage.

    Each hook may be ``async``. Those of stages and runs are entries of the plan, executed by some
    worker like actions: at least once, committed once. An instance holds nothing between hooks;
    what a scope's second hook needs of its first goes into ``ctx.scratch``.
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

    __middleware_id__: ClassVar[str] = ""

    def __init_subclass__(cls, *, id: str | None = None) -> None:
        """Refuse parameters with names that every middleware has, before pydantic meets them."""
        super().__init_subclass__()
        _refuse_reserved(cls.__name__, inspect.get_annotations(cls))

    @classmethod
    def __pydantic_init_subclass__(cls, *, id: str | None = None, **head: object) -> None:
        """Check the class and register it."""
        _refuse_reserved(cls.__name__, cls.model_fields)
        if not getattr(cls.__init__, "__pydantic_base_init__", False):
            raise InvalidActionError(
                f"{cls.__name__}: a middleware has no __init__ of its own; declare fields, and "
                f"compute what follows from them in its hooks"
            )
        for hook in HOOKS:
            _check_hook(cls, hook)
        cls.__middleware_id__ = settled_id(cls, id)
        middlewares.register(cls.__middleware_id__, cls)
        for field in cls.model_fields.values():
            register_annotation(field.annotation)

    def __init__(self, /, **parameters: Any) -> None:
        """Set the parameters.

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
        except Exception as error:  # a validator is user code and may raise anything
            raise InvalidActionError(f"{owner}: {reason(error)}") from error

    # As in Action: JSON is then read as JSON, straight into the fields.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        """Wrap one attempt at an action: what this returns is the attempt's value.

        ``call_next()`` goes on to what is inside, at most once: in plain code it returns the
        body's value, in ``async`` code it is awaited for it, whichever of the two the body is. Not
        calling it leaves the body out. An exception that this lets through, or raises, fails the
        attempt; one that it swallows does not. What waits (for a signal, a child run, a group)
        passes through as something that is not an ``Exception``: the hook begins anew when the
        action does.
        """
        return call_next()

    def attempt_limit(self, ctx: ActionContext) -> float | None:
        """Return the seconds that this attempt may take, or ``None``; the shortest limit counts.

        It is enforced as the option ``timeout`` is. Not ``async``.
        """
        return None

    def before_stage(self, ctx: HookContext) -> object:
        """Prepare a stage, ahead of its first action; may also skip it or add stages behind it.

        An error fails the stage: its actions do not run.
        """

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> object:
        """Look at how a stage went, whether it completed, failed or was skipped.

        An error fails the stage.
        """

    def before_run(self, ctx: HookContext) -> object:
        """Prepare a run, ahead of its first stage; may also add stages in front of it.

        An error fails the run: its stages do not run.
        """

    def after_run(self, ctx: HookContext, outcome: ScopeOutcome) -> object:
        """Look at how a run went, behind its last stage. An error fails the run."""


HOOKS: Final = (
    "around_action",
    "attempt_limit",
    "before_stage",
    "after_stage",
    "before_run",
    "after_run",
)
"""What the hooks are called."""

middlewares: Final[ModelRegistry[Middleware]] = ModelRegistry("middleware", UnknownMiddlewareError)
"""The middleware of this process."""


def uses_of(owner: str, given: Iterable[object]) -> tuple[MiddlewareUse, ...]:
    """Return middleware as data.

    Raises:
        InvalidWorkflowError: something that is none; says what to write instead.
        InvalidActionError: parameters that cannot be written as JSON.
    """
    return tuple(use_of(_checked(owner, one)) for one in given)


def wrapped_in(
    outer: tuple[MiddlewareUse, ...], definition: WorkflowDefinition
) -> WorkflowDefinition:
    """Return *definition* with *outer* around all that it uses itself."""
    if not outer:
        return definition
    return definition.model_copy(update={"middleware": (*outer, *definition.middleware)})


def use_of(middleware: Middleware) -> MiddlewareUse:
    """Return *middleware* as data: its id, and its parameters as JSON.

    Raises:
        InvalidActionError: a parameter cannot be written as JSON, or would not come back the same.
    """
    return MiddlewareUse(use=middleware.__middleware_id__, params=parameters_of(middleware))


def built(uses: Iterable[MiddlewareUse | Mapping[str, Any]], where: str = "") -> list[Middleware]:
    """Return the middleware that *uses* name, in their order; *where* begins messages of errors.

    Raises:
        UnknownMiddlewareError: nothing here is registered under an id.
        InvalidActionError: parameters that a class does not take.
    """
    plain = [MiddlewareUse.model_validate(use) for use in uses]
    return [middlewares.build(use.use, use.params, where=where) for use in plain]


def name_of(middleware: Middleware) -> str:
    """Return what people call *middleware*: the last part of its id."""
    return default_name(middleware.__middleware_id__)


def overrides(middleware: type[Middleware], hook: str) -> bool:
    """Tell whether a class has this hook of its own."""
    return getattr(middleware, hook) is not getattr(Middleware, hook)


def around_of(outer: Sequence[MiddlewareUse], own: Sequence[MiddlewareUse]) -> list[dict[str, Any]]:
    """Return, as JSON, what wraps the attempts of a stage's actions, the outermost first.

    *outer* is what the workflow uses, *own* what the stage uses.
    """
    return [
        use.model_dump(mode="json")
        for use in (*outer, *own)
        if _may_have(use, "around_action") or _may_have(use, "attempt_limit")
    ]


def has_stage_hooks(uses: Sequence[MiddlewareUse]) -> tuple[bool, bool]:
    """Tell whether there is something to do before a stage, and after it."""
    return _any_has(uses, "before_stage"), _any_has(uses, "after_stage")


def has_run_hooks(uses: Sequence[MiddlewareUse]) -> tuple[bool, bool]:
    """Tell whether there is something to do before a run, and after it."""
    return _any_has(uses, "before_run"), _any_has(uses, "after_run")


def _any_has(uses: Sequence[MiddlewareUse], hook: str) -> bool:
    return any(_may_have(use, hook) for use in uses)


def _may_have(use: MiddlewareUse, hook: str) -> bool:
    # A worker may add to a plan without knowing what wraps it: any hook may then be there, and the
    # worker that knows calls one that does nothing.
    return use.use not in middlewares or overrides(middlewares.get(use.use), hook)


def _checked(owner: str, one: object) -> Middleware:
    if isinstance(one, Middleware):
        return one
    if isinstance(one, type) and issubclass(one, Middleware):
        instead = f"{one.__name__} is a class; use an instance: {one.__name__}(...)"
    elif isinstance(one, list | tuple):
        instead = "middleware is given one by one; write use(*middleware)"
    else:
        instead = f"a Middleware is wanted, not {type(one).__name__}"
    raise InvalidWorkflowError(f"{owner}: {instead}")


def _refuse_reserved(owner: str, names: Iterable[str]) -> None:
    for name in names:
        if name in _RESERVED:
            raise InvalidActionError(
                f"{owner}.{name}: no parameter may be called {name!r}, which every middleware "
                f"has; choose another name"
            )


def _check_hook(cls: type[Middleware], name: str) -> None:
    owner, hook = f"{cls.__name__}.{name}", getattr(cls, name)
    taken = inspect.signature(getattr(Middleware, name)).parameters
    wanted = f"def {name}({', '.join(taken)})"
    if not callable(hook):
        raise InvalidActionError(f"{owner}: must be a method: {wanted}")
    refuse_generator(owner, hook)
    try:
        inspect.signature(hook).bind(*taken)
    except TypeError:
        raise InvalidActionError(f"{owner}: is called with other arguments: {wanted}") from None


_RESERVED: Final = frozenset(
    {*HOOKS, *(name for name in dir(BaseModel) if not name.startswith("_"))}
)
