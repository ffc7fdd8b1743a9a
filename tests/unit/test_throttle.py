"""What a throttle may say, and under which key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostage_core import Action, ActionContext, Stage, Throttle, Workflow, action
from gostage_core.authoring.action import definition_of
from gostage_core.authoring.definition import ActionDefinition
from gostage_core.errors import InvalidActionError, InvalidWorkflowError
from gostage_core.plan import run_throttle

pytestmark = pytest.mark.usefixtures("fresh_registry")


def keys_of(workflow: Workflow) -> list[str]:
    return [
        one.throttle.key
        for stage in workflow.definition().stages
        for one in stage.actions
        if one.throttle is not None
    ]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"concurrency": 3}, "3|0|1000|k"),
        ({"rate": 10}, "0|10|1000|k"),
        ({"rate": 10, "per": "1m"}, "0|10|60000|k"),
        ({"concurrency": 1, "rate": 1, "per": 0.001}, "1|1|1|k"),
        ({"rate": 5, "per": timedelta(hours=2)}, "0|5|7200000|k"),
    ],
)
def test_it_bounds_what_goes_on_how_much_begins_or_both(numbers: dict[str, Any], text: str) -> None:
    assert Throttle("k", **numbers).text("k") == text


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({}, "bounds nothing; give it concurrency= or rate="),
        ({"per": 5}, "bounds nothing"),
        ({"concurrency": 0}, "Throttle.concurrency: .*greater than or equal to 1"),
        ({"concurrency": -1}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"rate": 0}, "Throttle.rate"),
        ({"rate": 100_001}, "less than or equal to 100000"),
        ({"rate": 1, "per": 0}, "Throttle.per"),
        ({"rate": 1, "per": -1}, "per"),
        ({"rate": 1, "per": "soon"}, "not a duration"),
        ({"rate": 1, "per": "400d"}, "at most 366 days"),
        ({"rate": "many"}, "rate"),
    ],
)
def test_what_bounds_nothing_or_makes_no_sense_is_refused_by_its_name(
    numbers: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidActionError, match=told):
        Throttle("k", **numbers)


@pytest.mark.parametrize("key", ["__x", "a\nb", "k" * 201, "\u202ex", 7, None])
def test_what_no_key_can_be_is_refused(key: Any) -> None:
    with pytest.raises(InvalidActionError, match="key"):
        Throttle(key, concurrency=1)


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(TypeError):
        Throttle("k", limit=3)  # type: ignore[call-arg]


def test_without_a_key_it_bounds_the_action_or_the_runs_of_the_workflow() -> None:
    @action("mail.send", throttle=Throttle(concurrency=1))
    def send(ctx: ActionContext) -> None: ...

    workflow = Workflow("order", throttle=Throttle(concurrency=2))
    workflow.add_stage(Stage("s", [send.s(), send.s().options(name="again")]))
    assert keys_of(workflow) == ["mail.send", "mail.send"]
    definition = workflow.definition()
    assert run_throttle(definition, "") == "2|0|1000|order"
    assert run_throttle(definition, "ana") == "2|0|1000|order:ana"
    plain = Workflow("plain")
    plain.add_stage(Stage("s", [send.s()]))
    assert run_throttle(plain.definition(), "ana") == ""


def test_a_key_is_filled_with_parameters_of_the_action() -> None:
    @action(throttle=Throttle("{api}:{tenant}", rate=5))
    def call(ctx: ActionContext, api: str, tenant: int = 7, note: str = "{x}") -> None: ...

    class Call(Action, throttle=Throttle("of {tenant}", concurrency=1)):
        """Call."""

        tenant: str

        def execute(self, ctx: ActionContext) -> None: ...

    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [call.s(api="a"), call.s(api="b", tenant=8), Call(tenant="x")]))
    assert keys_of(workflow) == ["a:7", "b:8", "of x"]
    with pytest.raises(InvalidActionError, match="'nobody', which is no parameter; there are"):
        definition_of(call.s(api="a").options(throttle=Throttle("{nobody}", rate=1)))


@pytest.mark.parametrize("tenant", ["", "__x", "a\nb", "k" * 201])
def test_a_parameter_that_no_key_can_have_is_refused_where_the_plan_is_built(tenant: str) -> None:
    @action(throttle=Throttle("{tenant}", concurrency=1))
    def call(ctx: ActionContext, tenant: str) -> None: ...

    workflow = Workflow("w")
    with pytest.raises((InvalidActionError, InvalidWorkflowError), match="throttle: its key"):
        workflow.add_stage(Stage("s", [call.s(tenant=tenant)]))


def test_an_option_takes_the_place_of_what_the_class_says_or_takes_it_back() -> None:
    @action(throttle=Throttle("a", concurrency=1))
    def call(ctx: ActionContext) -> None: ...

    other = definition_of(call.s().options(throttle=Throttle("b", rate=2)))
    assert other.throttle is not None
    assert (other.throttle.key, other.throttle.concurrency, other.throttle.rate) == ("b", None, 2)
    none = definition_of(call.s().options(throttle=None))
    assert none.throttle is None
    assert ActionDefinition.model_validate_json(none.model_dump_json()).throttle is None


def test_a_workflow_file_says_it_as_code_does() -> None:
    @action("call")
    def call(ctx: ActionContext, tenant: str = "") -> None: ...

    read = Workflow.from_dict(
        {
            "id": "w",
            "throttle": {"concurrency": 2},
            "stages": [
                {
                    "id": "s",
                    "actions": [
                        {
                            "action": "call",
                            "params": {"tenant": "ana"},
                            "throttle": {"key": "api:{tenant}", "rate": 3, "per": "1m"},
                        }
                    ],
                }
            ],
        }
    )
    assert keys_of(read) == ["api:ana"]
    assert read.throttle == Throttle(concurrency=2)
    again = Workflow.from_json(read.to_json())
    assert (again.digest, keys_of(again)) == (read.digest, ["api:ana"])


@pytest.mark.parametrize(
    ("throttle", "place"),
    [({"rate": 0}, r"throttle\.rate"), ({}, "throttle"), ({"rate": 1, "every": 2}, "every")],
)
def test_a_mistake_in_a_file_is_told_with_its_place(throttle: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=place):
        Workflow.from_dict({"id": "w", "throttle": throttle, "stages": []})


VISIBLE = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=200
).filter(lambda text: not text.startswith("__") and "{" not in text)


@given(key=VISIBLE, most=st.integers(1, 10**9), rate=st.integers(1, 100_000))
def test_what_is_written_for_the_scripts_can_be_read_back(key: str, most: int, rate: int) -> None:
    text = Throttle(key, concurrency=most, rate=rate).text(key)
    assert text.split("|", 3) == [str(most), str(rate), "1000", key]
