"""Which resources a worker can make: factories, registered by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

from gostage_core.authoring.problems import shown
from gostage_core.authoring.registry import Registry
from gostage_core.errors import InvalidResourceError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gostage_core.resources import Resources

ScopeName = Literal["process", "attempt"]
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_WANTED: Final = "resources"


class Factory:
    """A function that makes a resource, and what is known of it."""

    __name__: str
    __module__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, name: str, function: Callable[..., Any], scope: ScopeName) -> None:
        """Check *function*.

        Raises:
            InvalidResourceError: it cannot be a factory.
        """
        functools.update_wrapper(self, function)
        self.name = name
        self.scope = scope
        self.tears_down = _yields(name, function)
        self._takes_resources = _takes_resources(name, function)

    def __call__(self, resources: Resources) -> AbstractContextManager[Any]:
        """Return what makes the resource when it is entered, and tears it down when it is left."""
        given = {_WANTED: resources} if self._takes_resources else {}
        if self.tears_down:
            return contextmanager(self.__wrapped__)(**given)
        return nullcontext(self.__wrapped__(**given))


resource_registry: Final = Registry[Factory]("resource")
"""The resources of this process."""


def resource(name: str, *, scope: ScopeName = "process") -> Callable[[FunctionT], FunctionT]:
    """Register the decorated function as the factory of ``ctx.resources.<name>``.

    A plain function returns the object. A generator function yields it once, and tears it down
    after the ``yield``::

        @resource("db")
        def database() -> Iterator[Engine]:
            engine = create_engine(os.environ["DATABASE_URL"])
            yield engine
            engine.dispose()

        @resource("session", scope="attempt")
        def session(resources: Resources) -> Iterator[Session]:
            with Session(resources.db) as session:
                yield session

    The object is made at its first use and never leaves its process. With scope ``"process"`` that
    is once in each worker process, shared by its threads, until the process ends in good order.
    With scope ``"attempt"`` it is once an attempt, torn down when the body has ended and before the
    attempt is committed; what the body raised is raised at the ``yield``, so that a ``with`` around
    it rolls back. A teardown that raises is logged and changes nothing, so what must not be lost,
    a ``commit()`` for example, belongs into the body. A factory that raises fails the attempt with
    :class:`ResourceError`, and is called again at the next use; a retry policy looks at what it
    raised.

    A factory may take one parameter, ``resources``, for those that it is made of; one of scope
    ``"process"`` can only be made of others of that scope. Factories are not ``async``: reading an
    attribute cannot wait. The function stays as it is, for tests to call. Safe to repeat: one of
    the same module and qualified name takes the place of the earlier one.

    Args:
        name: an identifier that does not begin with an underscore.
        scope: how long the object lives.

    Raises:
        InvalidResourceError: a name, a scope or a function that cannot be a resource's.
        DuplicateActionError: another function has registered this name.
    """
    _check_name(name)
    if scope not in get_args(ScopeName):
        raise InvalidResourceError(
            f'resource {name!r}: scope is "process" or "attempt", not {shown(scope)}'
        )

    def register(function: FunctionT) -> FunctionT:
        resource_registry.register(name, Factory(name, function, scope))
        return function

    return register


def ends_with_teardown() -> bool:
    """Tell whether this process may have something to tear down at its end."""
    factories = map(resource_registry.get, resource_registry.ids())
    return any(one.tears_down and one.scope == "process" for one in factories)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidResourceError(
            f'a resource is registered with its name, @resource("db"), not with {shown(name)}'
        )
    if not name.isidentifier() or iskeyword(name) or name.startswith("_"):
        raise InvalidResourceError(
            f"{shown(name)} cannot be the name of a resource: it is read as ctx.resources.<name>, "
            f"so it must be an identifier, no keyword, and may not begin with an underscore"
        )


def _yields(name: str, function: object) -> bool:
    """Tell whether *function* yields its resource; refuse what is no factory."""
    if not inspect.isfunction(function):
        raise InvalidResourceError(
            f"resource {name!r}: its factory must be a function, not {shown(function)}"
        )
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        raise InvalidResourceError(
            f"resource {name!r}: {function.__qualname__} is async, and ctx.resources.{name} cannot "
            f"wait; make the object in a plain function, and await what it does in the body"
        )
    yields = inspect.isgeneratorfunction(function)
    if inspect.isgeneratorfunction(inner) and not yields:
        raise InvalidResourceError(
            f"resource {name!r}: {function.__qualname__} yields, but is decorated with something "
            f"that hides it; leave @contextmanager out, and put @resource on the function itself"
        )
    return yields


def _takes_resources(name: str, function: Callable[..., Any]) -> bool:
    """Tell whether *function* takes what it is made of; refuse one that takes anything else."""
    signature = inspect.signature(function)
    takes = _WANTED in signature.parameters
    try:
        signature.bind(**{_WANTED: None} if takes else {})
    except TypeError as error:
        raise InvalidResourceError(
            f"resource {name!r}: {function.__qualname__} is called with nothing but, if it takes "
            f"it, one parameter called resources ({error})"
        ) from None
    return takes
