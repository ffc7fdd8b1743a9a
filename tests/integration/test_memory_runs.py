"""Whole runs over a server in memory: no server, no worker, no real time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import Retry, Runner, RunStatus, Workflow, action
from gostage_core.broker.app import direct_line, producer_app
from gostage_core.coordinator import Coordinator
from gostage_core.errors import RunTimeoutError
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from gostage_core.testing.memory import MemoryClient, MemoryServer

if TYPE_CHECKING:
    from gostage_core import ActionContext
    from tests.support.bench import Bench


@action
def greet(ctx: ActionContext) -> None:
    ctx.store["greeting"] = "hello"
    ctx.send("greeted", {"who": "Ana"})


@action(retry=Retry(2, delay=3600, jitter=0))
def stumble(ctx: ActionContext) -> None:
    if ctx.attempt == 1:
        raise ValueError("not yet")


def one_of(*actions: Any) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage("s").add(*actions)
    return workflow


def server_of(bench: Bench) -> MemoryServer:
    assert isinstance(bench.state.client, MemoryClient)
    return bench.state.client.server


def test_who_waits_for_a_run_has_it_go_on(memory_bench: Bench) -> None:
    run = memory_bench.submit(one_of(greet.s(), greet.s(), greet.s()))
    server_of(memory_bench).on_wait = lambda _seconds: memory_bench.step()
    result = run.wait(timeout=30)
    assert result.status is RunStatus.COMPLETED
    assert result.store["greeting"] == "hello"
    assert len(list(run.messages())) == 3


def test_a_retry_in_an_hour_comes_when_the_hour_has_passed(memory_bench: Bench) -> None:
    clock = server_of(memory_bench).clock
    run = memory_bench.submit(one_of(stumble.s()))
    memory_bench.step()
    for seconds in (0, 3599):
        clock.advance(seconds)
        memory_bench.rescuer.tick()
        assert not memory_bench.post.messages
    clock.advance(1)
    memory_bench.rescuer.tick()
    memory_bench.step()
    assert run.result().status is RunStatus.COMPLETED
    assert run.result().duration == 3600


def test_a_run_past_its_deadline_fails_by_the_clock(memory_bench: Bench) -> None:
    run = memory_bench.submit(one_of(greet.s()), deadline=60)
    server_of(memory_bench).clock.advance(61)
    memory_bench.rescuer.tick()
    assert run.result().error.type == "DeadlineExceededError"


def test_a_run_is_forgotten_when_its_retention_has_passed(memory_bench: Bench) -> None:
    memory_bench.drain(memory_bench.submit(one_of(greet.s())))
    server_of(memory_bench).clock.advance(memory_bench.settings.retention + 1)
    memory_bench.rescuer.tick()
    left = set(memory_bench.state.client.scan_iter("*"))
    assert left == {
        memory_bench.state.keys.of(name).encode() for name in ("beat", "marks", "numbers")
    }


def test_a_handler_hears_what_is_sent_in_memory(memory_bench: Bench) -> None:
    heard: list[str] = []

    @memory_bench.runner.on("greeted")
    def hear(message: Any) -> None:
        heard.append(message.payload["who"])

    run = memory_bench.submit(one_of(greet.s()))
    memory_bench.drain(run)
    assert memory_bench.runner.drain(timeout=30)
    assert heard == ["Ana"]


def test_what_a_runner_publishes_lies_in_the_same_server() -> None:
    client = MemoryClient(MemoryServer())
    settings = Settings(redis_url="redis://127.0.0.1:1/0", namespace="shop")
    state, app = State(settings, client), producer_app(settings)
    line = direct_line(app, settings, state.push)
    with_nobody = Runner.over(state, Coordinator(app, settings.namespace, line).send)
    run = with_nobody.submit(one_of(greet.s()))
    (text,) = client.lrange("shop", 0, -1)
    assert json.loads(text)["headers"]["task"] == "gostage.action"
    with pytest.raises(RunTimeoutError):
        run.wait(timeout=0.01)
    with_nobody.close()
