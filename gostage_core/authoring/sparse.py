"""Frozen models whose JSON leaves out what is at its default."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from gostage_core.authoring.secret_parameters import masked

if TYPE_CHECKING:
    from collections.abc import Iterable


class SparseModel(BaseModel):
    """A frozen model that takes no unknown fields, and writes only what is not at its default."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def is_written(self, name: str) -> bool:
        """Tell whether the field *name* appears in JSON."""
        plain = _defaults(type(self))
        if name in plain:
            return bool(getattr(self, name) != plain[name])
        field = type(self).model_fields[name]
        default = field.get_default(call_default_factory=True, validated_data=self.__dict__)
        return field.is_required() or bool(getattr(self, name) != default)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the fields, and no secret that is in them."""
        return ((name, masked(value)) for name, value in super().__repr_args__())

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if self.is_written(name)}


@cache
def _defaults(model: type[SparseModel]) -> dict[str, object]:
    return {
        name: field.default
        for name, field in model.model_fields.items()
        if not field.is_required() and field.default_factory is None
    }
