"""Workflows: built up in Python, written as JSON, and read from documents of others."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gostage_core.authoring.action import Action, action
from gostage_core.authoring.definition import MOST_ACTIONS, WorkflowDefinition
from gostage_core.authoring.registry import registry
from gostage_core.authoring.retry import Retry
from gostage_core.authoring.workflow import Stage, Workflow
from gostage_core.errors import (
    DefinitionError,
    DuplicateStageError,
    InvalidActionError,
    InvalidWorkflowError,
    UnknownActionError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core.context import ActionContext


class Greet(Action, id="greet"):
    """Greets the user."""

    greeting: str = "Hello"

    def execute(self, ctx: ActionContext) -> None: ...


@action("billing.charge", tags=["billing"], retry=Retry(5), timeout=30, store_as="charge.id")
def charge(ctx: ActionContext, amount: Decimal, currency: str = "EUR") -> str:
    """Charges a card."""
    return f"{amount} {currency}"


@action("plain")
def plain(ctx: ActionContext) -> None: ...


@dataclass
class Order:
    id: int


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with registry.isolated():
        yield


def order() -> Workflow:
    """Return a workflow that uses everything."""
    workflow = Workflow("order", name="Order processing", description="Sells.", tags=["prod"])
    check = workflow.add_stage(
        "check", name="Validation", tags=["critical"], initial={"api.timeout": 30, "pair": (1, 2)}
    )
    check.add(Greet(), charge.s(amount=Decimal("3.00")))
    workflow.add_stage(Stage("ship", [Greet(greeting="Hi").options(name="hi", retry=Retry(2))]))
    workflow.add_stage(Stage("notify", [plain.s()], parallel=True, max_parallel=4))
    return workflow


def document(*actions: object, **top: object) -> dict[str, Any]:
    """Return a document with one stage of these actions."""
    return {"id": "order", "stages": [{"id": "a", "actions": list(actions)}], **top}


# Building


def test_stages_are_kept_in_order_and_found_by_id():
    workflow = order()
    assert list(workflow.stages) == ["check", "ship", "notify"]
    assert workflow.stages["ship"].actions == (
        Greet(greeting="Hi").options(name="hi", retry=Retry(2)),
    )
    assert len(workflow.stages) == 3
    with pytest.raises(TypeError):
        workflow.stages["x"] = Stage("x")  # type: ignore[index]


def test_a_workflow_and_a_stage_tell_what_they_were_given():
    workflow = order()
    check, notify = workflow.stages["check"], workflow.stages["notify"]
    assert (workflow.id, workflow.name, workflow.tags) == ("order", "Order processing", ("prod",))
    assert workflow.description == "Sells."
    assert (check.id, check.name, check.tags) == ("check", "Validation", ("critical",))
    assert check.initial == {"api.timeout": 30, "pair": (1, 2)}
    assert (notify.parallel, notify.max_parallel) == (True, 4)
    assert (check.parallel, check.max_parallel) == (False, None)


def test_add_takes_several_and_returns_the_stage():
    stage = Stage("a")
    assert stage.add(Greet()).add(plain.s(), plain.s()) is stage
    assert len(stage.actions) == 3


def test_a_second_stage_of_one_id_is_refused_where_it_is_added():
    workflow = order()
    with pytest.raises(DuplicateStageError, match="'ship' is in this workflow already"):
        workflow.add_stage("ship")
    with pytest.raises(DuplicateStageError):
        workflow.add_stage(Stage("ship"))
    assert len(workflow.stages) == 3


def test_a_stage_brings_its_own_head():
    with pytest.raises(TypeError, match="name"):
        Workflow("x").add_stage(Stage("a"), name="b")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Greet, "Greet is a class; add an instance: Greet(...)"),
        (charge, "charge is not bound to its parameters; add charge.s(...)"),
        (len, "len is a plain function; decorate it with @action and add len.s(...)"),
        ([Greet()], "write *actions"),
        (Stage("b"), "add it to the workflow with add_stage(...)"),
        ("greet", "an action is wanted, not str"),
        (None, "an action is wanted, not NoneType"),
    ],
)
def test_what_is_no_bound_action_is_refused_with_what_to_write(wrong, told):
    stage = Stage("a")
    with pytest.raises(InvalidWorkflowError) as caught:
        stage.add(Greet(), wrong)
    assert told in str(caught.value)
    assert "'a'" in str(caught.value)
    assert stage.actions == ()


def test_actions_of_a_stage_are_a_list():
    with pytest.raises(InvalidWorkflowError, match="actions is a list"):
        Stage("a", Greet())  # type: ignore[arg-type]


@pytest.mark.parametrize("id", ["", " ", "a b", "a\n", "a{b}", "ü", "x" * 201, None, 5, "a/b"])
def test_ids_are_safe_in_keys_paths_and_urls(id):
    with pytest.raises(InvalidWorkflowError, match="id: "):
        Workflow(id)
    with pytest.raises(InvalidWorkflowError, match="id: "):
        Stage(id)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x" * 201},
        {"name": "a\x00"},
        {"name": 5},
        {"tags": "prod"},
        {"tags": [""]},
        {"tags": ["__internal"]},
        {"description": None},
    ],
)
def test_names_and_tags_that_do_not_fit_are_refused(values):
    with pytest.raises(InvalidWorkflowError, match=next(iter(values))):
        Workflow("x", **values)
    with pytest.raises(InvalidWorkflowError, match=next(iter(values))):
        Stage("x", **values)


def test_a_limit_needs_a_parallel_stage():
    with pytest.raises(InvalidWorkflowError, match="max_parallel needs parallel=True"):
        Stage("a", max_parallel=2)
    with pytest.raises(InvalidWorkflowError, match="max_parallel: input should be greater"):
        Stage("a", parallel=True, max_parallel=0)


@pytest.mark.parametrize(
    ("initial", "told"),
    [
        ({"__run": 1}, "reserved"),
        ({"": 1}, "empty"),
        ({5: 1}, "initial"),
        ({"a": object()}, "initial 'a': cannot store"),
        ({"a": [lambda: 1]}, "initial 'a': cannot store"),
        ([1], "a dict is wanted, not list"),
    ],
)
def test_initial_values_must_be_storable_when_the_stage_is_built(initial, told):
    with pytest.raises(InvalidWorkflowError) as caught:
        Stage("a", initial=initial)
    assert told in str(caught.value)


def test_initial_values_that_contain_themselves_are_refused():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidWorkflowError, match="contains itself"):
        Stage("a", initial={"a": loop})
    deep: list[Any] = []
    for _ in range(90):
        deep = [deep]
    with pytest.raises(InvalidWorkflowError, match="more than 64 deep"):
        Stage("a", initial={"a": deep})


def test_initial_values_are_copied():
    hosts = ["a"]
    stage = Stage("a", initial={"hosts": hosts})
    hosts.append("b")
    stage.initial["hosts"].append("c")
    assert stage.initial == {"hosts": ["a"]}


def test_a_workflow_without_stages_cannot_be_used():
    workflow = Workflow("x")
    for use in (workflow.definition, workflow.to_json, lambda: workflow.digest):
        with pytest.raises(InvalidWorkflowError, match="workflow 'x' has no stages"):
            use()


def test_a_stage_without_actions_is_fine():
    workflow = Workflow("x")
    workflow.add_stage("a")
    assert Workflow.from_json(workflow.to_json()) == workflow


def test_a_definition_is_a_snapshot():
    workflow = order()
    definition = workflow.definition()
    workflow.stages["ship"].add(plain.s())
    workflow.add_stage("more")
    assert [len(stage.actions) for stage in definition.stages] == [2, 1, 1]
    with pytest.raises(ValidationError, match="frozen"):
        definition.id = "other"  # type: ignore[misc]


def test_workflows_are_compared_by_what_they_do():
    assert order() == order()
    other = order()
    other.stages["ship"].add(plain.s())
    assert order() != other
    assert Stage("a", [Greet()]) == Stage("a", [Greet()])
    with pytest.raises(TypeError):
        hash(order())


# JSON


def test_json_says_what_is_not_at_its_default():
    assert json.loads(order().to_json()) == {
        "gostage": 1,
        "id": "order",
        "name": "Order processing",
        "description": "Sells.",
        "tags": ["prod"],
        "stages": [
            {
                "id": "check",
                "name": "Validation",
                "tags": ["critical"],
                "initial": {"api.timeout": 30, "pair": {"$": "tuple", "v": [1, 2]}},
                "actions": [
                    {
                        "action": "greet",
                        "params": {"greeting": "Hello"},
                        "description": "Greets the user.",
                    },
                    {
                        "action": "billing.charge",
                        "params": {"amount": "3.00", "currency": "EUR"},
                        "description": "Charges a card.",
                        "tags": ["billing"],
                        "retry": {"max_attempts": 5},
                        "timeout": 30.0,
                        "store_as": "charge.id",
                    },
                ],
            },
            {
                "id": "ship",
                "actions": [
                    {
                        "action": "greet",
                        "params": {"greeting": "Hi"},
                        "name": "hi",
                        "description": "Greets the user.",
                        "retry": {"max_attempts": 2},
                    }
                ],
            },
            {
                "id": "notify",
                "parallel": True,
                "max_parallel": 4,
                "actions": [{"action": "plain"}],
            },
        ],
    }


def test_a_small_workflow_is_a_small_text():
    workflow = Workflow("x")
    workflow.add_stage("a").add(plain.s())
    assert workflow.to_json() == (
        '{"gostage":1,"id":"x","stages":[{"id":"a","actions":[{"action":"plain"}]}]}'
    )
    assert workflow.to_json(indent=2).startswith('{\n  "gostage": 1,')


def test_a_workflow_survives_json():
    workflow = order()
    again = Workflow.from_json(workflow.to_json(indent=2))
    assert again == workflow
    assert again.to_json() == workflow.to_json()
    assert again.digest == workflow.digest
    assert again.stages["check"].actions == workflow.stages["check"].actions
    assert again.stages["check"].initial == {"api.timeout": 30, "pair": (1, 2)}
    assert Workflow.from_dict(json.loads(workflow.to_json())) == workflow
    assert Workflow.from_json(workflow.to_json().encode()) == workflow


def test_its_definition_survives_json_without_the_registry():
    definition = order().definition()
    again = WorkflowDefinition.model_validate_json(definition.to_json())
    assert again == definition
    assert again.to_json() == definition.to_json()
    assert again.digest == definition.digest
    assert again.stages[0].actions[0].name == "greet"
    assert again.stages[0].actions[1].name == "charge"


def test_what_an_entry_takes_back_from_its_class_survives_json():
    workflow = Workflow("x")
    back = charge.s(1).options(retry=None, timeout=None, tags=[], store_as=None)
    workflow.add_stage("a").add(back)
    again = Workflow.from_json(workflow.to_json())
    assert again == workflow
    assert again.digest == workflow.digest
    entry = again.definition().stages[0].actions[0]
    assert (entry.retry, entry.timeout, entry.tags, entry.store_as) == (None, None, (), None)


def test_options_that_a_document_leaves_out_are_those_of_the_class():
    workflow = Workflow.from_dict(
        document(
            {"action": "billing.charge", "params": {"amount": 3}},
            {"action": "billing.charge", "params": {"amount": 3}, "timeout": "2m", "tags": ["x"]},
        )
    )
    first, second = workflow.definition().stages[0].actions
    assert (first.retry, first.timeout, first.tags) == (Retry(5), 30, ("billing",))
    assert (first.store_as, first.description) == ("charge.id", "Charges a card.")
    assert (second.retry, second.timeout, second.tags) == (Retry(5), 120, ("x",))


def test_parameters_of_a_document_are_normalised():
    workflow = Workflow.from_dict(document({"action": "billing.charge", "params": {"amount": 3}}))
    built = Workflow("order")
    built.add_stage("a").add(charge.s(3))
    assert workflow == built
    assert workflow.digest == built.digest


def test_the_digest_changes_with_any_content():
    digests = {order().digest}
    for change in (
        lambda workflow: workflow.add_stage("z"),
        lambda workflow: workflow.stages["ship"].add(plain.s()),
        lambda workflow: workflow.stages["ship"].add(plain.s().options(priority=3)),
        lambda workflow: workflow.stages["ship"].add(plain.s().options(name="other")),
        lambda workflow: workflow.stages["ship"].add(charge.s(1)),
        lambda workflow: workflow.stages["ship"].add(charge.s(1, "USD")),
    ):
        workflow = order()
        change(workflow)
        digests.add(workflow.digest)
    assert len(digests) == 7
    assert all(len(digest) == 64 for digest in digests)


def test_the_digest_is_the_same_in_every_process():
    program = (
        "from gostage_core.authoring.action import action\n"
        "from gostage_core.authoring.workflow import Workflow\n"
        "@action('pay')\n"
        "def pay(ctx, words: set[str], more=frozenset('abcdef')): ...\n"
        "workflow = Workflow('x', tags={'a', 'b', 'c', 'd'})\n"
        "stage = workflow.add_stage('a', initial={'s': {'u', 'v', 'w', 'x'}})\n"
        "stage.add(pay.s({'ant', 'bee', 'cat', 'dog'}))\n"
        "print(workflow.digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path}\n{program}"],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(digests) == 1


def test_values_of_classes_travel_in_initial_values():
    workflow = Workflow("x")
    workflow.add_stage("a", initial={"order": Order(1), "amounts": {Decimal(1)}})
    again = Workflow.from_json(workflow.to_json())
    assert again == workflow
    assert again.stages["a"].initial == {"order": Order(1), "amounts": {Decimal(1)}}


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=TREES, text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_whatever_can_be_built_survives_json(value, text):
    @action("any")
    def anything(ctx: ActionContext, it: Any, text: str) -> None: ...

    workflow = Workflow("x")
    workflow.add_stage("a", initial={"it": value}).add(anything.s(value, text))
    again = Workflow.from_json(workflow.to_json())
    assert again.digest == workflow.digest
    assert again.stages["a"].initial == {"it": value}
    assert vars(again.stages["a"].actions[0]) == {"it": value, "text": text}


# Documents of others


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
        ('{"id": NaN}', "not JSON"),
        ('{"id": "\ud800"}', "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[]", "a workflow is an object with an id and stages, not list"),
        ("null", "not NoneType"),
        ("3", "not int"),
        (3, "JSON is text, not int"),
        (" " * (16 * 1024 * 1024 + 1), "limit of 16,777,216"),
    ],
)
def test_text_that_is_no_workflow_is_refused(text, told):
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_json(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({}, "id: field required\nstages: field required"),
        ({"id": "x"}, "stages: field required"),
        ({"id": "x", "stages": []}, "stages: the workflow has no stages"),
        ({"id": "x", "stages": {}}, "stages: input should be a valid tuple"),
        ({"id": "x", "stages": [5]}, "stages[0]: input should be a valid dictionary"),
        ({"id": "x", "stages": [{}]}, "stages[0].id: field required"),
        ({"id": "a b", "stages": [{"id": "a"}]}, "id: 'a b' is not 1 to 200 of"),
        ({"id": "x", "stages": [{"id": "a"}], "gostage": 2}, "reads format 1, not 2"),
        (document(nme="x"), "nme: unexpected field; did you mean 'name'?"),
        (document(5), "stages[0].actions[0]: input should be"),
        (document({}), "stages[0].actions[0].action: field required"),
        (document({"action": "a b"}), "stages[0].actions[0].action: string should match"),
        (document({"action": 5}), "stages[0].actions[0].action: input should be a valid string"),
        (document({"action": "plain", "params": []}), "stages[0].actions[0].params: input should"),
        (document({"action": "plain", "retries": 3}), "did you mean 'retry'?"),
        (document({"action": "plain", "timeout": -1}), "stages[0].actions[0].timeout: a duration"),
        (
            document({"action": "plain", "retry": {"max_attempts": 0}}),
            "stages[0].actions[0].retry.max_attempts: input should be greater than or equal to 1",
        ),
        (
            document({"action": "plain", "retry": {"dely": 3}}),
            "stages[0].actions[0].retry.dely: unexpected field; did you mean 'delay'?",
        ),
        (
            {"id": "x", "stages": [{"id": "a", "max_parallel": 3}]},
            "stages[0]: max_parallel needs parallel=True",
        ),
        (
            {"id": "x", "stages": [{"id": "a", "initial": {"__a": 1}}]},
            "stages[0].initial.__a: not a name for a key",
        ),
        (
            {"id": "x", "stages": [{"id": "a", "initial": {"k": {"$": "nothing"}}}]},
            "stages[0].initial.k: not a stored value",
        ),
        (
            {"id": "x", "stages": [{"id": "a", "initial": {"k": {1, 2}}}]},
            "stages[0].initial.k: set is not a JSON value",
        ),
    ],
)
def test_a_wrong_document_is_refused_with_the_place(broken, told):
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_dict(broken)
    assert told in str(caught.value)


def test_a_number_beyond_floats_is_refused():
    text = '{"id":"x","stages":[{"id":"a","initial":{"k":1e999}}]}'
    with pytest.raises(InvalidWorkflowError, match=r"stages\[0\]\.initial\.k: inf is not a JSON"):
        Workflow.from_json(text)


def test_wrong_parameters_are_refused_with_the_place():
    with pytest.raises(InvalidActionError) as caught:
        Workflow.from_dict(
            document(
                {"action": "billing.charge", "params": {"amuont": 3}},
                {"action": "greet", "params": {"greeting": []}},
            )
        )
    assert str(caught.value).splitlines() == [
        "stages[0].actions[0].params.amount: field required",
        "stages[0].actions[0].params.amuont: unexpected parameter; did you mean 'amount'?",
        "stages[0].actions[1].params.greeting: input should be a valid string",
    ]


def test_unknown_actions_are_refused_with_the_place():
    with pytest.raises(UnknownActionError) as caught:
        Workflow.from_dict(document({"action": "plain"}, {"action": "os:system"}))
    assert str(caught.value).startswith(
        "stages[0].actions[1].action: no action is registered under 'os:sy"
    )
    assert caught.value.action_id == "os:system"
    with pytest.raises(UnknownActionError) as caught:
        Workflow.from_dict(document({"action": "one"}, {"action": "two"}))
    first, second = str(caught.value).splitlines()
    assert first.startswith("stages[0].actions[0].action: no action is registered under 'one'")
    assert second.startswith("stages[0].actions[1].action: no action is registered under 'two'")


def test_a_stage_id_that_is_there_twice_is_refused_with_the_place():
    with pytest.raises(DuplicateStageError, match=r"^stages\[1\]\.id: a stage 'a'"):
        Workflow.from_dict({"id": "x", "stages": [{"id": "a"}, {"id": "a"}]})


def test_problems_of_several_kinds_are_all_listed():
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_dict(
            {
                "id": "x",
                "nme": "y",
                "stages": [
                    {"id": "a", "actions": [{"action": "gone"}]},
                    {"id": "a", "actions": [{"action": "greet", "params": {"greting": 1}}]},
                ],
            }
        )
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "nme",
        "stages[1].id",
        "stages[0].actions[0].action",
        "stages[1].actions[0].params.greting",
    ]


def test_a_long_list_of_problems_is_cut():
    with pytest.raises(InvalidActionError) as caught:
        Workflow.from_dict(document(*[{"action": "billing.charge"}] * 1000))
    lines = str(caught.value).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "... and 900 more problems"


def test_a_workflow_of_too_many_stages_or_actions_is_refused():
    stages = [{"id": f"s{number}"} for number in range(10_001)]
    with pytest.raises(InvalidWorkflowError, match="10,001 stages, more than the limit of 10,000"):
        Workflow.from_dict({"id": "x", "stages": stages})
    workflow = Workflow("x")
    for number in range(10_001):
        workflow.add_stage(f"s{number}")
    with pytest.raises(InvalidWorkflowError, match="10,001 stages, more than the limit of 10,000"):
        workflow.definition()
    with pytest.raises(
        InvalidWorkflowError, match="100,001 actions, more than the limit of 100,000"
    ):
        Workflow.from_dict(document(*[{"action": "plain"}] * (MOST_ACTIONS + 1)))


def test_a_workflow_of_too_many_bytes_is_refused():
    workflow = Workflow("x")
    stage = workflow.add_stage("a")
    for _ in range(9):
        stage.add(Greet(greeting="x" * 2_000_000))
    with pytest.raises(InvalidWorkflowError, match="more than the limit of 16,777,216"):
        workflow.to_json()
    data = workflow.definition().model_dump(mode="json")
    with pytest.raises(InvalidWorkflowError, match="the limit of 16,777,216"):
        Workflow.from_dict(data)


def test_a_document_that_contains_itself_is_refused():
    loop = document()
    loop["stages"][0]["initial"] = {"k": loop}
    with pytest.raises(InvalidWorkflowError, match="more than 72 deep"):
        Workflow.from_dict(loop)


def test_a_document_that_multiplies_itself_is_refused():
    bomb: list[Any] = ["ha"]
    for _ in range(40):
        bomb = [bomb] * 10
    with pytest.raises(InvalidWorkflowError, match="the limit of 16,777,216"):
        Workflow.from_dict({"id": "x", "stages": [{"id": "a", "initial": {"k": bomb}}]})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "stages", "actions", "action", "params", "initial", "retry", "name"]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(junk=JUNK)
def test_no_document_ends_in_an_error_of_another_library(junk):
    for made in (junk, {"id": "x", "stages": junk}, document(junk)):
        with suppress(DefinitionError):
            Workflow.from_dict(made)


# YAML


YAML = """\
# A workflow of a shop.
gostage: 1
id: order
tags: [prod]
stages:
  - id: check
    initial: {api.timeout: 30, zip: 01234, time: 12:30, on: yes, rate: 1e3, day: 2026-01-02}
    actions:
      - action: greet
      - action: billing.charge
        params: {amount: 9.99}
        retry: &patient
          max_attempts: 3
          on: [OSError]
      - action: plain
        retry: *patient
"""


def test_a_workflow_may_be_written_in_yaml(tmp_path: Path):
    file = tmp_path / "order.yaml"
    file.write_text(YAML)
    workflow = Workflow.from_yaml(file)
    assert workflow == Workflow.from_yaml(str(file))
    check = workflow.stages["check"]
    assert check.initial == {
        "api.timeout": 30,
        "zip": "01234",
        "time": "12:30",
        "on": "yes",
        "rate": 1000.0,
        "day": "2026-01-02",
    }
    assert check.actions[:2] == (
        Greet(),
        charge.s("9.99").options(retry=Retry(3, on=OSError)),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id: x\nstages: [\n", "order.yaml:3: not YAML"),
        ("id: x\n  stages: []", "order.yaml:2: not YAML"),
        ("id: x\nid: y\n", "order.yaml:2: id: is there twice; the first is on line 1"),
        (
            "id: !!python/object:os.system {}",
            "order.yaml:1: not YAML: could not determine a constructor",
        ),
        ("id: x\n---\nid: y", "not YAML"),
        ("id: \x07", "not YAML"),
        ("[" * 200_000, "nested too deeply"),
        ("a: &a [*a]", "deep in one another"),
        ("? [a]\n: b", "order.yaml:1: a key is a text"),
        ("", "a workflow is an object with an id and stages, not NoneType"),
        ("just text", "not str"),
        (
            "id: x\nstages:\n- id: a\n  actions:\n  - action: gone\n",
            "order.yaml:5: stages[0].actions[0].action: no action",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(tmp_path: Path, text, told):
    file = tmp_path / "order.yaml"
    file.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        Workflow.from_yaml(file)
    assert told in str(caught.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path):
    file = tmp_path / "order.yaml"
    file.write_bytes(b"id: \xff")
    with pytest.raises(InvalidWorkflowError, match=r"order\.yaml:1: not YAML"):
        Workflow.from_yaml(file)


def test_a_file_that_is_not_there_is_told_as_python_does(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Workflow.from_yaml(tmp_path / "gone.yaml")


def test_a_file_that_multiplies_itself_is_refused(tmp_path: Path):
    names = [f"a{number}" for number in range(20)]
    lines = ["a0: &a0 [ha, ha]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)
    ]
    file = tmp_path / "order.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(InvalidWorkflowError, match="the limit of 16,777,216"):
        Workflow.from_yaml(file)


# Schema


def test_the_schema_describes_workflow_files():
    schema = Workflow.model_json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Workflow"
    assert schema["required"] == ["id", "stages"]
    assert schema["properties"]["stages"]["minItems"] == 1
    stage, entry = schema["$defs"]["StageDefinition"], schema["$defs"]["ActionDefinition"]
    assert stage["required"] == ["id"]
    assert entry["required"] == ["action"]
    assert entry["additionalProperties"] is False
    assert entry["properties"]["tags"]["description"] == "Words to select actions by."
    timeout = entry["properties"]["timeout"]["anyOf"]
    assert {form["type"] for form in timeout} == {"number", "string", "null"}
    json.dumps(schema)


def test_a_file_may_name_its_schema():
    text = '{"$schema": "workflow.schema.json", "id": "x", "stages": [{"id": "a"}]}'
    assert "$schema" not in Workflow.from_json(text).to_json()
