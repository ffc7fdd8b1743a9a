"""Handlers of messages: which are called, in which order, and that none misses anything."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    Runner,
    RunStatus,
    RunWorkflow,
    Stage,
    Workflow,
    action,
    listening,
)
from gostage_core.settings import Settings
from gostage_workers.cluster import LocalCluster
from tests.support.bench import Bench
from tests.support.command import ROOT, SECONDS, Shell
from tests.support.eventually import eventually
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import Message, Run
    from gostage_core.authoring.action import Action

pytestmark = pytest.mark.usefixtures("fresh_registry")


class Heard:
    """A handler that keeps what it was called with."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def payloads(self) -> list[Any]:
        return [message.payload for message in self.messages]


@pytest.fixture
def runner(bench: Bench) -> Runner:
    return bench._runner


@pytest.fixture
def elsewhere(bench: Bench) -> Iterator[Runner]:
    """The runner of another process, as it were."""
    runner = Runner(settings=bench.settings)
    runner._coordinator = bench.post  # type: ignore[assignment]
    yield runner
    runner.close()


def sends(*payloads: Any, kind: str = "note", name: str = "send") -> Action:
    @action("sends")
    def send(ctx: ActionContext, payloads: list[Any], kind: str) -> None:
        for payload in payloads:
            ctx.send(kind, payload)

    return send.s(payloads=list(payloads), kind=kind).options(name=name)


def workflow_of(*actions: Action, workflow: str = "w", stage: str = "s") -> Workflow:
    made = Workflow(workflow)
    made.add_stage(Stage(stage, actions))
    return made


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "gostage-messages"]


def test_a_handler_hears_every_message_of_its_type_in_order(bench: Bench, runner: Runner) -> None:
    heard = Heard()
    assert runner.on("note")(heard) is heard
    run = bench.submit(workflow_of(sends(*range(30)), sends("no", kind="other"), sends("end")))
    bench.drain(run)
    assert runner.drain()
    assert heard.payloads == [*range(30), "end"]
    assert [message.context.sequence for message in heard.messages] == [*range(1, 31), 32]
    assert {message.context.run_id for message in heard.messages} == {run.run_id}


def test_every_handler_that_fits_is_called_in_the_order_of_registration(
    bench: Bench, runner: Runner
) -> None:
    calls: list[tuple[str, Any]] = []
    for name, kind in [("first", "note"), ("second", None), ("third", "note"), ("no", "other")]:
        runner.on(kind)(lambda message, name=name: calls.append((name, message.payload)))
    bench.drain(bench.submit(workflow_of(sends(1, 2))))
    assert runner.drain()
    names = ("first", "second", "third")
    assert calls == [(name, payload) for payload in (1, 2) for name in names]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"workflow": "one"}, [1, 2]),
        ({"stage": "late"}, [3, 4]),
        ({"action": "pack"}, [2, 4]),
        ({"workflow": "two", "action": "pack"}, [4]),
        ({"workflow": "one", "stage": "late"}, []),
    ],
    ids=str,
)
def test_a_handler_may_be_for_one_workflow_stage_or_action(
    bench: Bench, runner: Runner, scope: dict[str, str], expected: list[int]
) -> None:
    heard = Heard()
    runner.on("note", **scope)(heard)
    for workflow, stage, payloads in (("one", "early", (1, 2)), ("two", "late", (3, 4))):
        actions = [sends(n, name=name) for n, name in zip(payloads, ("pick", "pack"), strict=True)]
        bench.drain(bench.submit(workflow_of(*actions, workflow=workflow, stage=stage)))
        assert runner.drain()
    assert heard.payloads == expected


def test_a_handler_hears_its_runner_alone_or_the_run_that_it_names(
    bench: Bench, runner: Runner, elsewhere: Runner
) -> None:
    ours, named, both = Heard(), Heard(), Heard()
    runner.on()(ours)
    runner.on(run_id="there")(named)
    runner.on(run_id="here")(both)
    bench.drain(elsewhere.submit(workflow_of(sends("not heard"))))
    bench.drain(elsewhere.submit(workflow_of(sends("there")), run_id="there"))
    bench.drain(runner.submit(workflow_of(sends("here")), run_id="here"))
    assert runner.drain()
    assert ours.payloads == both.payloads == ["here"]
    eventually(lambda: named.payloads == ["there"])


def test_a_run_that_ended_elsewhere_long_ago_is_heard_from_its_beginning(
    bench: Bench, runner: Runner, elsewhere: Runner
) -> None:
    run = elsewhere.submit(workflow_of(sends(1, 2)))
    bench.drain(run)
    heard = Heard()
    runner.on(run_id=run.run_id)(heard)
    assert runner.drain()
    assert heard.payloads == [1, 2]


def test_a_handler_that_comes_late_hears_all_and_others_hear_nothing_twice(
    bench: Bench, runner: Runner
) -> None:
    early, late, latest = Heard(), Heard(), Heard()
    run = bench.submit(workflow_of(sends(1), sends(2), sends(3)))
    bench.step()
    runner.on()(early)
    assert runner.drain()
    bench.step()
    runner.on()(late)
    bench.drain(run)
    assert runner.drain()
    eventually(lambda: not threads())
    runner.on()(latest)
    assert runner.drain()
    assert early.payloads == late.payloads == latest.payloads == [1, 2, 3]


def test_submitting_a_key_again_hears_the_run_that_has_it(
    bench: Bench, runner: Runner, elsewhere: Runner
) -> None:
    heard = Heard()
    runner.on()(heard)
    bench.drain(elsewhere.submit(workflow_of(sends(1)), key="k"))
    runner.submit(workflow_of(sends(2)), key="k")
    assert runner.drain()
    assert heard.payloads == [1]


def test_what_a_handler_raises_is_logged_with_its_place_and_stops_nothing(
    bench: Bench, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    @runner.on("note")
    def broken(message: Message) -> None:
        raise (SystemExit(1) if message.payload == 2 else RuntimeError("no printer"))

    runner.on("note")(heard)
    with caplog.at_level(logging.ERROR):
        run = bench.submit(workflow_of(sends(1, 2, 3, name="pack")))
        bench.drain(run)
        assert runner.drain()
    assert heard.payloads == [1, 2, 3]
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 3
    for part in ("broken", "'note'", "s/pack", run.run_id, "message 1"):
        assert part in texts[0]
    assert caplog.records[0].exc_info is not None
    assert "no printer" in str(caplog.records[0].exc_info[1])


def test_a_handler_may_be_a_coroutine_function(bench: Bench, runner: Runner) -> None:
    heard: list[Any] = []

    @runner.on()
    async def show(message: Message) -> None:
        heard.append(message.payload)

    bench.drain(bench.submit(workflow_of(sends(1, 2))))
    assert runner.drain()
    assert heard == [1, 2]


def test_messages_of_a_child_run_are_heard_once_with_the_childs_id(
    bench: Bench, runner: Runner
) -> None:
    heard, of_child, of_parent = Heard(), Heard(), Heard()
    runner.on()(heard)
    runner.on(workflow="child")(of_child)
    runner.on(workflow="parent")(of_parent)
    child = workflow_of(sends("child"), workflow="child")
    run = bench.submit(workflow_of(RunWorkflow(child), sends("parent"), workflow="parent"))
    bench.drain(run)
    assert runner.drain()
    assert heard.payloads == ["child", "parent"]
    assert heard.messages[0].context.run_id != heard.messages[1].context.run_id == run.run_id
    assert of_child.payloads == ["child"]
    assert of_parent.payloads == ["parent"]


def test_execute_returns_when_every_handler_was_called(bench: Bench, runner: Runner) -> None:
    heard = Heard()
    go_on = threading.Event()

    @runner.on()
    def slow(message: Message) -> None:
        go_on.wait(30)
        heard(message)

    with ThreadPoolExecutor() as pool:
        executed = pool.submit(runner.execute, workflow_of(sends(*range(5))))
        eventually(lambda: bench.post.messages)
        bench.drain(runner.get(bench.post.messages[0].run_id))
        assert not executed.done()
        go_on.set()
        assert executed.result(30).status is RunStatus.COMPLETED
        assert heard.payloads == [0, 1, 2, 3, 4]


def test_draining_ends_after_its_time_and_says_whether_all_were_called(
    bench: Bench, runner: Runner
) -> None:
    heard = Heard()
    go_on = threading.Event()

    @runner.on()
    def slow(message: Message) -> None:
        go_on.wait(30)
        heard(message)

    bench.drain(bench.submit(workflow_of(sends(1, 2))))
    assert not runner.drain(timeout=0.05)
    go_on.set()
    assert runner.drain()
    assert heard.payloads == [1, 2]


def test_a_handler_that_drains_is_not_made_to_wait_for_itself(bench: Bench, runner: Runner) -> None:
    drained: list[bool] = []

    @runner.on()
    def ask(message: Message) -> None:
        drained.append(runner.drain())

    bench.drain(bench.submit(workflow_of(sends(1))))
    assert runner.drain()
    assert drained == [False]


def test_a_handler_may_submit_and_register(bench: Bench, runner: Runner) -> None:
    heard = Heard()

    @runner.on("note")
    def more(message: Message) -> None:
        runner.submit(workflow_of(sends("second", kind="other")))
        runner.on("other")(heard)

    bench.drain(bench.submit(workflow_of(sends(1))))
    assert runner.drain()
    bench.drain(runner.get(bench.post.messages[0].run_id))
    assert runner.drain()
    assert heard.payloads == ["second"]


def test_the_thread_lives_as_long_as_there_is_a_run_to_hear(bench: Bench, runner: Runner) -> None:
    before = bench.submit(workflow_of(sends(1)))
    assert not threads()
    heard = Heard()
    runner.on()(heard)
    assert len(threads()) == 1
    bench.drain(before)
    eventually(lambda: not threads())
    assert heard.payloads == [1]
    bench.drain(bench.submit(workflow_of(sends(2))))
    eventually(lambda: heard.payloads == [1, 2])
    eventually(lambda: not threads())


def test_a_runner_that_was_closed_calls_what_was_sent_and_goes_on_when_used_again(
    bench: Bench, runner: Runner
) -> None:
    heard = Heard()
    runner.on()(heard)
    run = bench.submit(workflow_of(sends(1), sends(2)))
    bench.step()
    runner.close()
    assert heard.payloads == [1]
    assert not threads()
    bench.drain(run)
    assert not threads()
    bench.drain(bench.submit(workflow_of(sends(3))))
    assert runner.drain()
    assert sorted(heard.payloads) == [1, 2, 3]


def test_a_message_whose_notice_was_lost_is_heard(bench: Bench, runner: Runner) -> None:
    heard = Heard()
    runner.on()(heard)
    run = bench.submit(workflow_of(sends(2)))
    assert runner.drain()
    key = bench.state.keys.of("messages", run.run_id)
    bench.state.client.rpush(key, '[0,"note",1,"w","s","a",1,"r"]')
    eventually(lambda: heard.payloads == [1])


def test_messages_that_a_crash_of_the_server_lost_make_room_for_others(
    bench: Bench, runner: Runner
) -> None:
    heard = Heard()
    runner.on()(heard)
    run = bench.submit(workflow_of(sends(1, 2), sends("again")))
    bench.step()
    assert runner.drain()
    key = bench.state.keys.of("messages", run.run_id)
    bench.state.client.ltrim(key, 0, 0)
    assert runner.drain()
    eventually(lambda: runner._listening._active[run.run_id].seen.popitem()[1] == 1)
    bench.drain(run)
    assert runner.drain()
    assert heard.payloads[-1] == "again"


@pytest.mark.parametrize("damage", ["item", "type", "header"])
def test_a_damaged_run_is_given_up_and_the_others_are_heard(
    bench: Bench, runner: Runner, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    runner.on()(heard)
    broken, sound = (bench.submit(workflow_of(sends(n))) for n in (1, 2))
    client, keys = bench.state.client, bench.state.keys
    bench.post.messages.popleft()
    if damage == "item":
        client.rpush(keys.of("messages", broken.run_id), "{")
    elif damage == "type":
        client.set(keys.of("messages", broken.run_id), "text")
    else:
        client.hset(keys.of("run", broken.run_id), "status", "elsewhere")
    assert runner.drain()
    bench.drain(sound)
    assert runner.drain()
    eventually(lambda: not threads())
    assert heard.payloads == [2]
    assert any(broken.run_id in record.getMessage() for record in caplog.records)


def test_a_run_that_is_forgotten_is_heard_no_more(bench: Bench, runner: Runner) -> None:
    runner.on()(Heard())
    run = bench.submit(workflow_of(sends(1)))
    assert runner.drain()
    bench.state.client.delete(bench.state.keys.of("run", run.run_id))
    eventually(lambda: not threads())


def test_so_many_runs_are_remembered_for_handlers_that_come_late(
    bench: Bench, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_REMEMBERED", 2)
    for n in range(4):
        bench.drain(bench.submit(workflow_of(sends(n))))
    heard = Heard()
    runner.on()(heard)
    assert runner.drain()
    assert sorted(heard.payloads) == [2, 3]


def test_more_runs_than_are_looked_at_at_once_are_all_heard(
    bench: Bench, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_LOOKS_AT_ONCE", 3)
    heard = Heard()
    runner.on()(heard)
    runs = [bench.submit(workflow_of(sends(n))) for n in range(10)]
    for run in runs:
        bench.drain(run)
    assert runner.drain()
    assert sorted(heard.payloads) == list(range(10))
    eventually(lambda: not threads())


def test_handlers_outlive_a_restart_of_the_server(fresh_registry: None, namespace: str) -> None:
    with RedisServer("--appendfsync", "always") as server:
        bench = Bench(Settings(redis_url=server.url, namespace=namespace))
        runner, heard = bench._runner, Heard()
        runner.on()(heard)
        run = bench.submit(workflow_of(*(sends(n, name=f"a{n}") for n in range(4))))
        bench.step()
        assert runner.drain()
        server.restart()
        bench.step()
        eventually(lambda: heard.payloads == [0, 1])
        server.kill()
        server.start()
        bench.drain(run)
        assert runner.drain()
        assert heard.payloads == [0, 1, 2, 3]
        bench.close()


def test_a_server_that_stays_away_ends_no_call_with_an_error_of_its_own(
    fresh_registry: None, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer() as server:
        bench = Bench(Settings(redis_url=server.url, namespace=namespace))
        bench._runner.on()(Heard())
        bench.submit(workflow_of(sends(1)))
        server.kill()
        eventually(lambda: any("come late" in one.getMessage() for one in caplog.records))
        bench.close()
        assert not threads()


PROGRAM = """
import os, sys
from gostage_core import ActionContext, Stage, Workflow, action
from gostage_core.settings import Settings
from tests.support.bench import Bench

@action
def send(ctx: ActionContext, text: str) -> None:
    ctx.send("note", text)

def submit(text):
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [send.s(text=text)]))
    return bench.submit(workflow)

bench = Bench(Settings(redis_url=sys.argv[1], namespace=sys.argv[2]))
runner = bench._runner

@runner.on("note")
def show(message):
    print(os.getpid() == parent, message.payload, flush=True)

parent = os.getpid()
"""

FORKS = """
run = submit("of the parent")
bench.post.messages.clear()
child = os.fork()
if child == 0:
    bench.drain(submit("of the child"))
    assert runner.drain()
    runner.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
bench.drain(run)
assert runner.drain()
"""


def run_program(text: str, settings: Settings, directory: Path) -> str:
    (directory / "program.py").write_text(PROGRAM + text)
    ended = subprocess.run(
        [sys.executable, "program.py", settings.redis_url, settings.namespace],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout


def test_a_forked_process_hears_what_it_submits_and_its_parent_the_rest(
    settings: Settings, tmp_path: Path
) -> None:
    assert run_program(FORKS, settings, tmp_path) == "False of the child\nTrue of the parent\n"


def test_a_program_that_ends_has_heard_what_was_sent(settings: Settings, tmp_path: Path) -> None:
    assert run_program('bench.drain(submit("at last"))', settings, tmp_path) == "True at last\n"


COUNTING = """
from gostage_core import ActionContext, action

@action
def count(ctx: ActionContext, to: int) -> None:
    for n in range(to):
        ctx.send("progress", {"done": n + 1, "of": to})
"""


def test_workers_send_and_the_producer_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(tmp_path)
    count = import_module("counting").count
    heard = Heard()
    workflow = Workflow("counting")
    workflow.add_stage(Stage("side", [count.s(to=20), count.s(to=20)], parallel=True))
    with LocalCluster(workers=2, modules=["counting"]) as cluster:
        cluster.runner.on("progress", workflow="counting")(heard)
        result = cluster.runner.execute(workflow, timeout=60)
        assert len(heard.messages) == 40
        messages = list(cluster.runner.get(result.run_id).messages(follow=True))
    assert messages == heard.messages
    assert [message.context.sequence for message in messages] == list(range(1, 41))
    assert not threads()


def test_the_example_shows_messages_as_they_come(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shown = subprocess.run(
        [sys.executable, "-m", "gostage_workers.examples.messages"],
        cwd=tmp_path,
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    photos = [line for line in lines if line.startswith("photos")]
    assert photos == [*(f"photos: {n} of 4" for n in range(1, 5)), "photos copied, says copy"]
    assert lines[-1] == "completed: 8 messages are kept, in order"
    assert len(lines) == 9


def test_a_handle_needs_no_handler(bench: Bench, runner: Runner) -> None:
    run: Run = bench.submit(workflow_of(sends(1)))
    bench.drain(run)
    assert runner.drain()
    assert [message.payload for message in run.messages()] == [1]
