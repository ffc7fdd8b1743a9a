"""Actions that are made of others: how they are built, written, read, and what they begin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gostage_core import (
    Branch,
    ChildCancelledError,
    Failure,
    ForEach,
    InvalidActionError,
    InvalidWorkflowError,
    Key,
    KeyNotFoundError,
    Limits,
    Repeat,
    RepeatLimitError,
    Retry,
    RunWorkflow,
    Stage,
    StoreTypeError,
    UnknownActionError,
    UnknownConditionError,
    Workflow,
    action,
    condition,
    otherwise,
    quorum,
    when,
)
from gostage_core.authoring.registry import registry
from gostage_core.authoring.waits import NO_ITEM, BelowFailedError, ChildRun, Group, Outcome
from gostage_core.testing import context
from gostage_core.values.codec import encode


@pytest.fixture(autouse=True)
def known(fresh_registry: None) -> None:
    """Three actions and two conditions that plans may name."""

    @action("shop.pack", tags=["slow"], retry=Retry(3))
    def pack(ctx, boxes: int = 1) -> int:
        return boxes

    @action("shop.ship")
    def ship(ctx) -> None: ...

    @condition("over")
    def over(ctx, limit: int = 3) -> bool:
        return ctx.store.get("n", int) > limit

    @condition("never")
    def never(ctx) -> bool:
        return False


def pack(boxes: int = 1) -> Any:
    return registry.get("shop.pack")(boxes=boxes)


def ship() -> Any:
    return registry.get("shop.ship")()


def workflow(*actions: Any, **head: Any) -> Workflow:
    made = Workflow("w", **head)
    made.add_stage(Stage("s", actions))
    return made


def document(name: str, **params: Any) -> dict[str, Any]:
    entry = {"action": f"gostage.{name}", "params": params}
    return {"id": "w", "stages": [{"id": "s", "actions": [entry]}]}


def group(made: Any, ctx: Any) -> Group:
    found = made.execute(ctx)
    assert isinstance(found, Group)
    return found


def every_kind() -> Workflow:
    each = ForEach("items", pack(2), ship(), max_parallel=4, store_as="results", join=quorum(2))
    child = workflow(each, tags=["child"])
    child.add_stage("more", initial={"at": (1, 2)}, parallel=True, join=1, on_failure="wait_all")
    return workflow(
        each.options(name="each", retry=Retry(2)),
        Branch(when("over", limit=5).then(each), when("never").then(), otherwise(ship())),
        Repeat(pack(), until="over", max_times=5),
        RunWorkflow(child, give={"child.n": "n"}, store={"x": {1, 2}}, take=["result"]),
        limits=Limits(max_child_depth=2),
    )


def test_each_is_an_action_like_others():
    made = ForEach("items", ship(), store_as="sizes").options(name="each", retry=Retry(2))
    assert isinstance(made, ForEach)
    written = workflow(made).definition().stages[0].actions[0]
    assert (written.action, written.name, written.store_as) == ("gostage.ForEach", "each", "sizes")
    assert written.retry == Retry(2)
    assert registry.get("gostage.ForEach") is ForEach


def test_all_of_them_survive_json_with_the_same_digest():
    made = every_kind()
    again = Workflow.from_json(made.to_json())
    assert again == made
    assert again.digest == made.digest
    assert [type(one) for one in again.stages["s"].actions] == [
        ForEach,
        Branch,
        Repeat,
        RunWorkflow,
    ]


def test_what_is_inside_has_the_options_of_its_class_unless_a_document_says_otherwise():
    inner = [{"action": "shop.pack"}, {"action": "shop.pack", "retry": None}]
    made = Workflow.from_dict(document("ForEach", key="items", actions=inner))
    assert made == workflow(ForEach("items", pack(), pack().options(retry=None)))


def test_nothing_inside_follows_the_class_any_more_once_it_is_written():
    def register(retry: Retry | None) -> Any:
        @action("shop.wrap", retry=retry)
        def wrap(ctx) -> None: ...

        return wrap.s()

    text = workflow(ForEach("items", register(None))).to_json()
    register(Retry(7))
    params = json.loads(text)["stages"][0]["actions"][0]["params"]
    inner = registry.build("gostage.ForEach", params)
    assert vars(inner)["actions"][0].retry is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ForEach("items"), "ForEach: nothing to do; give it at least one bound action"),
        (lambda: ForEach("items", ForEach), "ForEach: ForEach is a class; add an instance"),
        (lambda: ForEach("items", [ship()]), "ForEach: actions are added one by one"),
        (lambda: ForEach("__items", ship()), "ForEach.key: not a name for a key"),
        (lambda: ForEach("items", ship(), max_parallel=0), "ForEach.max_parallel: input should be"),
        (lambda: ForEach("items", ship(), store_as=""), "ForEach: option store_as: not a name"),
        (lambda: ForEach("items", ship(), on_failure="no"), "ForEach.on_failure: input should be"),
        (lambda: Branch(), "Branch: no case is given"),
        (lambda: Branch(otherwise(ship())), "Branch: no case is given"),
        (lambda: Branch(when("never")), "Branch: when('never') does not say what is done; add .th"),
        (lambda: Branch(otherwise(), when("never").then()), "Branch: otherwise(...) stands once"),
        (lambda: Branch(ship()), "Branch: when(...).then(...) or otherwise(...) is wanted, not"),
        (lambda: when("never").then(ship), "when('never'): ship is a plain function; decorate it"),
        (lambda: Repeat(until="never"), "Repeat: nothing to do"),
        (lambda: Repeat(ship()), "Repeat: until= or max_times= says when it ends; give one"),
        (lambda: Repeat(ship(), max_times=0), "Repeat.max_times: input should be greater than"),
        (lambda: RunWorkflow(3), "RunWorkflow: a Workflow or its definition as a dict is wanted"),
        (lambda: RunWorkflow(workflow(ship()), take="n"), "RunWorkflow.take: input should be a"),
        (lambda: RunWorkflow(workflow(ship()), store={"a": object()}), "RunWorkflow.store.a: cann"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_is_built(make, told):
    with pytest.raises(InvalidActionError) as caught:
        make()
    assert str(caught.value).startswith(told)


def test_a_quorum_is_a_whole_number_from_one():
    assert quorum(2) == 2
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(InvalidWorkflowError, match=r"^quorum: a whole number from 1"):
            quorum(wrong)  # type: ignore[arg-type]


def test_an_unknown_condition_is_refused_with_a_suggestion():
    for make in (lambda: when("ove"), lambda: Repeat(ship(), until="ove")):
        with pytest.raises(UnknownConditionError, match=r"did you mean 'over'\?"):
            make()


@pytest.mark.parametrize(
    ("written", "error", "lines"),
    [
        (
            document("ForEach", key="k", actions=[{"action": "nix"}, {"action": "shop.shipp"}]),
            UnknownActionError,
            [
                "stages[0].actions[0].params.actions[0].action: no action is registered under 'ni",
                "stages[0].actions[0].params.actions[1].action: no action is registered under 'sh",
            ],
        ),
        (
            document(
                "ForEach",
                key="k",
                actions=[{"action": "shop.pack", "params": {"boxes": "x"}}, {"action": "nix"}],
            ),
            InvalidActionError,
            [
                "stages[0].actions[0].params.actions[0].params.boxes: input should be a valid int",
                "stages[0].actions[0].params.actions[1].action: no action is registered under 'ni",
            ],
        ),
        (
            document("ForEach", actions=[{"action": "shop.ship", "retri": 3}]),
            InvalidActionError,
            [
                "stages[0].actions[0].params.key: field required",
                "stages[0].actions[0].params.actions[0].retri: unexpected parameter",
            ],
        ),
        (
            document(
                "Branch",
                cases=[{"when": "ove"}, {"when": "over", "params": {"limit": "x"}}],
                otherwise=[{"action": "nix"}],
            ),
            InvalidActionError,
            [
                "stages[0].actions[0].params.cases[0].when: no condition is registered under 'ove",
                "stages[0].actions[0].params.cases[1].params.limit: input should be a valid integ",
                "stages[0].actions[0].params.otherwise[0].action: no action is registered under '",
            ],
        ),
        (
            document("Repeat", actions=[{"action": "shop.ship"}], until="ove"),
            UnknownConditionError,
            ["stages[0].actions[0].params.until: no condition is registered under 'ove'"],
        ),
        (
            document("RunWorkflow", workflow=document("ForEach", key="k", actions=[])),
            InvalidActionError,
            ["stages[0].actions[0].params.workflow.stages[0].actions[0].params.actions: at least"],
        ),
        (
            document("RunWorkflow", workflow={"id": "w", "stages": [{"id": "a"}, {"id": "a"}]}),
            InvalidWorkflowError,
            ["stages[0].actions[0].params.workflow.stages[1].id: a stage 'a' is in this workflow"],
        ),
    ],
)
def test_an_error_in_a_document_names_the_place_however_deep(written, error, lines):
    with pytest.raises(error) as caught:
        Workflow.from_dict(written)
    found = str(caught.value).splitlines()
    assert len(found) == len(lines)
    assert all(one.startswith(start) for one, start in zip(found, lines, strict=True))


def test_a_worker_that_does_not_know_what_is_inside_leaves_it_to_others():
    inner = {"action": "gostage.Branch", "params": {"cases": [{"when": "elsewhere"}]}}
    with pytest.raises(UnknownConditionError, match=r"^ForEach\.actions\[0\]\.params\.cases\[0\]"):
        registry.build("gostage.ForEach", {"key": "k", "actions": [inner]})


def test_nesting_beyond_what_a_document_may_have_is_refused():
    def nested(levels: int) -> Any:
        return ForEach("items", nested(levels - 1)) if levels else ship()

    assert Workflow.from_json(workflow(nested(20)).to_json()) == workflow(nested(20))
    with pytest.raises(InvalidActionError, match="lie more than 64 deep in one another"):
        nested(30)


def test_child_runs_may_nest_as_deep_as_the_workflow_allows():
    made = workflow(ship())
    for _ in range(2):
        made = workflow(Repeat(RunWorkflow(made), max_times=2), limits=Limits(max_child_depth=2))
    assert made.stages["s"].child_depth == 2
    deeper = workflow(ForEach("items", RunWorkflow(made)), limits=Limits(max_child_depth=2))
    with pytest.raises(InvalidWorkflowError) as caught:
        deeper.definition()
    assert str(caught.value) == (
        "workflow 'w': its child runs nest 3 deep, and its limit max_child_depth allows 2; "
        "raise it with limits=Limits(...)"
    )


def test_a_workflow_inside_is_a_copy():
    other = workflow(ship())
    made = RunWorkflow(other)
    before = made.workflow
    other.add_stage("later")
    assert made.workflow == before
    assert RunWorkflow(json.loads(workflow(ship()).to_json())) == made


def test_stages_and_workflows_keep_how_they_join_and_their_limits():
    made = Workflow("w", limits=Limits(max_depth=3))
    made.add_stage("s", parallel=True, on_failure="wait_all", join=quorum(2))
    again = Workflow.from_json(made.to_json())
    assert again == made
    assert again.limits.max_depth == 3
    assert (again.stages["s"].on_failure, again.stages["s"].join) == ("wait_all", 2)
    assert Workflow("w").limits == Limits()
    for one in ({"join": 2}, {"on_failure": "wait_all"}):
        with pytest.raises(InvalidWorkflowError, match="needs parallel=True"):
            Stage("s", **one)


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ([3, 1, 2], [3, 1, 2]),
        ((1, "x"), [1, "x"]),
        ({"b": 1, "a": 2}, [("b", 1), ("a", 2)]),
        ({"pear", "fig", "apple"}, ["apple", "fig", "pear"]),
        (frozenset({2, 1}), [1, 2]),
        ([{"n": 1}, None], [{"n": 1}, None]),
    ],
)
def test_for_each_has_a_member_for_each_item_in_order(items, found):
    begun = group(ForEach("items", pack(), ship()), context({"items": items}))
    assert begun.parallel
    seen = [context(index=one.index) for one in begun.members]
    for ctx, member in zip(seen, begun.members, strict=True):
        ctx._item = member.item
    assert [ctx.item for ctx in seen] == found
    assert [one.index for one in begun.members] == list(range(len(found)))
    assert [one.label for one in begun.members] == [f"[{i}]" for i in range(len(found))]
    assert all(one.actions == begun.members[0].actions for one in begun.members)


def test_for_each_hands_on_how_its_items_are_joined():
    made = ForEach("items", ship(), max_parallel=2, on_failure="wait_all", join=quorum(2))
    begun = group(made, context({"items": [1, 2, 3]}))
    assert (begun.limit, begun.on_failure, begun.quorum) == (2, "wait_all", 2)
    assert group(made, context({"items": [1]})).quorum == 1
    assert group(ForEach("items", ship()), context({"items": [1]})).quorum is None


@pytest.mark.parametrize("empty", [[], (), {}, set()])
def test_for_each_of_an_empty_collection_is_done_at_once(empty):
    assert ForEach("items", ship()).execute(context({"items": empty})) == []


@pytest.mark.parametrize("wrong", ["text", b"bytes", 3, None, True])
def test_for_each_of_what_is_no_collection_fails(wrong):
    with pytest.raises(StoreTypeError, match=r"'items' holds .*, not a list, tuple, set or dict"):
        ForEach(Key("items", object), ship()).execute(context({"items": wrong}))


def test_for_each_of_a_missing_key_fails():
    with pytest.raises(KeyNotFoundError):
        ForEach("items", ship()).execute(context())


def test_for_each_returns_what_its_items_returned():
    outcome = Outcome(results=(encode(1), None, encode({"a": (1,)})))
    assert ForEach("items", ship()).execute(context(phase=1, outcome=outcome)) == [
        1,
        None,
        {"a": (1,)},
    ]


@pytest.mark.parametrize(
    "made",
    [
        lambda: ForEach("items", ship()),
        lambda: Branch(when("never").then(ship())),
        lambda: Repeat(ship(), max_times=2),
        lambda: RunWorkflow(workflow(ship())),
    ],
)
def test_a_failure_below_is_the_failure(made):
    failure = Failure("ValueError", "no", path="s/each[1]/ship")
    with pytest.raises(BelowFailedError) as caught:
        made().execute(context(phase=1, outcome=Outcome(failure=failure)))
    assert caught.value.failure is failure


@pytest.mark.parametrize(("n", "label"), [(9, "[over]"), (4, "[over]"), (1, "[otherwise]")])
def test_branch_begins_the_first_case_that_holds(n, label):
    made = Branch(
        when("never").then(ship()),
        when("over", limit=5).then(pack(1)),
        when("over").then(pack(2)),
        otherwise(pack(3)),
    )
    (member,) = group(made, context({"n": n})).members
    assert member.label == label
    assert member.actions[0].params == {"boxes": {9: 1, 4: 2, 1: 3}[n]}
    assert member.item is NO_ITEM


def test_branch_asks_no_further_than_the_first_that_holds():
    asked = []

    @condition("asked")
    def ask(ctx, which: int) -> bool:
        asked.append(which)
        return which == 2

    Branch(*(when(ask, which=one).then(ship()) for one in (1, 2, 3))).execute(context())
    assert asked == [1, 2]


def test_branch_without_a_case_that_holds_is_done():
    assert Branch(when("never").then(ship())).execute(context()) is None
    assert Branch(when("over").then()).execute(context({"n": 9})) is None


def test_branch_returns_what_its_last_action_returned():
    done = context(phase=1, outcome=Outcome(results=(encode("x"),)))
    assert Branch(when("never").then(ship())).execute(done) == "x"
    assert Branch(when("never").then(ship())).execute(context(phase=1)) is None


def test_branch_fails_with_what_a_condition_raises():
    with pytest.raises(KeyNotFoundError, match="'n'"):
        Branch(when("over").then(ship())).execute(context())


def test_repeat_makes_a_pass_before_it_asks():
    (member,) = group(Repeat(ship(), until="over"), context({"n": 9})).members
    assert (member.label, member.index) == ("[0]", 0)


def test_repeat_makes_passes_until_its_condition_holds():
    made = Repeat(ship(), until=when("over", limit=5), max_times=3)
    (member,) = group(made, context({"n": 4}, phase=2)).members
    assert (member.label, member.index) == ("[2]", 2)
    done = context({"n": 6}, phase=3, outcome=Outcome(results=(encode("x"),)))
    assert made.execute(done) == "x"


def test_repeat_fails_when_its_condition_never_holds():
    with pytest.raises(RepeatLimitError) as caught:
        Repeat(ship(), until="never", max_times=3).execute(context(phase=3))
    assert str(caught.value) == (
        "repeated 3 times, and the condition 'never' never held; "
        "raise max_times if more passes are wanted"
    )


def test_repeat_without_a_condition_makes_its_number_of_passes():
    made = Repeat(ship(), max_times=2)
    assert group(made, context(phase=1)).members[0].index == 1
    assert made.execute(context(phase=2)) is None


def test_a_child_run_begins_with_what_it_is_given():
    made = RunWorkflow(workflow(ship()), give={"n": "here"}, store={"n": 0, "set": {1}})
    begun = made.execute(context({"here": (1, 2)}))
    assert isinstance(begun, ChildRun)
    assert begun.definition == made.workflow
    assert begun.values == {"n": encode((1, 2)), "set": encode({1})}


def test_a_child_run_is_not_begun_when_a_key_to_give_is_missing():
    with pytest.raises(KeyNotFoundError, match="'here'"):
        RunWorkflow(workflow(ship()), give=["here"]).execute(context())


@pytest.mark.parametrize("status", ["completed", "bailed"])
def test_what_is_taken_from_a_child_run_is_copied_as_it_is(status):
    # Of a class that is not known here: it could not be read.
    foreign = b'{"$":"model","t":"other:Order","v":{"n":1}}'
    values = {"n": encode(3), "order": foreign}
    outcome = Outcome(child_id="c", child_status=status, child_values=values)
    ctx = context(phase=1, outcome=outcome)
    assert RunWorkflow(workflow(ship()), take={"m": "n", "order": "order"}).execute(ctx) == "c"
    assert ctx.store["m"] == 3
    assert ctx.store.encoded("order") == foreign


def test_a_key_that_the_child_run_does_not_leave_is_named_with_it():
    outcome = Outcome(child_id="c", child_status="completed")
    with pytest.raises(KeyNotFoundError) as caught:
        RunWorkflow(workflow(ship()), take=["n"]).execute(context(phase=1, outcome=outcome))
    assert str(caught.value) == "no key 'n' in the store of the child run 'c' to take"


def test_a_child_run_that_was_cancelled_is_an_error():
    outcome = Outcome(child_id="c", child_status="cancelled")
    with pytest.raises(ChildCancelledError, match="the child run 'c' was cancelled"):
        RunWorkflow(workflow(ship())).execute(context(phase=1, outcome=outcome))
