"""What a class must be like to be an action, and what its head and its docstring say of it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from gostage_core.authoring.definition_fields import LONGEST_DESCRIPTION, LONGEST_ID, ActionId
from gostage_core.authoring.problems import shown
from gostage_core.errors import InvalidActionError
from gostage_core.naming import qualified_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RESERVED: Final = frozenset(
    {"execute", "options", *(name for name in dir(BaseModel) if not name.startswith("_"))}
)
"""What no parameter may be called: an action's own names and those of pydantic's models."""

_ID: Final[TypeAdapter[str]] = TypeAdapter(ActionId)


def refuse_reserved(owner: str, names: Iterable[str]) -> None:
    """Check that no parameter is called like something that every action has.

    Raises:
        InvalidActionError: one is.
    """
    for name in names:
        if name in RESERVED:
            raise InvalidActionError(
                f"{owner}.{name}: no parameter may be called {name!r}, which every action has; "
                f"choose another name"
            )


def check_execute(owner: str, execute: object) -> None:
    """Check that *execute* can be called with an action and a context, and then does the work.

    Raises:
        InvalidActionError: it cannot, or it is a generator, whose body a call does not run.
    """
    if not callable(execute):
        raise InvalidActionError(f"{owner}: execute must be a method: def execute(self, ctx)")
    refuse_generator(owner, execute)
    try:
        inspect.signature(execute).bind(None, None)
    except TypeError:
        raise InvalidActionError(
            f"{owner}: execute must take the context and nothing else: def execute(self, ctx)"
        ) from None


def refuse_generator(owner: str, body: Callable[..., object]) -> None:
    """Check that a call of *body* runs it.

    Raises:
        InvalidActionError: it makes a generator.
    """
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
        raise InvalidActionError(
            f"{owner}: is a generator, which nobody would run; leave out yield"
        )


def settled_id(cls: type | Callable[..., object], given: str | None) -> str:
    """Return the registry id of a class or function: the *given* one, or ``module:qualname``.

    Raises:
        InvalidActionError: it is not 1 to 200 characters of printable ASCII without spaces.
    """
    try:
        return _ID.validate_python(qualified_name(cls) if given is None else given)
    except ValidationError:
        text = shown(qualified_name(cls) if given is None else given)
        raise InvalidActionError(
            f"{cls.__name__}: {text} cannot be a registry id; an id is 1 to {LONGEST_ID} "
            f"characters of printable ASCII without spaces"
        ) from None


def first_paragraph(doc: str | None) -> str:
    """Return the first paragraph of a docstring as one line."""
    paragraph = inspect.cleandoc(doc or "").partition("\n\n")[0]
    return " ".join(paragraph.split())[:LONGEST_DESCRIPTION]


def documented(cls: type, own: dict[str, Any]) -> dict[str, Any]:
    """Return the description that the docstring gives *cls*, where its head gives none."""
    text = first_paragraph(cls.__dict__.get("__doc__"))
    return {"description": text} if text and "description" not in own else {}
