"""Objects of the worker that a body may use and that never travel: ``ctx.resources``."""

from __future__ import annotations

from typing import Any, Protocol

from gostage_core.errors import ResourceNotFoundError


class Resources(Protocol):
    """Resources by name: what an attempt may use, or what another resource is made of."""

    def __getattr__(self, name: str) -> Any:
        """Return the resource called *name*; it is made when it is first asked for.

        Raises:
            ResourceNotFoundError: this worker has none of that name.
            ResourceError: it could not be made.
        """


class NoResources:
    """Where nothing was registered."""

    def __getattr__(self, name: str) -> Any:
        raise ResourceNotFoundError(name)
