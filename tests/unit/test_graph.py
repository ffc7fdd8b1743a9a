"""Workflows and runs as drawings."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gostage_core.authoring.action import action
from gostage_core.authoring.definition import ActionDefinition, StageDefinition, WorkflowDefinition
from gostage_core.authoring.definition_graph import definition_graph
from gostage_core.authoring.registry import registry
from gostage_core.authoring.workflow import Stage, Workflow
from gostage_core.failure import Failure
from gostage_core.graph.dot import to_dot
from gostage_core.graph.folding import MOST_NODES, folded
from gostage_core.graph.mermaid import to_mermaid
from gostage_core.graph.node import Kind, Node
from gostage_core.graph.outline import to_text
from gostage_core.plan_graph import run_graph
from gostage_core.result import ActionResult, Plan, RunResult, StageResult
from gostage_core.status import ActionStatus, RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gostage_core.context import ActionContext


@action("graph.pay")
def pay(ctx: ActionContext, n: int = 0) -> None: ...


@action("graph.tell")
def tell(ctx: ActionContext) -> None: ...


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    with registry.isolated():
        yield


def order() -> Workflow:
    workflow = Workflow("order", name="Order processing")
    workflow.add_stage("check", name="Validation").add(
        pay.s(), pay.s().options(name="charge"), tell.s()
    )
    workflow.add_stage(Stage("notify", [tell.s(), pay.s()], parallel=True, max_parallel=4))
    workflow.add_stage("nothing")
    return workflow


# Mermaid


def test_a_workflow_is_a_flowchart_of_stages_and_actions() -> None:
    assert (
        order().to_mermaid()
        == """\
flowchart TD
    n1(["Order processing"])
    subgraph n2["Validation"]
        n3("pay")
        n4("charge<br/>graph.pay")
        n5("tell")
        n3 --> n4
        n4 --> n5
    end
    subgraph n6["notify<br/>side by side, at most 4 at a time"]
        n7("tell")
        n8("pay")
    end
    n9["nothing"]
    n1 --> n2
    n2 --> n6
    n6 --> n9
"""
    )


def composed(**params: object) -> Node:
    """Return the drawing of one action of this kind."""
    kind = params.pop("kind")
    definition = WorkflowDefinition(
        id="x",
        stages=(
            StageDefinition(
                id="a",
                actions=(ActionDefinition(action=f"gostage.{kind}", params=params),),
            ),
        ),
    )
    return definition_graph(definition).children[0].children[0]


PAY = {"action": "graph.pay"}
TELL = {"action": "graph.tell", "name": "ana"}


def test_actions_that_are_made_of_others_show_what_is_inside() -> None:
    drawn = [
        composed(kind="ForEach", key="user.ids", actions=[PAY, TELL], max_parallel=4, join=2),
        composed(kind="Repeat", actions=[PAY], until="shop:is_ready", until_params={"n": 3}),
        composed(kind="Repeat", actions=[PAY], max_times=7),
        composed(
            kind="Branch",
            cases=[
                {"when": "is_priority", "then": [PAY]},
                {"when": "is_late", "params": {"by": 5}},
            ],
            otherwise=[TELL],
        ),
        composed(
            kind="RunWorkflow",
            workflow={
                "id": "child",
                "stages": [
                    {"id": "one", "actions": [PAY]},
                    {"id": "two", "parallel": True, "actions": [TELL, PAY]},
                ],
            },
        ),
        composed(kind="CanvasGroup", members=[[PAY], [TELL, PAY]]),
        composed(kind="ForEach", key="a", actions=[{"action": "gostage.Repeat", "params": {
            "actions": [PAY], "max_times": 2}}]),
    ]  # fmt: skip
    texts = [to_text(one) for one in drawn]
    assert texts == [
        """\
ForEach  for each of user.ids, side by side, at most 4 at a time, 2 must complete
├─ pay
└─ ana  graph.tell
""",
        """\
Repeat  until is_ready(n=3), at most 100 times
└─ pay
""",
        """\
Repeat  7 times
└─ pay
""",
        """\
Branch  one of
╞═ when is_priority
│  └─ pay
╞═ when is_late(by=5)
╘═ otherwise
   └─ ana  graph.tell
""",
        """\
RunWorkflow  workflow child
├─ one
│  └─ pay
└─ two  side by side
   ╞═ ana  graph.tell
   ╘═ pay
""",
        """\
CanvasGroup  side by side
╞═ [0]
│  └─ pay
╘═ [1]
   ├─ ana  graph.tell
   └─ pay
""",
        """\
ForEach  for each of a, side by side
└─ Repeat  2 times
   └─ pay
""",
    ]


@pytest.mark.parametrize(
    "params",
    [
        {"kind": "ForEach"},
        {"kind": "ForEach", "key": "a", "actions": [5]},
        {"kind": "ForEach", "key": "a", "actions": [{"of": "a later version"}]},
        {"kind": "Branch", "cases": [{}]},
        {"kind": "Branch", "cases": 5},
        {"kind": "RunWorkflow", "workflow": {"gostage": 2}},
    ],
)
def test_an_action_of_a_form_that_is_not_known_is_drawn_without_what_is_inside(
    params: dict[str, object],
) -> None:
    assert composed(**params).children == ()


def test_every_node_has_an_id_of_its_own() -> None:
    workflow = order()
    ids = [one.id for one in walked(definition_graph(workflow.definition()))]
    assert len(ids) == len(set(ids))
    assert "stages[0].actions[1]" in ids


def walked(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walked(child)


LINES = re.compile(
    r"""flowchart\ TD
    | \ +n\d+(\("[^"]*"\)|\(\["[^"]*"\]\)|\["[^"]*"\])
    | \ +subgraph\ n\d+\["[^"]*"\]
    | \ +end
    | \ +n\d+\ -->\ n\d+
    | \ +classDef\ \w+\ [\w:#,\ -]+
    | \ +class\ [n\d,]+\ \w+
    """,
    re.VERBOSE,
)


def label_of(flowchart: str) -> str:
    """Return what Mermaid shows of the first node of a flowchart."""
    text = flowchart.splitlines()[1].strip()
    label = text.removeprefix('n1(["').removesuffix('"])')
    return html.unescape(re.sub(r"#(\d+);", r"&#\1;", label)).replace("\u200b", "")


@given(label=st.text(min_size=1, max_size=70))
@example(label='a "b" [c] {d} (e) <f> |g| `h` \\ & # ; %% $$ @')
@example(label="end")
@example(label="1. first")
@example(label="12) twelfth")
@example(label="- one")
@example(label="_emphasis_ **strong** ~~gone~~")
@example(label="style a:#fff;b")
@example(label="classDef x fill:#fff;")
@example(label="#quot; &quot; #35;")
@example(label="http://a.b www.c.d fa:fa-car")
@example(label="$$x$$ a\\nb fa:fa-car")
@example(label="the direction LR of it")
@example(label="a\nb\r\nc\td\u2028e\x00f\u202eg")
@example(label="日本語 ünïcode 🎉")
def test_any_label_is_one_line_of_a_flowchart_and_is_shown_as_it_is(label: str) -> None:
    drawn = to_mermaid(Node("r", label, Kind.WORKFLOW, children=(Node("s", label, Kind.STAGE),)))
    assert all(LINES.fullmatch(line) for line in drawn.splitlines()), drawn
    shown = " ".join("".join(one if one.isprintable() else " " for one in label).split())
    assert label_of(drawn) == (shown or " ")
    for special in ("`", "~", "*", "<f", "$", "%%", "\\", "://", "www."):
        assert special not in drawn.replace("<br/>", "")
    assert not re.search(r"direction\s+(TB|BT|RL|LR)", drawn, re.IGNORECASE)
    assert not re.search(r"(style|classDef).*:\S*#.*;", drawn)


def test_a_very_long_label_is_cut() -> None:
    drawn = to_mermaid(Node("r", "x" * 5000, Kind.WORKFLOW))
    assert label_of(drawn) == "x" * 79 + "…"


# Folding


def wide(number: int, **first: str) -> Node:
    children = [
        Node(f"{index}", f"a{index}", Kind.ACTION, state="completed") for index in range(number)
    ]
    return Node("r", "root", Kind.STAGE, children=tuple(children))


def test_a_short_list_is_drawn_as_it_is() -> None:
    assert folded(wide(40)) == wide(40)


def test_of_a_long_list_the_ends_stay_and_the_rest_is_counted() -> None:
    thin = folded(wide(10_000))
    labels = [child.label for child in thin.children]
    assert labels == [
        *(f"a{index}" for index in range(10)),
        "… 9,980 actions",
        *(f"a{index}" for index in range(9_990, 10_000)),
    ]
    assert thin.children[10].details == ("9,980 completed",)


def test_what_is_worth_a_look_stays_in_its_place() -> None:
    node = wide(1_000)
    children = list(node.children)
    children[500] = replace(children[500], state="failed")
    children[501] = replace(children[501], added_by="check/find")
    children[502] = replace(children[502], state="removed")
    children[600] = replace(children[600], children=(replace(children[600], state="running"),))
    thin = folded(replace(node, children=tuple(children)))
    labels = [child.label for child in thin.children[10:-10]]
    assert labels == [
        "… 490 actions",
        "a500",
        "a501",
        "a502",
        "… 97 actions",
        "a600",
        "… 389 actions",
    ]


def test_of_what_is_worth_a_look_failures_come_first() -> None:
    node = wide(1_000)
    children = [replace(child, added_by="check/find") for child in node.children]
    children[900] = replace(children[900], state="failed")
    thin = folded(replace(node, children=tuple(children)))
    assert "a900" in [child.label for child in thin.children]
    assert len(thin.children) <= 45
    fold = next(child for child in thin.children if child.kind is Kind.FOLD)
    assert fold.details[0].endswith("added")


def test_a_drawing_of_any_workflow_is_small_enough_for_mermaid() -> None:
    workflow = Workflow("big")
    for number in range(100):
        workflow.add_stage(f"s{number}").add(*[pay.s()] * 100)
    thin = folded(definition_graph(workflow.definition()))
    assert thin.size <= MOST_NODES
    drawn = workflow.to_mermaid()
    assert drawn.count("-->") <= 500
    assert len(drawn) < 50_000
    assert "… 90 actions" in drawn
    assert "… 90 stages" in drawn
    assert workflow.to_mermaid(everything=True).count("-->") == 100 + 100 * 99


# Runs


def acted(entry: int, name: str, status: ActionStatus, **more: object) -> ActionResult:
    values = {"stage": "ship", "action": f"graph.{name}", **more}
    return ActionResult(entry=str(entry), name=name, status=status, **values)  # type: ignore[arg-type]


def ran(*actions: ActionResult, **stage: object) -> RunResult:
    ship = StageResult(
        id="ship", name="Shipping", status=ActionStatus.RUNNING, actions=actions, entry="1", **stage
    )  # type: ignore[arg-type]
    return RunResult("run-1", RunStatus.RUNNING, Plan(3, {"ship": ship}), store=None)  # type: ignore[arg-type]


FAILED = Failure("ValueError", "no such card\nreally", attempt=2)


def test_a_run_shows_how_each_action_stands_and_why_it_is_there() -> None:
    result = ran(
        acted(2, "pay", ActionStatus.COMPLETED),
        acted(3, "charge", ActionStatus.FAILED, attempt=2, error=FAILED, action="graph.pay"),
        acted(4, "tell", ActionStatus.RUNNING, progress=0.4, message="loading"),
        acted(5, "extra", ActionStatus.PENDING, added_by="ship/pay"),
        acted(6, "sms", ActionStatus.SKIPPED),
        acted(7, "fax", ActionStatus.REMOVED),
        acted(8, "child", ActionStatus.WAITING, child_run_id="run-2"),
        acted(9, "odd", ActionStatus.FAILED, error=FAILED, handled_by="middleware Guard"),
    )
    graph = run_graph(result, "Order processing")
    assert (
        to_text(graph)
        == """\
▶ Order processing  run-1  running
└─ ▶ Shipping  running
   ├─ ✓ pay
   ├─ ✗ charge  graph.pay  attempt 2  ValueError: no such card  failed
   ├─ ▶ tell  40% loading  running
   ├─ · extra  added by ship/pay
   ├─ - sms  skipped
   ├─ x fax  removed
   ├─ ? child  run run-2  waiting
   └─ ✗ odd  ValueError: no such card  handled by middleware Guard  failed
"""
    )
    drawn = to_mermaid(graph)
    for state, names in [
        ("completed", "n3"), ("failed", "n4,n10"), ("running", "n1,n2,n5"), ("pending", "n6"),
        ("skipped", "n7"), ("removed", "n8"), ("waiting", "n9"), ("added", "n6"),
    ]:  # fmt: skip
        assert f"    class {names} {state}\n" in drawn
        assert f"    classDef {state} " in drawn
    assert re.search(r"classDef added stroke-dasharray", drawn)


def test_what_an_action_owns_is_drawn_inside_of_it() -> None:
    done = ActionStatus.COMPLETED
    result = ran(
        acted(2, "pack", ActionStatus.WAITING, action="gostage.ForEach"),
        acted(5, "wrap", done, parent="2", within="pack[0]", depth=1),
        acted(6, "seal", ActionStatus.FAILED, parent="2", within="pack[0]", depth=1),
        acted(7, "wrap", done, parent="2", within="pack[1]", depth=1),
        acted(8, "again", ActionStatus.RUNNING, parent="2", within="pack[1]", depth=1),
        acted(9, "look", done, parent="8", within="pack[1]/again[0]", depth=2),
        acted(10, "look", done, parent="8", within="pack[1]/again[1]", depth=2),
        acted(3, "tell", ActionStatus.PENDING),
    )
    graph = run_graph(result, "x")
    assert (
        to_text(graph.children[0])
        == """\
▶ Shipping  running
├─ ? pack  gostage.ForEach  waiting
│  ╞═ [0]
│  │  ├─ ✓ wrap
│  │  └─ ✗ seal  failed
│  ╘═ [1]
│     ├─ ✓ wrap
│     └─ ▶ again  running
│        ├─ ✓ look [0]
│        └─ ✓ look [1]
└─ · tell
"""
    )
    ids = [one.id for one in walked(graph)]
    assert len(ids) == len(set(ids))


def test_a_stage_that_was_added_and_one_that_is_parallel_are_told_apart() -> None:
    drawn = to_mermaid(run_graph(ran(parallel=True, added=True, added_by="operator:ana"), "x"))
    assert "side by side" in drawn
    assert "added by operator:ana" in drawn
    assert "class n2 added" in drawn


# Graphviz


def test_a_workflow_is_a_graph_of_clusters() -> None:
    assert (
        to_dot(definition_graph(order().definition()))
        == """\
digraph "Order processing" {
    compound=true;
    node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif"];
    n1 [label="Order processing"];
    subgraph cluster_n2 {
        style="rounded,filled"; fontname="sans-serif";
        label="Validation";
        n3 [label="pay"];
        n4 [label="charge\\ngraph.pay"];
        n5 [label="tell"];
        n3 -> n4;
        n4 -> n5;
    }
    subgraph cluster_n6 {
        style="rounded,filled"; fontname="sans-serif";
        label="notify\\nside by side, at most 4 at a time";
        n7 [label="tell"];
        n8 [label="pay"];
    }
    n9 [label="nothing"];
    n1 -> n3 [lhead=cluster_n2];
    n5 -> n7 [ltail=cluster_n2, lhead=cluster_n6];
    n8 -> n9 [ltail=cluster_n6];
}
"""
    )


@given(label=st.text(min_size=1, max_size=70))
@example(label='a "b" \\" \\N &lt; \\')
def test_any_label_is_one_text_of_a_graph(label: str) -> None:
    line = next(one for one in to_dot(Node("r", label, Kind.STAGE)).splitlines() if "label=" in one)
    quoted = re.fullmatch(r'    n1 \[label="((?:[^"\\]|\\.)*)"\];', line)
    assert quoted
    shown = " ".join("".join(one if one.isprintable() else " " for one in label).split())
    assert html.unescape(re.sub(r"\\(.)", r"\1", quoted[1])) == shown


# Everywhere


@pytest.mark.parametrize("draw", [to_mermaid, to_dot, to_text])
def test_every_state_of_a_run_can_be_drawn(draw: Callable[[Node], str]) -> None:
    for status in [*ActionStatus, *RunStatus]:
        node = Node("r", "x", Kind.ACTION, state=status.value)
        assert status.value in draw(node) or node.is_quiet
