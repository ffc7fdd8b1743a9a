"""Middleware as it is written, and what travels of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    Action,
    ActionContext,
    DuplicateActionError,
    HookContext,
    InvalidActionError,
    InvalidWorkflowError,
    Middleware,
    Stage,
    UnknownMiddlewareError,
    Workflow,
)
from gostage_core.authoring.definition import MiddlewareUse
from gostage_core.authoring.middleware import (
    around_of,
    has_run_hooks,
    has_stage_hooks,
    middlewares,
    use_of,
    wrapped_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("fresh_registry")


@pytest.fixture(autouse=True)
def _fresh_middleware() -> Iterator[None]:
    with middlewares.isolated():
        yield


class Step(Action, id="step"):
    def execute(self, ctx: ActionContext) -> None:
        """Do nothing."""


class Around(Middleware, id="around"):
    note: str = ""

    def around_action(self, ctx: ActionContext, call_next: Callable[[], Any]) -> object:
        return call_next()


class Staged(Middleware, id="staged"):
    depth: int = 1

    def before_stage(self, ctx: HookContext) -> None:
        """Do nothing."""


class After(Middleware, id="after"):
    def after_stage(self, ctx: HookContext, outcome: object) -> None:
        """Do nothing."""

    async def after_run(self, ctx: HookContext, outcome: object) -> None:
        """Do nothing."""


class Limiting(Middleware, id="limiting"):
    def attempt_limit(self, ctx: ActionContext) -> float | None:
        return 1.0


UNKNOWN = MiddlewareUse(use="elsewhere", params={})


def workflow() -> Workflow:
    made = Workflow("order").use(Around(note="outer"), Staged())
    made.add_stage(Stage("ship", [Step()])).use(Staged(depth=2)).use(Around())
    return made


def test_middleware_travels_as_its_id_and_its_parameters() -> None:
    definition = workflow().definition()
    assert definition.middleware == (
        MiddlewareUse(use="around", params={"note": "outer"}),
        MiddlewareUse(use="staged", params={"depth": 1}),
    )
    assert [one.use for one in definition.stages[0].middleware] == ["staged", "around"]


def test_what_is_used_survives_the_way_through_json() -> None:
    first = workflow()
    second = Workflow.from_json(first.to_json())
    assert second == first
    assert second.digest == first.digest


def test_parameters_that_a_document_leaves_out_are_written_out() -> None:
    document = json.loads(workflow().to_json())
    document["middleware"][1] = {"use": "staged"}
    assert Workflow.from_dict(document) == workflow()


def test_a_workflow_without_middleware_is_written_as_before() -> None:
    made = Workflow("order")
    made.add_stage("ship").add(Step())
    assert "middleware" not in made.to_json()


def test_a_snapshot_is_not_touched_by_what_is_used_later() -> None:
    made = workflow()
    before = made.definition()
    made.use(After())
    made.stages["ship"].use(After())
    assert len(before.middleware) == 2
    assert len(before.stages[0].middleware) == 2


@pytest.mark.parametrize(
    ("thing", "complaint"),
    [
        (Around, "Around is a class; use an instance: Around(...)"),
        ([Around()], "middleware is given one by one; write use(*middleware)"),
        (Step(), "a Middleware is wanted, not Step"),
        (print, "a Middleware is wanted, not builtin_function_or_method"),
    ],
)
def test_what_is_no_middleware_is_refused_with_what_to_write_instead(
    thing: Any, complaint: str
) -> None:
    with pytest.raises(InvalidWorkflowError) as on_workflow:
        Workflow("order").use(thing)
    assert str(on_workflow.value) == f"workflow 'order': {complaint}"
    with pytest.raises(InvalidWorkflowError) as on_stage:
        Stage("ship").use(Around(), thing)
    assert str(on_stage.value) == f"stage 'ship': {complaint}"


def test_an_unknown_middleware_in_a_document_is_told_with_its_place() -> None:
    document = json.loads(workflow().to_json())
    document["stages"][0]["middleware"][1]["use"] = "arround"
    with pytest.raises(UnknownMiddlewareError) as told:
        Workflow.from_dict(document)
    assert str(told.value).startswith(
        "stages[0].middleware[1].use: no middleware is registered under 'arround' in this process; "
        "did you mean 'around'?"
    )


def test_parameters_that_do_not_fit_are_told_with_their_place() -> None:
    document = json.loads(workflow().to_json())
    document["middleware"][1]["params"] = {"depth": "deep", "wide": 1}
    with pytest.raises(InvalidActionError) as told:
        Workflow.from_dict(document)
    lines = sorted(str(told.value).splitlines())
    assert lines[0].startswith("middleware[1].params.depth: input should be a valid integer")
    assert lines[1] == "middleware[1].params.wide: unexpected parameter"


def test_wrong_parameters_are_refused_where_the_middleware_is_made() -> None:
    with pytest.raises(InvalidActionError, match=r"^Staged\.dept: unexpected parameter; did you"):
        Staged(dept=1)  # type: ignore[call-arg]


def test_two_classes_under_one_id_are_refused() -> None:
    with pytest.raises(DuplicateActionError, match=r"^middleware id 'around' is registered by"):

        class Other(Middleware, id="around"):
            """Another."""


def test_the_id_is_the_place_of_the_class_unless_given() -> None:
    class Plain(Middleware):
        """Has no id."""

    assert use_of(Plain()).use.endswith(
        ":test_the_id_is_the_place_of_the_class_unless_given.<locals>.Plain"
    )


def test_a_hook_that_takes_something_else_is_refused() -> None:
    with pytest.raises(InvalidActionError) as told:

        class Wrong(Middleware):
            def after_stage(self, ctx: HookContext) -> None:  # type: ignore[override]
                """Forget the outcome."""

    assert str(told.value) == (
        "Wrong.after_stage: is called with other arguments: def after_stage(self, ctx, outcome)"
    )


def test_a_hook_that_is_a_generator_is_refused() -> None:
    with pytest.raises(InvalidActionError, match=r"^Wrong\.before_run: is a generator"):

        class Wrong(Middleware):
            def before_run(self, ctx: HookContext) -> Iterator[None]:
                yield


def test_a_parameter_with_the_name_of_a_hook_is_refused() -> None:
    with pytest.raises(InvalidActionError, match=r"^Wrong\.before_run: no parameter may be called"):

        class Wrong(Middleware):
            before_run: str = ""  # type: ignore[assignment]


def test_a_middleware_has_no_constructor_of_its_own() -> None:
    with pytest.raises(InvalidActionError, match=r"^Wrong: a middleware has no __init__"):

        class Wrong(Middleware):
            def __init__(self) -> None:
                super().__init__()


def test_a_subclass_keeps_the_hooks_and_has_an_id_of_its_own() -> None:
    class Further(Staged):
        far: bool = True

    use = use_of(Further())
    assert use.use != "staged"
    assert use.params == {"depth": 1, "far": True}
    assert has_stage_hooks([use]) == (True, False)


def test_only_what_wraps_attempts_travels_with_the_actions() -> None:
    outer = [use_of(After()), use_of(Around(note="o"))]
    own = [use_of(Staged()), use_of(Limiting())]
    assert around_of(outer, own) == [
        {"use": "around", "params": {"note": "o"}},
        {"use": "limiting"},
    ]
    assert around_of([use_of(After())], [use_of(Staged())]) == []


def test_hooks_are_planned_where_a_class_has_them() -> None:
    assert has_stage_hooks([]) == (False, False)
    assert has_stage_hooks([use_of(Around()), use_of(Staged())]) == (True, False)
    assert has_stage_hooks([use_of(After())]) == (False, True)
    assert has_run_hooks([use_of(Staged()), use_of(After())]) == (False, True)


def test_of_what_this_process_does_not_know_every_hook_is_planned() -> None:
    assert has_stage_hooks([UNKNOWN]) == (True, True)
    assert has_run_hooks([UNKNOWN]) == (True, True)
    assert around_of([UNKNOWN], []) == [{"use": "elsewhere"}]


def test_what_a_runner_uses_stands_outside_of_what_the_workflow_uses() -> None:
    definition = wrapped_in((use_of(After()),), workflow().definition())
    assert [one.use for one in definition.middleware] == ["after", "around", "staged"]
    assert wrapped_in((), definition) is definition
