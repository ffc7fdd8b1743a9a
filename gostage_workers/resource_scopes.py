"""Resources while they live: made at their first use, kept, and torn down at their scope's end."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Protocol

from gostage_core.authoring.problems import reason
from gostage_core.errors import ResourceError, ResourceNotFoundError
from gostage_core.leaving import BailSignal
from gostage_workers.resources import resource_registry

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from gostage_core.authoring.registry import Registry
    from gostage_workers.resources import Factory

logger: Final = logging.getLogger(__name__)

Chain = tuple[str, ...]
"""The resources that are being made, each for the one before it."""


class Scope(Protocol):
    """Where resources can be had."""

    def get(self, name: str, chain: Chain = ()) -> Any:
        """Return the resource called *name*, for the last of *chain* to be made of."""

    def names(self) -> list[str]:
        """Return what can be had, sorted."""


class Handle:
    """What a body sees as ``ctx.resources``, and a factory as ``resources``."""

    __slots__ = ("_chain", "_scope")

    def __init__(self, scope: Scope, chain: Chain = ()) -> None:
        self._scope = scope
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # no resource's: Python's own protocols look for such names
            raise AttributeError(name)
        return self._scope.get(name, self._chain)

    def __dir__(self) -> list[str]:
        return self._scope.names()

    def __repr__(self) -> str:
        return f"<resources: {', '.join(dir(self)) or 'none'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("resources never leave their worker; read ctx.resources where it is needed")


class ProcessScope:
    """The resources of one process. Safe to share between threads."""

    def __init__(self, registry: Registry[Factory]) -> None:
        self._registry = registry
        self._kept = Kept()
        self._inherited: list[Kept] = []

    def attempt(self) -> AttemptScope:
        """Return the scope of one attempt, to be entered around its body."""
        return AttemptScope(self)

    def names(self) -> list[str]:
        """Return the names of all resources, sorted."""
        return self._registry.ids()

    def get(self, name: str, chain: Chain = ()) -> Any:
        """Return a resource of this process; it is made if nobody has used it before.

        Raises:
            ResourceNotFoundError: nothing is registered under *name*.
            ResourceError: it cannot be made.
        """
        factory = self.factory(name)
        if factory.scope != "process":
            raise ResourceError(name, f"lives for one attempt, and {_why_not(chain)}")
        return self.of_process(factory, chain)

    def of_process(self, factory: Factory, chain: Chain) -> Any:
        """Return what *factory* made for this process; have it made, if need be."""
        return self._kept.get(factory, self, chain)

    def factory(self, name: str) -> Factory:
        """Return what makes the resource called *name*."""
        if name not in self._registry:
            raise ResourceNotFoundError(name)
        return self._registry.get(name)

    def close(self) -> None:
        """Tear down what was made, the last first. Safe to repeat."""
        self._kept.close()

    def forked(self) -> None:
        """Begin anew in a process that was forked off: what there is belongs to the parent.

        It is kept, untouched: collected as garbage, generators would run their teardown here, and
        connections say good-bye on a line that the parent still uses.
        """
        self._inherited.append(self._kept)
        self._kept = Kept()


class AttemptScope:
    """What one attempt may use; torn down when the body has ended. Enter it once."""

    __slots__ = ("_ended", "_kept", "_process")

    def __init__(self, process: ProcessScope) -> None:
        self._process = process
        self._kept: Kept | None = None  # most attempts make nothing
        self._ended = False

    def __enter__(self) -> Handle:
        return Handle(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = True
        if self._kept is not None:
            self._kept.close(None if isinstance(error, BailSignal) else error)

    def names(self) -> list[str]:
        """Return the names of all resources, sorted."""
        return self._process.names()

    def get(self, name: str, chain: Chain = ()) -> Any:
        """Return a resource of this attempt or of its process; it is made at its first use.

        Raises:
            ResourceNotFoundError: nothing is registered under *name*.
            ResourceError: it cannot be made.
        """
        factory = self._process.factory(name)
        if factory.scope == "process":
            return self._process.of_process(factory, chain)
        if self._ended:
            raise ResourceError(name, "lived for an attempt that has ended; nothing was made")
        if self._kept is None:
            self._kept = Kept()
        return self._kept.get(factory, self, chain)


class Made(NamedTuple):
    """A resource, and what tears it down."""

    object: Any
    manager: AbstractContextManager[Any]


class Kept:
    """What was made in one scope, in the order in which it was. Safe to share between threads."""

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._waits: dict[str, str] = {}
        """What is being made, to what its factory waits for."""

    def get(self, factory: Factory, scope: Scope, chain: Chain) -> Any:
        """Return what *factory* makes; two threads that ask at once get the same.

        Raises:
            ResourceError: the factory raised, or waits for itself.
        """
        made = self._made.get(factory.name) or self._in_turn(factory, scope, chain)
        return made.object

    def close(self, error: BaseException | None = None) -> None:
        """Tear down the last one, with *error* raised at its ``yield``, and then the others."""
        if not self._made:
            return
        name, made = self._made.popitem()
        try:
            _tear_down(name, made.manager, error)
        finally:
            self.close(error)

    def _in_turn(self, factory: Factory, scope: Scope, chain: Chain) -> Made:
        name = factory.name
        try:
            with self._turn(name, chain):
                if name not in self._made:
                    self._made[name] = _make(factory, scope, chain)
                return self._made[name]
        finally:
            self._waits.pop(chain[-1] if chain else "", None)

    def _turn(self, name: str, chain: Chain) -> threading.Lock:
        """Return the lock to make *name* under, unless it would wait for what waits for it.

        Each wait is noted before the next is looked at, under one lock: of threads that wait for
        each other in a circle, the last one sees it.
        """
        with self._lock:
            path = [name]
            while path[-1] not in chain and path[-1] in self._waits:
                path.append(self._waits[path[-1]])
            if path[-1] in chain:
                circle = " -> ".join([*chain[chain.index(path[-1]) :], *path])
                raise ResourceError(path[-1], f"is made of itself: {circle}; break the circle")
            if chain:
                self._waits[chain[-1]] = name
            return self._turns.setdefault(name, threading.Lock())


def _why_not(chain: Chain) -> str:
    if not chain:
        return "there is none here"
    return (
        f"{chain[-1]!r} cannot be made of it, which lives as long as the process; register "
        f'{chain[-1]!r} with scope="attempt" too'
    )


def _make(factory: Factory, scope: Scope, chain: Chain) -> Made:
    name = factory.name
    try:
        manager = factory(Handle(scope, (*chain, name)))
        return Made(manager.__enter__(), manager)
    except Exception as error:
        if isinstance(error, ResourceError) and not isinstance(error, ResourceNotFoundError):
            raise
        needed = f" for {chain[-1]!r}" if chain else ""
        raise ResourceError(name, f"could not be made{needed}: {reason(error)}") from error


def _tear_down(
    name: str, manager: AbstractContextManager[Any], error: BaseException | None
) -> None:
    try:
        if error is None:
            manager.__exit__(None, None, None)
        else:
            manager.__exit__(type(error), error, error.__traceback__)
    except Exception:
        logger.exception("the teardown of resource %r failed; nothing else changes by it", name)


process_scope: Final = ProcessScope(resource_registry)
"""The resources of this process."""

os.register_at_fork(after_in_child=process_scope.forked)
