"""Which class or function is registered under which id in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import BaseModel

from gostage_core.authoring.parameters import model_from
from gostage_core.authoring.problems import suggestion
from gostage_core.errors import DuplicateActionError, UnknownActionError
from gostage_core.naming import qualified_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from gostage_core.authoring.action import Action

ThingT = TypeVar("ThingT", bound=Callable[..., Any])
ModelT = TypeVar("ModelT", bound=BaseModel)


class Registry(Generic[ThingT]):
    """Classes or functions of one kind by id. Safe to share between threads."""

    def __init__(self, noun: str, unknown: type[UnknownActionError] = UnknownActionError) -> None:
        """Begin empty; *noun* is what errors call one of these, *unknown* one of these errors."""
        self._noun = noun
        self._unknown = unknown
        self._things: dict[str, ThingT] = {}
        self._lock = threading.Lock()

    def register(self, id: str, thing: ThingT) -> None:
        """Register *thing* under *id*.

        Safe to repeat: one of the same module and qualified name, as a reload or a notebook cell
        makes it, takes the place of the earlier one.

        Raises:
            DuplicateActionError: another one has this id; names both.
        """
        second = qualified_name(thing)
        with self._lock:
            taken = self._things.get(id)
            if taken is not None and qualified_name(taken) != second:
                raise DuplicateActionError(id, qualified_name(taken), second, self._noun)
            self._things[id] = thing

    def get(self, id: str, *, where: str = "") -> ThingT:
        """Return what is registered under *id*.

        Args:
            id: under which it was registered.
            where: a place in a document, for the message of the error.

        Raises:
            UnknownActionError: there is none; suggests a similar id.
        """
        try:
            return self._things[id]
        except KeyError:
            hint = suggestion(id, self._things)
            raise self._unknown(id, where, self._noun, hint) from None

    def ids(self) -> list[str]:
        """Return every id, sorted."""
        return sorted(self._things)

    def __contains__(self, id: object) -> bool:
        return id in self._things

    @contextmanager
    def isolated(self) -> Iterator[Self]:
        """Forget, when the block ends, what was registered in it; for tests."""
        before = dict(self._things)
        try:
            yield self
        finally:
            self._things = before


class ModelRegistry(Registry[type[ModelT]]):
    """Classes that travel as an id and parameters: pydantic models."""

    def build(self, id: str, params: object, *, where: str = "") -> ModelT:
        """Return an instance from an id and its parameters, which are JSON values.

        Args:
            id: of the registered class.
            params: an object with the parameters by name.
            where: a place in a document, for the messages of errors.

        Raises:
            UnknownActionError: nothing is registered under this id.
            InvalidActionError: the parameters do not fit.
        """
        return model_from(self.get(id, where=where), params, where)


class ActionRegistry(ModelRegistry["Action"]):
    """Action classes by id."""

    def build(self, id: str, params: object, *, where: str = "") -> Action:
        """Return a bound action; what it is made of can be built here too.

        Raises:
            UnknownActionError: as :meth:`ModelRegistry.build`, like the other error.
        """
        action = super().build(id, params, where=where)
        action._gostage_check(where or type(action).__name__)
        return action


registry: Final = ActionRegistry("action")
"""The actions of this process."""
