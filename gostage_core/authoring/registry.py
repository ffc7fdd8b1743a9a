"""Which action class is registered under which id in this process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.parameters import action_from
from gostage_core.errors import DuplicateActionError, UnknownActionError
from gostage_core.naming import qualified_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.authoring.action import Action


class Registry:
    """Action classes by id. Safe to share between threads."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Action]] = {}
        self._lock = threading.Lock()

    def register(self, id: str, action_class: type[Action]) -> None:
        """Register *action_class* under *id*.

        Safe to repeat: a class of the same module and qualified name, as a reload or a notebook
        cell makes it, takes the place of the earlier one.

        Raises:
            DuplicateActionError: another class has this id; names both.
        """
        second = qualified_name(action_class)
        with self._lock:
            taken = self._classes.get(id)
            if taken is not None and qualified_name(taken) != second:
                raise DuplicateActionError(id, qualified_name(taken), second)
            self._classes[id] = action_class

    def get(self, id: str) -> type[Action]:
        """Return the class that is registered under *id*.

        Raises:
            UnknownActionError: there is none.
        """
        try:
            return self._classes[id]
        except KeyError:
            raise UnknownActionError(id) from None

    def build(self, action_id: str, params: object, *, where: str = "") -> Action:
        """Return a bound action from its id and its parameters, which are JSON values.

        Args:
            action_id: of the registered class.
            params: an object with the parameters by name.
            where: a place in a document, for the messages of errors.

        Raises:
            UnknownActionError: nothing is registered under this id.
            InvalidActionError: the parameters do not fit.
        """
        action_class = self._classes.get(action_id)
        if action_class is None:
            raise UnknownActionError(action_id, where)
        return action_from(action_class, params, where)

    def ids(self) -> list[str]:
        """Return every id, sorted."""
        return sorted(self._classes)

    def __contains__(self, id: object) -> bool:
        return id in self._classes

    @contextmanager
    def isolated(self) -> Iterator[Registry]:
        """Forget, when the block ends, what was registered in it; for tests."""
        before = dict(self._classes)
        try:
            yield self
        finally:
            self._classes = before


registry: Final = Registry()
"""The actions of this process."""
