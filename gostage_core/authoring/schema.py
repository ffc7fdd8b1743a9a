"""The JSON Schema of workflow files, with which editors complete and check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from gostage_core.authoring.definition import ActionDefinition, MiddlewareUse, WorkflowDefinition
from gostage_core.authoring.middleware import middlewares
from gostage_core.authoring.registry import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic.json_schema import JsonSchemaMode, JsonSchemaValue
    from pydantic_core import CoreSchema

    from gostage_core.authoring.registry import ModelRegistry

Schema = dict[str, Any]
Model = type[BaseModel]
Models = dict[str, Model]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = "#/$defs/{model}"
_OURS: Final = "gostage."
"""What the ids of all begin with that comes with gostage."""

_INTERNAL: Final = frozenset(
    {"gostage.CanvasGroup", "gostage.Gather", "gostage.ReturnToCanvas", "gostage.hook"}
)
"""What is made where plans are built, and by nobody who writes a file."""

_NAME_OF_THE_SCHEMA: Final = {"type": "string", "description": "Where editors find this schema."}

_NEEDS_PARALLEL: Final = {
    "max_parallel": {"type": "integer"},
    "join": {"type": "integer"},
    "on_failure": {"const": "wait_all"},
}


class _Generator(GenerateJsonSchema):
    """Takes for anything what has no form in JSON: the schema of the rest is of use."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def handle_invalid_for_json_schema(
        self, schema: CoreSchema, error_info: str
    ) -> JsonSchemaValue:
        """Return the schema that everything fits."""
        return {}


def workflow_schema(offers: Callable[[Model], bool]) -> Schema:
    """Return the schema of a workflow's document, which refers to nothing outside of itself.

    Args:
        offers: tells of a class of this process, an action or a middleware, whether the schema has
            its parameters; it always has those of what comes with gostage.
    """
    actions = _chosen(registry, offers)
    middleware = _chosen(middlewares, offers)
    models: Iterable[Model] = (WorkflowDefinition, *actions.values(), *middleware.values())
    wanted: list[tuple[Any, JsonSchemaMode]] = [(model, "validation") for model in models]
    references, schema = models_json_schema(
        wanted,
        by_alias=False,
        ref_template=_REFERENCE,
        schema_generator=_Generator,
    )
    schemas = schema["$defs"]
    params: dict[Any, Schema] = {model: at for (model, _), at in references.items()}
    _offer(schemas[ActionDefinition.__name__], "action", actions, params)
    _offer(schemas[MiddlewareUse.__name__], "use", middleware, params)
    _bind_to_parallel(schemas["StageDefinition"])
    # One that stands inside of another names no schema; it is a definition of its own.
    top = schemas[WorkflowDefinition.__name__]
    properties = {**top["properties"], "$schema": _NAME_OF_THE_SCHEMA}
    return {
        "$schema": _DIALECT,
        "$defs": schemas,
        **top,
        "properties": properties,
        "title": "Workflow",
    }


def _chosen(things: ModelRegistry[Any], offers: Callable[[Model], bool]) -> Models:
    known = {id: things.get(id) for id in things.ids()}
    return {
        id: one
        for id, one in known.items()
        if id not in _INTERNAL and (id.startswith(_OURS) or offers(one))
    }


def _offer(schema: Schema, field: str, models: Models, params: Mapping[Model, Schema]) -> None:
    """Let editors complete the ids of *models* in *field*, and the parameters that go with each."""
    if not models:
        return
    plain = schema["properties"][field]
    known = [_known(id, model) for id, model in models.items()]
    # One that is registered elsewhere alone is as good.
    form = {"pattern": plain.pop("pattern"), "type": plain.pop("type")}
    plain["anyOf"] = [*known, form]
    schema["allOf"] = [_condition(field, id, models[id], params[models[id]]) for id in models]


def _known(id: str, model: Model) -> Schema:
    first, _, _ = (model.__dict__.get("__doc__") or "").strip().partition("\n\n")
    return {"const": id, **({"description": " ".join(first.split())} if first else {})}


def _condition(field: str, id: str, model: Model, params: Schema) -> Schema:
    needs_any = any(one.is_required() for one in model.model_fields.values())
    return {
        "if": {"properties": {field: {"const": id}}, "required": [field]},
        "then": {
            "properties": {"params": params},
            **({"required": ["params"]} if needs_any else {}),
        },
    }


def _bind_to_parallel(stage: Schema) -> None:
    """Say which fields a stage may only have with ``parallel: true``."""
    stage["allOf"] = [
        {
            "if": {"properties": {name: form}, "required": [name]},
            "then": {"properties": {"parallel": {"const": True}}, "required": ["parallel"]},
        }
        for name, form in _NEEDS_PARALLEL.items()
    ]
