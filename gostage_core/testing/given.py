"""The resources that a test has at hand, in the place of those of a worker."""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from gostage_core.authoring.problems import reason
from gostage_core.errors import ResourceError, ResourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Factories = Mapping[str, Callable[[], object]]


class GivenResources:
    """Objects by name, as a body finds them in ``ctx.resources``; also ``given["name"]``."""

    __slots__ = ("_advice", "_factories", "_made", "_objects")

    def __init__(
        self,
        objects: Mapping[str, object],
        factories: Factories,
        advice: str,
        made: ExitStack | None = None,
    ) -> None:
        """Have *objects*, and what *factories* make when it is first asked for.

        *advice* is what the error says where something is missing, with its ``{name}``; *made*
        tears down what was made.
        """
        self._objects = dict(objects)
        self._factories = dict(factories)
        self._advice = advice
        self._made = made or ExitStack()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # no resource's: Python's own protocols look for such names
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        if name not in self._objects:
            self._objects[name] = self._make(name)
        return self._objects[name]

    def __dir__(self) -> list[str]:
        return sorted({*self._objects, *self._factories})

    def _make(self, name: str) -> object:
        factory: Any = self._factories.get(name)
        if factory is None:
            advice = self._advice.format(name=name)
            raise ResourceNotFoundError(name, f"in this test; {advice}")
        try:
            if inspect.isgeneratorfunction(factory):
                return self._made.enter_context(contextmanager(factory)())
            return factory()
        except Exception as error:
            raise ResourceError(name, f"could not be made: {reason(error)}") from error
