"""The JSON Schema of workflow files, asked by a validator that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field

from gostage_core.authoring.action import Action, action
from gostage_core.authoring.definition import (
    ActionDefinition,
    StageDefinition,
    WorkflowDefinition,
)
from gostage_core.authoring.middleware import Middleware, middlewares
from gostage_core.authoring.registry import registry
from gostage_core.authoring.retry import Retry
from gostage_core.authoring.workflow import Stage, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.context import ActionContext


class Address(BaseModel):
    city: str
    zip: str = Field(default="", pattern=r"^\d*$")


class Ship(Action, id="schema.ship"):
    """Ships a parcel.

    And more that editors need not show.
    """

    to: Address
    weight: Decimal = Decimal(1)

    def execute(self, ctx: ActionContext) -> None: ...


class Audit(Middleware, id="schema.audit"):
    """Writes down what happens."""

    file: str


@action("schema.plain")
def plain(ctx: ActionContext, level: int = 0) -> None: ...


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with registry.isolated(), middlewares.isolated():
        yield


def faults(document: object, **how: bool) -> list[str]:
    """Return the places in *document* that the schema refuses."""
    schema = Workflow.model_json_schema(**how)
    validator = jsonschema.Draft202012Validator(schema)
    return sorted({one.json_path for one in validator.iter_errors(document)})


def document(*actions: object, **stage: object) -> dict[str, Any]:
    return {"id": "x", "stages": [{"id": "a", "actions": list(actions), **stage}]}


def everything() -> Workflow:
    """Return a workflow that uses all of the form."""
    workflow = Workflow("order", name="Order", description="Sells.", tags=["prod"])
    workflow.use(Audit(file="log"))
    stage = workflow.add_stage(
        Stage(
            "ship",
            name="Shipping",
            description="Ships.",
            tags=["a"],
            initial={"hosts": ("a", "b"), "n": 3},
            parallel=True,
            max_parallel=3,
            on_failure="wait_all",
            join=1,
        )
    )
    stage.use(Audit(file="other"))
    stage.add(
        Ship(to=Address(city="Rome", zip="00100"), weight=Decimal("2.5")).options(
            name="one",
            description="d",
            tags=["t"],
            queue="fast",
            priority=3,
            retry=Retry(5, delay="90s", on=OSError, never_on=[KeyError]),
            timeout="5m",
            on_error="continue",
            store_as="parcel",
            isolation="process",
            memory_mb=512,
            cpu_seconds=30,
        ),
        plain.s(),
    )
    return workflow


@pytest.mark.parametrize("registered", [False, True])
def test_the_schema_is_one_and_refers_to_nothing_outside(registered: bool) -> None:
    schema = Workflow.model_json_schema(registered=registered)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    references = set(_references(schema))
    assert references
    assert references <= {f"#/$defs/{name}" for name in schema["$defs"]}
    json.dumps(schema)


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


@pytest.mark.parametrize("registered", [False, True])
def test_what_a_workflow_writes_fits_the_schema(registered: bool) -> None:
    assert faults(json.loads(everything().to_json()), registered=registered) == []


def test_the_schema_has_every_field_of_the_form() -> None:
    schema = Workflow.model_json_schema()
    top = set(schema["properties"])
    assert top == {*WorkflowDefinition.model_fields, "$schema"}
    for model in (StageDefinition, ActionDefinition):
        assert set(schema["$defs"][model.__name__]["properties"]) == set(model.model_fields)


def test_a_file_may_name_the_schema_that_it_follows() -> None:
    assert faults({"$schema": "workflow.schema.json", **document()}) == []


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({}, "$"),
        ({"id": "a b", "stages": [{"id": "a"}]}, "$.id"),
        ({"id": "x", "stages": []}, "$.stages"),
        ({**document(), "nme": "x"}, "$"),
        ({**document(), "gostage": 2}, "$.gostage"),
        ({**document(), "limits": {"max_depth": -1}}, "$.limits"),
        ({**document(), "middleware": [{"params": {}}]}, "$.middleware[0]"),
        (document({}), "$.stages[0].actions[0]"),
        (document({"action": "p", "retries": 3}), "$.stages[0].actions[0]"),
        (document({"action": "p", "timeout": "soon"}), "$.stages[0].actions[0].timeout"),
        (document({"action": "p", "memory_mb": 1}), "$.stages[0].actions[0].memory_mb"),
        (document({"action": "p", "isolation": "vm"}), "$.stages[0].actions[0].isolation"),
        (document(max_parallel=3), "$.stages[0]"),
        (document(join=3), "$.stages[0]"),
        (document(on_failure="wait_all"), "$.stages[0]"),
        (document(on_failure="explode", parallel=True), "$.stages[0].on_failure"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(wrong: object, place: str) -> None:
    assert place in faults(wrong)


def test_limits_of_a_parallel_stage_are_fine_where_it_is_parallel() -> None:
    assert faults(document(parallel=True, max_parallel=2, join=1, on_failure="wait_all")) == []
    assert faults(document(max_parallel=None, on_failure="fail_fast")) == []


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"action": "schema.ship"}, "$.stages[0].actions[0]"),
        ({"action": "schema.ship", "params": {}}, "$.stages[0].actions[0].params"),
        (
            {"action": "schema.ship", "params": {"to": {"city": 5}}},
            "$.stages[0].actions[0].params.to.city",
        ),
        (
            {"action": "schema.ship", "params": {"to": {"city": "Rome", "zip": "x"}}},
            "$.stages[0].actions[0].params.to.zip",
        ),
        (
            {"action": "schema.plain", "params": {"lvl": 1}},
            "$.stages[0].actions[0].params",
        ),
    ],
)
def test_parameters_of_registered_actions_are_checked_where_they_are_known(
    entry: object, place: str
) -> None:
    assert faults(document(entry)) == []
    assert faults(document(entry), registered=True) == [place]


def test_parameters_of_registered_middleware_are_checked_too() -> None:
    wrong = {**document(), "middleware": [{"use": "schema.audit"}]}
    assert faults(wrong) == []
    assert faults(wrong, registered=True) == ["$.middleware[0]"]


def test_actions_that_are_registered_elsewhere_are_fine() -> None:
    assert faults(document({"action": "other:pay", "params": {"a": [1]}}), registered=True) == []


def test_ids_are_offered_with_what_their_actions_are_for() -> None:
    schema = Workflow.model_json_schema(registered=True)
    offered = {
        one["const"]: one.get("description")
        for one in schema["$defs"]["ActionDefinition"]["properties"]["action"]["anyOf"]
        if "const" in one
    }
    assert offered["schema.ship"] == "Ships a parcel."
    assert offered["schema.plain"] is None
    assert "schema.ship" not in json.dumps(Workflow.model_json_schema())


def test_what_comes_with_gostage_is_always_known() -> None:
    entry = {
        "action": "gostage.ForEach",
        "params": {"key": "items", "actions": [{"action": "schema.plain"}], "max_parallel": 2},
    }
    assert faults(document(entry)) == []
    entry["params"]["actions"][0] = {"params": {}}
    assert faults(document(entry)) == ["$.stages[0].actions[0].params.actions[0]"]


def test_actions_inside_of_others_are_checked_as_well() -> None:
    inside = {"action": "schema.plain", "params": {"level": "high"}}
    entry = {"action": "gostage.Repeat", "params": {"actions": [inside], "max_times": 2}}
    assert faults(document(entry), registered=True) == [
        "$.stages[0].actions[0].params.actions[0].params.level"
    ]


def test_a_parameter_without_a_form_in_json_leaves_the_others_checked() -> None:
    class Odd(Action, id="schema.odd"):
        model_config = ConfigDict(arbitrary_types_allowed=True)

        call: Callable[[int], int] | None = None
        other: object = None
        size: int = 0

        def execute(self, ctx: ActionContext) -> None: ...

    entry = {"action": "schema.odd", "params": {"size": "big"}}
    assert faults(document(entry), registered=True) == ["$.stages[0].actions[0].params.size"]


def test_two_classes_of_one_name_are_kept_apart() -> None:
    def made(id: str, kind: type) -> None:
        class Same(BaseModel):
            value: kind  # type: ignore[valid-type]

        class Send(Action, id=id):
            what: Same

            def execute(self, ctx: ActionContext) -> None: ...

    made("schema.send.number", int)
    made("schema.send.text", str)
    for id, good, bad in (("schema.send.number", 1, "x"), ("schema.send.text", "x", 1)):
        for value, expected in ((good, []), (bad, ["$.stages[0].actions[0].params.what.value"])):
            entry = {"action": id, "params": {"what": {"value": value}}}
            assert faults(document(entry), registered=True) == expected
