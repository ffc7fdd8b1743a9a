"""Parameters that are for nobody to see: ``SecretStr`` and ``SecretBytes``, as JSON.

Pydantic writes asterisks for them. Here each is ``{"$": "Secret", "v": text}``, so that it reaches
the worker, and everyone who shows parameters knows what to leave out.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretBytes, SecretStr

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pydantic import JsonValue

MASK: Final = "**********"
"""What stands in place of a secret where it is shown, as with pydantic."""

_TAG: Final = "Secret"
_SECRETS: Final = (_TAG, "SecretStr", "SecretBytes")
"""Of parameters, and as the codec writes values of the store."""


def tagged(value: Any, tree: JsonValue) -> JsonValue:
    """Return *tree*, which pydantic wrote of *value*, with the secrets in it."""
    if isinstance(value, SecretStr):
        return {"$": _TAG, "v": value.get_secret_value()}
    if isinstance(value, SecretBytes):
        return {"$": _TAG, "v": base64.urlsafe_b64encode(value.get_secret_value()).decode()}
    if isinstance(tree, list) and isinstance(value, list | tuple | set | frozenset):
        is_alike = len(tree) == len(value)
        return [*map(tagged, value, tree)] if is_alike else tree
    if not isinstance(tree, dict):
        return tree
    if isinstance(value, Mapping):
        is_alike = len(tree) == len(value)
        return dict(zip(tree, map(tagged, value.values(), tree.values()), strict=is_alike))
    return {name: tagged(getattr(value, name, None), part) for name, part in tree.items()}


def revealed(tree: Any) -> Any:
    """Return *tree* with each secret as the text that pydantic reads."""
    return _replaced(tree, lambda secret: secret["v"], tags=(_TAG,))


def masked(tree: Any) -> Any:
    """Return *tree* as it may be shown."""
    return _replaced(tree, lambda _: MASK, tags=_SECRETS)


def restored(tree: Any, original: Any) -> Any:
    """Return *tree* with the secrets of *original* where its masks were left in place."""
    if is_secret(original):
        return original if tree == MASK else tree
    if isinstance(tree, dict) and isinstance(original, dict):
        return {name: restored(part, original.get(name)) for name, part in tree.items()}
    if isinstance(tree, list) and isinstance(original, list) and len(tree) == len(original):
        return [*map(restored, tree, original)]
    return tree


def is_secret(tree: object) -> bool:
    """Tell whether *tree* stands for a secret parameter, or a secret value of a store."""
    return isinstance(tree, dict) and tree.keys() == {"$", "v"} and tree["$"] in _SECRETS


def _replaced(tree: Any, by: Callable[[Any], Any], *, tags: Collection[str]) -> Any:
    if is_secret(tree) and tree["$"] in tags:
        return by(tree)
    if isinstance(tree, dict):
        return {name: _replaced(part, by, tags=tags) for name, part in tree.items()}
    if isinstance(tree, list):
        return [_replaced(part, by, tags=tags) for part in tree]
    return tree
