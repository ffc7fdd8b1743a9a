"""``gostage runs watch`` as its user sees it: a tree that lives, also over a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gostage_core import ActionContext, Runner, Stage, Workflow, action
from gostage_core.settings import Settings
from tests.support.command import SECONDS, Shell, Terminal
from tests.support.eventually import eventually
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import Run
    from tests.support.bench import Bench

screens: list[Terminal] = []
"""What the body below is seen on."""


@action
def pack(ctx: ActionContext) -> None:
    """Be half done until that is seen."""
    ctx.progress(0.5, "wrapping it")
    shows("running on w  50% wrapping it  ━━━━━━━━━━──────────")


@action
def refuse(ctx: ActionContext) -> None:
    raise LookupError("no such account")


def shows(text: str) -> None:
    """Wait until the screen shows it."""
    eventually(lambda: text in screens[0].text, SECONDS)


def workflow(*stages: Stage) -> Workflow:
    made = Workflow("order", name="Order processing")
    for stage in stages:
        made.add_stage(stage)
    return made


@pytest.fixture
def shell(settings: Settings, tmp_path: Path) -> Shell:
    return Shell(
        tmp_path, GOSTAGE_REDIS_URL=settings.redis_url, GOSTAGE_NAMESPACE=settings.namespace
    )


def watched(shell: Shell, run: Run, bench: Bench) -> tuple[int, list[str]]:
    """Watch a run from its beginning, and return the status and what is left on the screen."""
    with shell.terminal(100, "runs", "watch", run.run_id) as terminal:
        screens[:] = [terminal]
        shows("Order processing")
        bench.drain(run)
        status = terminal.status()
    # The picture is taken away at the end; what is printed then stays.
    lines = terminal.text.split("\n")
    last = max(n for n, line in enumerate(lines) if line.startswith("Order processing"))
    return status, lines[last:]


def test_on_a_terminal_a_run_is_a_tree_that_lives_and_ends_with_the_run(
    shell: Shell, bench: Bench
) -> None:
    run = bench.submit(workflow(Stage("ship", [pack.s(), pack.s()]), Stage("tell", [pack.s()])))
    status, left = watched(shell, run, bench)
    assert status == 0
    assert "completed" in left[0]
    assert sum("✓ pack" in line for line in left) == 3
    assert not any("━" in line for line in left)


def test_it_ends_with_the_status_of_a_run_that_failed_and_says_what_with(
    shell: Shell, bench: Bench
) -> None:
    run = bench.submit(workflow(Stage("pay", [refuse.s()])))
    status, left = watched(shell, run, bench)
    assert status == 1
    assert any("✗ refuse" in line and "LookupError: no such account" in line for line in left), left


def test_its_history_is_printed_on_a_terminal_where_that_is_asked_for(
    shell: Shell, bench: Bench
) -> None:
    run = bench.submit(workflow(Stage("pay", [refuse.s()])))
    bench.drain(run)
    for words in (["--lines"], ["--after", "0"]):
        shown = shell.on_terminal(100, "runs", "watch", run.run_id, *words)
        assert [line.split()[2] for line in shown.splitlines()][-1] == "run.failed"


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def runner(own_server: RedisServer) -> Iterator[Runner]:
    runner = Runner(settings=Settings(redis_url=own_server.url))
    yield runner
    runner.close()


def test_the_tree_outlasts_a_restart_of_the_server(
    own_server: RedisServer, runner: Runner, tmp_path: Path
) -> None:
    run = runner.submit(workflow(Stage("ship", [pack.s()])))
    shell = Shell(tmp_path, GOSTAGE_REDIS_URL=own_server.url)
    with shell.terminal(100, "runs", "watch", run.run_id) as terminal:
        screens[:] = [terminal]
        shows("· pack")
        own_server.kill()
        shows("the Redis server does not answer; waiting for it")
        own_server.start()
        run.cancel("enough")
        assert terminal.status() == 1
    assert "cancelled" in terminal.text


def test_the_history_goes_on_after_a_restart_of_the_server(
    own_server: RedisServer, runner: Runner, tmp_path: Path
) -> None:
    run = runner.submit(workflow(Stage("ship", [pack.s()])))
    shell = Shell(tmp_path, GOSTAGE_REDIS_URL=own_server.url)
    with shell.started("runs", "watch", run.run_id, "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        own_server.kill()
        told = process.stderr.readline()
        own_server.start()
        run.cancel("enough")
        rest = process.stdout.read()
        process.wait(SECONDS)
    assert "does not answer" in told
    entries = [json.loads(line) for line in [first, *rest.splitlines()]]
    assert [one["sequence"] for one in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["kind"] == "run.cancelled"
    assert process.returncode == 1
