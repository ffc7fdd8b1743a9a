"""Plans read, changed and replayed in memory: no server, no run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gostage_core import Action, ActionContext, ActionStatus, Limits, Stage
from gostage_core.authoring.definition import ActionDefinition, Addition
from gostage_core.errors import (
    ActionNotFoundError,
    InvalidActionError,
    PlanLimitError,
    StageFinishedError,
)
from gostage_core.order import added_places, inserted_below, place
from gostage_core.planning.changes import NOTHING_CHANGED, change_arguments
from gostage_core.planning.guard import Guard, ids_in
from gostage_core.planning.outline import difference
from gostage_core.planning.replay import Replay
from gostage_core.planning.settings import with_options, with_parameters
from gostage_core.planning.tree import read_tree
from gostage_core.status import RunStatus
from gostage_core.testing import context

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("fresh_registry")

SCOPE = "x|0|0|0||1000|0|0|0|0"


class Nothing(Action):
    """Does nothing."""

    n: int = 0

    def execute(self, ctx: ActionContext) -> None: ...


def nothing(*names: str, tags: tuple[str, ...] = ()) -> list[Action]:
    return [Nothing().options(name=name, tags=tags) for name in names]


def hash_of(nodes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the fields of a plan: text as it stands, all else as JSON."""
    return {
        name: (value if isinstance(value, str) else json.dumps(value)).encode()
        for name, value in nodes.items()
    }


def action_spec(name: str, **more: object) -> dict[str, object]:
    return {"action": "m:a", "name": name, "stage": "s", "order": "11", **more}


def record(state: str, attempt: int = 1) -> str:
    return f"{state}|{attempt}|0|0|t|5|1000|2000|w/1|0|0|0"


def nested() -> dict[str, Any]:
    """Stage 1 of 2 and 3 with hook 4; 2 owns scope 5, with 6 and with scope 7, which has 8."""
    return {
        "l0": "0,0,1,1,s,0,0,f,0,0,0,",
        "l1": "0,0,2,3,s,0,0,f,4,0,0,", "s1": {"id": "s"}, "r1": SCOPE,
        "l2": "1,3,0", "s2": action_spec("each"), "r2": record("w"), "n2": "5",
        "l3": "1,0,0", "s3": action_spec("last"),
        "l4": "1,0,0", "s4": action_spec("before_stage"), "r4": record("c"),
        "l5": "2,0,6,7,p,9,0,f,0,0,0,", "s5": {"of": "2"}, "r5": SCOPE,
        "l6": "5,7,0", "s6": action_spec("one", **{"in": "each[0]"}), "r6": record("x"),
        "l7": "5,0,8,8,s,0,0,f,0,0,0,", "s7": {"of": "2"},
        "l8": "7,0,0", "s8": action_spec("two", **{"in": "each[1]"}),
    }  # fmt: skip


def test_what_an_action_owns_comes_right_after_it() -> None:
    tree = read_tree(hash_of(nested()), RunStatus.RUNNING)
    (stage,) = tree.stages
    assert [(one.entry, one.path, one.level, one.parent, one.scope) for one in stage.actions] == [
        ("2", "s/each", 0, "", "1"),
        ("6", "s/each[0]/one", 1, "2", "5"),
        ("8", "s/each[1]/two", 1, "2", "7"),
        ("3", "s/last", 0, "", "1"),
    ]
    assert [hook.entry for hook in tree.hooks] == ["4"]
    assert [one.is_open for one in stage.actions] == [False, False, True, True]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("x", "pending"), ("c", "skipped"), ("s", "skipped"), ("d", "skipped"), ("m", "removed")],
)
def test_what_never_began_is_shown_as_its_stage_has_it(scope: str, expected: str) -> None:
    fields = nested() | {"r1": scope + SCOPE[1:]}
    (stage,) = read_tree(hash_of(fields), RunStatus.RUNNING).stages
    assert stage.actions[-1].status == expected
    assert stage.actions[-1].is_open is (scope in "xd")


@pytest.mark.parametrize(
    ("state", "run", "failed", "expected"),
    [
        ("x", "running", "0", "running"),
        ("x", "failed", "0", "cancelled"),
        ("c", "completed", "0", "completed"),
        ("s", "running", "0", "skipped"),
        ("d", "running", "0", "skipped"),
        ("m", "running", "0", "removed"),
        ("k", "cancelled", "0", "cancelled"),
        ("k", "bailed", "0", "completed"),
        ("f", "running", "6", "failed"),
        ("f", "running", "0", "running"),
        ("f", "cancelled", "0", "cancelled"),
        ("f", "bailed", "0", "completed"),
    ],
)
def test_the_status_of_a_stage(state: str, run: str, failed: str, expected: str) -> None:
    text = f"{state}|0|0|0||1000|2000|0|0|{failed}|a field of a later version"
    (stage,) = read_tree(hash_of(nested() | {"r1": text}), RunStatus(run)).stages
    assert stage.status == expected


def test_links_in_a_circle_are_an_error_and_no_endless_loop() -> None:
    fields = nested() | {"l3": "1,2,0"}
    with pytest.raises(ValueError, match="circle"):
        read_tree(hash_of(fields), RunStatus.RUNNING)


# Views


def trial(*stages: Stage) -> Any:
    return context(stage="s", action="me", plan=stages)


def told(ctx: Any) -> list[tuple[str, str]]:
    return [(one.name, one.status.value) for one in ctx.actions]


def test_pending_changes_show_in_their_place_and_count_once() -> None:
    ctx = trial(Stage("s", nothing("a", "b")), Stage("t", nothing("b")))
    ctx.add_action(*nothing("d1", "d2"))
    ctx.stages["s"].add(*nothing("end"))
    assert ctx.actions["b"].disable() == 2
    assert ctx.actions["b"].disable() == 0
    assert ctx.actions.filter(stage="t").enable() == 1
    assert ctx.actions["me"].remove() == 0
    assert told(ctx) == [
        ("me", "running"), ("d1", "pending"), ("d2", "pending"), ("a", "pending"),
        ("b", "skipped"), ("end", "pending"), ("b", "pending"),
    ]  # fmt: skip
    assert list(ctx.additions.marks.values()) == ["disable"]


def test_what_was_removed_cannot_be_enabled_again() -> None:
    ctx = trial(Stage("s", nothing("a")))
    assert [ctx.actions["a"].remove(), ctx.actions["a"].enable(), ctx.actions["a"].remove()] == [
        1, 0, 0,
    ]  # fmt: skip


def test_actions_of_a_disabled_stage_show_skipped_and_keep_their_own_state() -> None:
    ctx = trial(Stage("s"), Stage("t", nothing("a", "b")))
    assert ctx.stages["t"].disable() == 1
    assert ctx.actions["a"].disable() == 1
    assert ctx.actions.filter(stage="t", status="skipped").names == ["a", "b"]
    assert ctx.stages["t"].enable() == 1
    assert told(ctx)[1:] == [("a", "skipped"), ("b", "pending")]


def test_a_stage_that_is_to_be_removed_takes_nothing_more() -> None:
    ctx = trial(Stage("s"), Stage("t", nothing("a")))
    ctx.stages["t"].remove()
    assert ctx.actions["a"].disable() == 0
    with pytest.raises(StageFinishedError):
        ctx.stages["t"].add(*nothing("b"))


def test_a_selection_is_narrowed_again_and_again() -> None:
    ctx = trial(Stage("s", [*nothing("a", tags=("x",)), *nothing("b", tags=("x", "y"))]))
    some = ctx.actions.filter(tag="x")
    assert [some.names, some.filter(all_tags=["x", "y"]).names] == [["a", "b"], ["b"]]
    assert some["b"].names == ["b"]
    with pytest.raises(ActionNotFoundError):
        some["me"]
    with pytest.raises(TypeError, match="any_tags is a list of words"):
        ctx.actions.filter(any_tags="x")
    with pytest.raises(TypeError, match="type is a class or a function"):
        ctx.actions.filter(type="m:a")


def test_a_stage_can_be_looked_at() -> None:
    ctx = trial(Stage("s"), Stage("t", nothing("a"), name="Tea", description="hot", tags=["x"]))
    stage = ctx.stages["t"]
    assert (stage.id, stage.name, stage.description, stage.tags) == ("t", "Tea", "hot", ("x",))
    assert stage.status is ActionStatus.PENDING
    assert stage.actions.names == ["a"]
    assert [one.id for one in ctx.stages] == ["s", "t"]
    assert "t" in ctx.stages


def test_an_attempt_that_changes_nothing_sends_nothing() -> None:
    ctx = trial(Stage("s", nothing("a")))
    ctx.actions["a"].disable()
    ctx.actions["a"].enable()
    ctx.add_action(*nothing("d"))
    ctx.actions["d"].remove()

    class Port:
        context = ctx
        entry = entry_id = workflow = None

    assert change_arguments(Port(), 1000) is NOTHING_CHANGED  # type: ignore[arg-type]


# Places


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(1, 3)), max_size=40),
)
def test_places_sort_as_the_plan_does_whoever_adds_what_in_which_order(
    planned: int, steps: list[tuple[bool, int, int]]
) -> None:
    """Every action adds at most once, right behind itself; others insert wherever they like."""
    rows = [(place(n), n == planned) for n in range(1, planned + 1)]
    done: set[str] = set()
    for adds, where, count in steps:
        index = where % len(rows)
        own, is_last = rows[index]
        if adds and own not in done:
            done.add(own)
            places = added_places(own, is_last, count)
        else:
            following = rows[index + 1][0] if index + 1 < len(rows) else None
            below = inserted_below(own, is_last, following)
            places = [place(n, below) for n in range(1, count + 1)]
        rows[index + 1 : index + 1] = [(one, one == places[-1]) for one in places]
    order = [own for own, _ in rows]
    assert order == sorted(set(order))


def test_places_stay_short_however_often_something_is_added_at_the_end() -> None:
    last = place(1)
    for _ in range(1000):
        last = place(1, inserted_below(last, True, None))
    assert len(last) <= 12


# Settings


def definition(**params: Any) -> ActionDefinition:
    return ActionDefinition(action=Nothing.__action_id__, params=params)


def test_parameters_are_checked_where_the_action_is_known() -> None:
    assert with_parameters(definition(n=1), {"n": 2}).params == {"n": 2}
    with pytest.raises(InvalidActionError):
        with_parameters(definition(n=1), {"n": "two"})
    unknown = ActionDefinition(action="elsewhere:a", params={"a": 1})
    assert with_parameters(unknown, {"b": [2]}).params == {"a": 1, "b": [2]}
    with pytest.raises(InvalidActionError, match="object is not a JSON value"):
        with_parameters(unknown, {"b": object()})


def test_options_are_checked() -> None:
    changed = with_options(definition(), {"timeout": "5m", "queue": "fast"})
    assert (changed.timeout, changed.queue) == (300, "fast")
    with pytest.raises(InvalidActionError, match="priority"):
        with_options(definition(), {"priority": 99})
    with pytest.raises(TypeError, match="did you mean 'timeout'"):
        with_options(definition(), {"timeuot": 1})


def test_a_difference_says_what_was_and_what_is() -> None:
    before = {"params": {"n": 1, "same": 0}, "timeout": 5}
    after = {"params": {"n": 2, "same": 0, "new": "x"}}
    assert difference(before, after) == 'timeout: 5 → none, n: 1 → 2, new: none → "x"'


# Guard rails


def test_rules_name_what_may_be_added_and_by_whom() -> None:
    rules = (
        Addition(ids=("shop:*",), by=("plan/*",)),
        Addition(ids=("*",), by=("operator:ana",)),
    )
    limits = Limits(may_add=rules)
    shop, other = ActionDefinition(action="shop:a"), ActionDefinition(action="other:a")
    Guard(limits, by="plan/expand", depth=1).check([shop])
    Guard(limits, by="operator:ana", depth=0).check([other, shop])
    with pytest.raises(PlanLimitError, match=r"plan/expand to add shop:\*, not other:a"):
        Guard(limits, by="plan/expand", depth=1).check([shop, other])
    with pytest.raises(PlanLimitError, match="operator:bob to add nothing"):
        Guard(limits, by="operator:bob", depth=0).check([shop])
    Guard(Limits(may_add=()), by="a/b", depth=1).check([])


def test_what_hides_in_parameters_is_found() -> None:
    inner = {"action": "m:deep", "params": {"also": [{"action": "m:deeper", "name": "x"}]}}
    outer = ActionDefinition(
        action="gostage.each", params={"actions": [inner], "action": "a word", "n": {"action": 1}}
    )
    assert set(ids_in(outer)) == {"gostage.each", "m:deep", "m:deeper"}


# Replay


def planned() -> dict[str, Any]:
    """Stage 1 with 2 and 3, as it was planned; 4 was added behind 2, stage 5 with 6 behind 1."""
    return {
        "l0": "0,0,1,5,s,0,0,f,0,0,0,",
        "l1": "0,5,2,3,s,0,0,f,0,0,0,", "s1": {"id": "s"},
        "l2": "1,4,0", "s2": action_spec("a"),
        "l3": "1,0,0", "s3": action_spec("b", params={"n": 3}),
        "l4": "1,3,0", "s4": action_spec("x", off=1),
        "l5": "0,0,6,6,s,0,0,f,0,0,0,", "s5": {"id": "t"},
        "l6": "5,0,0", "s6": action_spec("y") | {"stage": "t"},
    }  # fmt: skip


OPS: list[list[list[str]]] = [
    [["add", "1", "2", "4", "4"], ["disable", "3"]],
    [["stage", "5", "1", "6", "6"], ["enable", "3", "4"]],
    [["set", "3", json.dumps(action_spec("b", params={"n": 1}))], ["remove", "5"]],
]


def test_a_plan_is_made_again_step_by_step() -> None:
    replay = Replay(hash_of(planned()), 3, [op for ops in OPS for op in ops])
    seen = [[(one.name, one.enabled) for one in replay.outline().actions]]
    said = []
    for number, ops in enumerate(OPS, start=2):
        said.append(str(replay.apply(number, ops)))
        seen.append([(one.name, one.enabled) for one in replay.outline().actions])
    assert seen == [
        [("a", True), ("b", True)],
        [("a", True), ("x", False), ("b", False)],
        [("a", True), ("x", True), ("b", True), ("y", True)],
        [("a", True), ("x", True), ("b", True), ("y", True)],
    ]
    assert said == [
        "+ s/x #4  behind a\n- disable s/b #3",
        "+ stage t #5  behind s\n+ t/y #6  at the front\n+ enable s/b #3\n+ enable s/x #4",
        "- remove t #5  (stage)\n~ s/b #3  n: 1 → 3",
    ]
    last = replay.outline()
    assert [(stage.id, stage.removed) for stage in last.stages] == [("s", False), ("t", True)]
    assert last.actions[2].definition["params"] == {"n": 3}


def test_groups_are_made_again_where_they_were_opened() -> None:
    replay = Replay(hash_of(nested()), 4, [])
    replay.apply(2, [["open", "2", "5", "6", "8"]])
    assert [one.path for one in replay.outline().actions] == [
        "s/each", "s/each[0]/one", "s/each[1]/two", "s/last",
    ]  # fmt: skip
