"""``gostage graph`` and ``gostage schema``, as their user runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gostage_core.authoring.workflow import Workflow
from gostage_core.runner import Runner
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from tests.support.eventually import eventually
from tests.support.shop import open_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Shell
    from tests.support.server import RedisServer

MODULE = """
from gostage_core import ActionContext, ForEach, Middleware, Repeat, Stage, Workflow, action

@action
def seek(ctx: ActionContext, found: int = 2) -> None:
    ctx.add_action(*(pack.s(n=n) for n in range(found)))
    ctx.add_stage(Stage("audit", [pack.s()]))
    ctx.actions["sms"].disable()
    ctx.actions["fax"].remove()

@action
def pack(ctx: ActionContext, n: int = 0) -> None: ...

@action
def broken(ctx: ActionContext) -> None:
    raise ValueError("no paper")

class Audit(Middleware):
    file: str = "log"

changing = Workflow("changing", name="Changing")
changing.add_stage("find").add(
    seek.s(), pack.s().options(name="sms"), pack.s().options(name="fax")
)
changing.add_stage("tell").add(broken.s())

growing = Workflow("growing")
growing.add_stage("find").add(seek.s(found=300))
growing.add_stage("tell").add(pack.s().options(name="sms"), pack.s().options(name="fax"))

composed = Workflow("composed")
composed.add_stage("each").add(
    ForEach("items", pack.s(), broken.s().options(on_error="continue"), max_parallel=2)
)
composed.add_stage("again").add(Repeat(pack.s(), max_times=2))

large = Workflow("large")
large.add_stage(Stage("all", [pack.s(n=n) for n in range(10_000)]))
"""


@pytest.fixture(scope="module")
def settings(server: RedisServer) -> Settings:
    return Settings(redis_url=server.url, namespace="test-cli-graph")


@pytest.fixture(scope="module")
def shell(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = open_shop(tmp_path_factory.mktemp("shop"), settings)
    (shell.directory / "plant.py").write_text(MODULE)
    return shell


@pytest.fixture(scope="module")
def worker(shell: Shell, settings: Settings) -> Iterator[None]:
    with shell.started("worker", "plant", "--concurrency=2", "--loglevel=error"):
        state = State(settings)
        eventually(lambda: state.client.zcard(state.keys.of("alive")))
        state.client.close()
        yield


@pytest.fixture
def runner(settings: Settings) -> Iterator[Runner]:
    runner = Runner(settings=settings)
    yield runner
    runner.close()


def drawn(shell: Shell, *words: str) -> str:
    ended = shell.gostage("graph", *words)
    assert ended.stderr == ""
    assert ended.returncode == 0
    return ended.stdout


def test_a_workflow_is_drawn_without_any_server(shell: Shell) -> None:
    nowhere = ("--url", "redis://127.0.0.1:1/0")
    assert drawn(shell, "plant:changing", *nowhere).startswith("flowchart TD\n")
    assert (
        drawn(shell, "plant:changing", "--format", "text", *nowhere)
        == """\
Changing
├─ find
│  ├─ seek
│  ├─ sms  plant:pack
│  └─ fax  plant:pack
└─ tell
   └─ broken
"""
    )
    assert drawn(shell, "plant:changing", "--format=dot", *nowhere).startswith("digraph")
    assert (
        drawn(shell, "order.yaml", "-m", "shop", "--format=text", *nowhere)
        == """\
from-a-file
└─ only
   └─ quick
"""
    )


def test_a_drawing_may_go_to_a_file(shell: Shell) -> None:
    assert drawn(shell, "plant:composed", "--output", "composed.mmd") == ""
    text = (shell.directory / "composed.mmd").read_text(encoding="utf-8")
    assert text == drawn(shell, "plant:composed")
    assert "for each of items, side by side, at most 2 at a time" in text


def test_a_plan_of_ten_thousand_actions_is_folded_unless_all_are_asked_for(shell: Shell) -> None:
    folded = drawn(shell, "plant:large")
    assert "… 9,980 actions" in folded
    assert folded.count('("pack")') == 20
    assert drawn(shell, "plant:large", "--all").count('("pack")') == 10_000


def test_a_tree_may_be_had_as_data(shell: Shell) -> None:
    tree = json.loads(drawn(shell, "plant:changing", "--json"))
    assert (tree["kind"], tree["label"]) == ("workflow", "Changing")
    assert [one["label"] for one in tree["children"][0]["children"]] == ["seek", "sms", "fax"]


@pytest.mark.usefixtures("worker")
def test_a_run_is_drawn_with_how_it_stands_and_how_it_was_changed(
    shell: Shell, runner: Runner
) -> None:
    shell.gostage("run", "plant:changing", "--run-id", "run:1")
    assert (
        drawn(shell, "run:1", "--format", "text")
        == """\
✗ Changing  run:1  failed
├─ ✓ find
│  ├─ ✓ seek
│  ├─ ✓ pack  added by find/seek
│  ├─ ✓ pack  added by find/seek
│  ├─ - sms  plant:pack  skipped
│  └─ x fax  plant:pack  removed
├─ ✓ audit  added by find/seek
│  └─ ✓ pack  added by find/seek
└─ ✗ tell  failed
   └─ ✗ broken  ValueError: no paper  failed
"""
    )
    chart = drawn(shell, "run:1")
    for state in ("completed", "failed", "skipped", "removed", "added"):
        assert f"classDef {state} " in chart
    assert runner.get("run:1").status == "failed"


@pytest.mark.usefixtures("worker")
def test_what_was_added_to_a_run_is_folded_too(shell: Shell) -> None:
    shell.gostage("run", "plant:growing", "--run-id", "growing-1")
    folded = drawn(shell, "growing-1", "--format", "text")
    assert len(folded.splitlines()) < 60
    assert "completed, " in folded
    assert drawn(shell, "growing-1", "--all").count('("✓ pack') == 301


@pytest.mark.usefixtures("worker")
def test_what_an_action_of_a_run_owns_is_drawn_inside_of_it(shell: Shell) -> None:
    shell.gostage("run", "plant:composed", "--run-id", "composed-1", "--set", "items=[1, 2]")
    assert (
        drawn(shell, "composed-1", "--format", "text")
        == """\
✓ composed  composed-1
├─ ✓ each
│  └─ ✓ ForEach
│     ╞═ [0]
│     │  ├─ ✓ pack
│     │  └─ ✗ broken  ValueError: no paper  handled by on_error  failed
│     ╘═ [1]
│        ├─ ✓ pack
│        └─ ✗ broken  ValueError: no paper  handled by on_error  failed
└─ ✓ again
   └─ ✓ Repeat
      ├─ ✓ pack [0]
      └─ ✓ pack [1]
"""
    )


def test_an_id_that_looks_like_a_target_or_a_file_is_drawn_with_run(
    shell: Shell, runner: Runner
) -> None:
    workflow = Workflow("waits")
    workflow.add_stage("empty")
    for run_id in ("plant:changing", "order.yaml"):
        runner.submit(workflow, run_id=run_id)
        assert f"waits  {run_id}" in drawn(shell, run_id, "--run", "--format", "text")
    assert "Changing" in drawn(shell, "plant:changing")
    for run_id in ("no.module:here", "gone.yaml"):
        runner.submit(workflow, run_id=run_id)
        assert f"waits  {run_id}" in drawn(shell, run_id, "--format", "text")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "its retention has ended; and 'nothing' is neither package.module:workflow"),
        (["missing.yaml"], "there is no file 'missing.yaml' here"),
        (["no.such:module"], "there is no module 'no.such' here that"),
        (["plant:nothing"], "module 'plant' has no 'nothing'; its workflows are changing"),
        (["half:workflow"], "module 'half' cannot be imported: ZeroDivisionError"),
        (["wrong.json"], "wrong.json:3: stages[0].actions[0].action: no action is registered"),
        (["--run", "plant:large"], "no run 'plant:large'"),
    ],
)
def test_what_cannot_be_drawn_is_told_with_what_was_tried(
    shell: Shell, words: list[str], told: str
) -> None:
    (shell.directory / "half.py").write_text("1 / 0")
    (shell.directory / "wrong.json").write_text(
        '{"id": "x", "stages": [\n{"id": "a", "actions": [\n{"action": "gone"}]}]}'
    )
    ended = shell.gostage("graph", *words)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stdout == ""


def test_a_server_that_does_not_answer_is_told_with_why_it_was_asked(shell: Shell) -> None:
    ended = shell.gostage("graph", "missing.yaml", "--url", "redis://127.0.0.1:1/0")
    assert ended.returncode == 3
    assert "was taken for the id of a run, for there is no file 'missing.yaml' here" in ended.stderr


def test_a_drawing_that_cannot_be_written_is_told(shell: Shell) -> None:
    ended = shell.gostage("graph", "plant:changing", "-o", "no/such/folder/x.mmd")
    assert ended.returncode == 1
    assert "cannot write the answer" in ended.stderr


def test_the_schema_is_printed_for_editors(shell: Shell) -> None:
    printed = shell.gostage("schema")
    assert printed.stderr == ""
    assert json.loads(printed.stdout) == Workflow.model_json_schema()
    shell.gostage("schema", "-m", "plant", "-o", "workflow.schema.json")
    assert "plant:pack" in (shell.directory / "workflow.schema.json").read_text()
    assert "plant:pack" not in printed.stdout


def test_the_schema_has_the_actions_of_the_modules_that_are_named(shell: Shell) -> None:
    printed = shell.gostage("schema", GOSTAGE_MODULES="plant")
    schema = json.loads(printed.stdout)
    offered = [
        one["const"]
        for one in schema["$defs"]["ActionDefinition"]["properties"]["action"]["anyOf"]
        if "const" in one and not one["const"].startswith("gostage.")
    ]
    assert offered == ["plant:broken", "plant:pack", "plant:seek"]
    assert "plant:Audit" in printed.stdout
    assert schema["$defs"]["seek"]["properties"]["found"]["type"] == "integer"
