"""Canvases as workflows: what becomes of each part, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, chain, chord, group

from gostage_core import CanvasError, CeleryTask, InvalidActionError, Workflow, run_signature
from gostage_core.broker.tagged import tagged, untagged
from tests.support.links import triple, workflow

if TYPE_CHECKING:
    from celery.canvas import Signature

app = Celery("canvas", set_as_current=False)


def task(name: str, *args: Any, **options: Any) -> Signature:
    return app.signature(f"shop.{name}", args, **options)


def outline(made: Workflow) -> dict[str, list[str]]:
    return {
        stage.id: [definition.name for definition in stage.definition().actions]
        for stage in made.stages.values()
    }


def test_the_links_of_a_chain_follow_each_other_in_a_stage() -> None:
    made = Workflow.from_canvas(chain(task("fetch", 1), task("parse"), task("save")))
    assert outline(made) == {"1-fetch-parse-save": ["fetch", "parse", "save"]}
    fetch, parse, save = made.stages["1-fetch-parse-save"].definition().actions
    assert (fetch.params["args"], fetch.params["give"], fetch.store_as) == ([1], {}, "chain[0]")
    assert (parse.params["give"], parse.store_as) == ({"0": "chain[0]"}, "chain[1]")
    assert (save.params["give"], save.store_as) == ({"0": "chain[1]"}, "result")


def test_a_group_is_a_parallel_stage_and_what_follows_gets_the_list() -> None:
    made = Workflow.from_canvas(chain(task("a"), group(task("b"), task("c")), task("d"), task("e")))
    assert outline(made) == {"1-a": ["a"], "2-group": ["b", "c"], "3-d-e": ["d", "e"]}
    stage = made.stages["2-group"].definition()
    assert (stage.parallel, stage.on_failure) == (True, "wait_all")
    assert [action.params["give"] for action in stage.actions] == [{"0": "chain[0]"}] * 2
    body = made.stages["3-d-e"].definition().actions[0]
    assert body.params["give"] == {"0": ["chain[1].header[0]", "chain[1].header[1]"]}


def test_a_chain_inside_of_a_group_is_one_member_of_it() -> None:
    made = Workflow.from_canvas(group(chain(task("a"), task("b")), task("c")), store_as="all")
    assert outline(made) == {"1-group": ["chain", "c"], "2-result": ["Gather"]}
    gather = made.stages["2-result"].definition().actions[0]
    assert gather.params["of"] == ["group[0].chain[1]", "group[1]"]
    assert gather.store_as == "all"


def test_a_result_that_nobody_takes_is_not_kept() -> None:
    made = Workflow.from_canvas(chain(task("a"), task("b", immutable=True)))
    first, second = made.stages["1-a-b"].definition().actions
    assert first.store_as is None
    assert second.params["give"] == {}


def test_long_chains_and_odd_names_give_ids_that_can_be_read() -> None:
    long = chain(*(app.signature(name) for name in ("x.fetch", "y", "x.z", "x.save all/now")))
    assert list(Workflow.from_canvas(long).stages) == ["1-fetch..save_all_now"]


def test_options_go_with_the_task_they_were_set_on() -> None:
    options = {"queue": "q", "priority": 3, "expires": 60, "time_limit": 9, "headers": {"a": 1}}
    made = Workflow.from_canvas(task("a").set(**options), timeout="5m")
    params = made.stages["1-a"].definition().actions[0].params
    assert params["queue"] == options.pop("queue")
    assert params["message"] == options
    assert params["timeout"] == 300


def test_arguments_that_celery_writes_with_a_tag_come_back_as_they_were() -> None:
    made = Workflow.from_canvas(task("pay", Decimal("9.99"), [Decimal(1)], {"x": {"y": None}}))
    args = made.stages["1-pay"].definition().actions[0].params["args"]
    assert untagged(json.loads(json.dumps(args))) == [
        Decimal("9.99"), [Decimal(1)], {"x": {"y": None}},
    ]  # fmt: skip
    with pytest.raises(ValueError, match="JSON"):
        tagged({"x": object()})


def test_what_was_linked_to_a_whole_is_linked_to_its_parts() -> None:
    done, bad = task("done"), task("bad")
    made = chain(task("a"), task("b"), task("c"))
    made.link(done)
    made.on_error(bad)
    messages = [one.params["message"] for one in _actions(Workflow.from_canvas(made))]
    assert [[link["task"] for link in one.get("link", [])] for one in messages] == [
        [], [], ["shop.done"],
    ]  # fmt: skip
    assert all([link["task"] for link in one["link_error"]] == ["shop.bad"] for one in messages)


def test_a_header_that_fails_calls_what_its_body_says_of_errors() -> None:
    made = Workflow.from_canvas(chord([task("a"), task("b")], task("c").on_error(task("bad"))))
    messages = [one.params["message"] for one in _actions(made)]
    assert [[link["task"] for link in one["link_error"]] for one in messages] == [["shop.bad"]] * 3


def _actions(made: Workflow) -> list[Any]:
    return [one for stage in made.stages.values() for one in stage.definition().actions]


def test_a_canvas_is_the_same_workflow_through_json_both_ways() -> None:
    canvas = chain(task("a"), group(chain(task("b"), group(task("c"), task("d"))), task("e")))
    made = Workflow.from_canvas(canvas)
    assert Workflow.from_canvas(json.loads(json.dumps(canvas))) == made
    assert Workflow.from_json(made.to_json()) == made


def test_generators_of_tasks_are_taken() -> None:
    made = Workflow.from_canvas(group(task("a", number) for number in range(3)))
    assert outline(made)["1-group"] == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("canvas", "about"),
    [
        (chain(task("a"), task("b").set(countdown=5)),
         "chain[1] (shop.b): cannot take the option countdown; put Sleep"),
        (chain(task("a"), task("x"), group(task("b").set(eta="soon"), task("c"))),
         "chain[2].group[0] (shop.b): cannot take the option eta"),
        (chord([task("a"), chain(task("b"), task("c").set(shadowy=1))], task("d")),
         "header[1].chain[1] (shop.c): cannot take the option shadowy"),
        (group(task("a"), task("b")).set(queue="q"), "the group has the option queue"),
        (chain(task("a"), task("b")).set(countdown=1), "cannot take the option countdown"),
        (chain(task("b"), group(task("c"), task("d"))).set(link=[task("e")]),
         "chain[1]: link= on what ends in a group; link to a task after it"),
        (task("a", object()), "shop.a: args cannot be written as JSON"),
        (chord([task("a")]), "the chord has no body"),
        (chain([]), "the chain is empty"),
        (group([task("a"), "b"]), "group[1]: a signature is wanted, not str"),
        ({"task": "celery.chain"}, "the chain has no tasks"),
        ({"task": "celery.chain", "kwargs": {}, "subtask_type": "chain"}, "cannot be read"),
        ({"task": "celery.map", "kwargs": {"task": task("a")}}, "the map has no it"),
        ({"name": "x"}, "a signature is wanted, not dict"),
        (len, "a signature is wanted"),
    ],
)  # fmt: skip
def test_what_no_run_can_do_is_refused_with_its_place(canvas: Any, about: str) -> None:
    with pytest.raises(CanvasError) as refused:
        Workflow.from_canvas(canvas)
    assert about in str(refused.value)


def test_a_task_in_place_of_its_signature_is_refused_with_what_to_write() -> None:
    @app.task(name="shop.bare", shared=False)
    def bare() -> None: ...

    with pytest.raises(CanvasError, match=r"write task\.s\(\.\.\.\)"):
        Workflow.from_canvas(bare)


@pytest.mark.parametrize(
    ("parameters", "about"),
    [
        ({"countdown": 3}, "put Sleep"),
        ({"priorty": 3}, "did you mean 'priority'"),
        ({"args": [object()]}, "args"),
        ({"give": {1: "x"}}, "counted from 0"),
        ({"give": {"x": 7}}, "a key of the store is wanted"),
        ({"give": {"x": "__own"}}, "reserved"),
        ({"timeout": 0}, "timeout"),
        ({"link": object()}, "a callback is not JSON"),
    ],
)
def test_a_celery_task_refuses_what_does_not_fit(parameters: Any, about: str) -> None:
    with pytest.raises(InvalidActionError, match=about):
        CeleryTask("shop.a", **parameters)


def test_a_celery_task_is_named_after_its_task_and_comes_back_from_json() -> None:
    made = Workflow("w")
    made.add_stage("s").add(
        CeleryTask("shop.mail.send", args=[1], give={"to": "user", 0: ["a", ["b"]]}, priority=1)
    )
    (definition,) = made.stages["s"].definition().actions
    assert definition.name == "send"
    assert Workflow.from_json(made.to_json()) == made


def test_a_run_that_is_to_be_a_link_is_a_signature_that_json_holds() -> None:
    signature = run_signature(
        workflow(triple.s()), give="in", take="out", store={"price": Decimal(1)}, deadline="1h"
    )
    assert json.loads(json.dumps(signature)) == {
        "task": "gostage.run",
        "args": [],
        "kwargs": {
            "definition": json.loads(workflow(triple.s()).to_json()),
            "give": "in",
            "take": "out",
            "store": {"price": {"$": "Decimal", "v": "1"}},
            "deadline": 3600,
        },
        "options": {"queue": "gostage"},
        "subtask_type": None,
        "immutable": False,
    }
    assert run_signature(workflow(triple.s())).immutable
