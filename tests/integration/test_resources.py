"""Resources of real workers, under every pool: who makes them, and who tears them down."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import Action, Runner, RunStatus, Stage, Workflow
from gostage_workers import LocalCluster
from tests.support import resourceful
from tests.support.command import SECONDS, Shell
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import RunResult
    from tests.support.server import RedisServer

TOGETHER = {"prefork": 2, "threads": 3, "solo": 1}
LINE_TWICE = [resourceful.use_line.s(), resourceful.use_line.s()]


def one_stage(*actions: Action, parallel: bool = False) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions, parallel=parallel))
    return workflow


class Workers:
    """One worker under one pool, and what its resources note."""

    def __init__(self, pool: Any, log: Path) -> None:
        self.pool = pool
        self._log = log
        self._log.touch()
        self.cluster = LocalCluster(
            1, pool=pool, concurrency=TOGETHER[pool], modules=["tests.support.resourceful"]
        )

    def execute(self, *actions: Action, parallel: bool = False) -> RunResult:
        """Execute *actions*; what was noted before is forgotten."""
        self._log.write_text("")
        workflow = one_stage(*actions, parallel=parallel)
        return self.cluster.runner.execute(workflow, timeout=60)

    def pids(self, event: str) -> list[int]:
        """Return in which processes *event* has happened."""
        lines = [line.rpartition(" ") for line in self._log.read_text().splitlines()]
        return [int(pid) for what, _, pid in lines if what == event]

    def events(self) -> list[str]:
        """Return what has happened to resources of attempts."""
        events = [line.rpartition(" ")[0] for line in self._log.read_text().splitlines()]
        return [event for event in events if not event.endswith(" line")]

    def said(self) -> str:
        """Return what the worker has logged."""
        return self.cluster.workers[0].log_tail(1000)


@contextmanager
def started(pool: str, directory: Path) -> Iterator[Workers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESOURCE_LOG", str(directory / "log"))
        workers = Workers(pool, directory / "log")
        with workers.cluster:
            yield workers


@pytest.fixture(scope="module", params=list(TOGETHER))
def workers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workers]:
    with started(request.param, tmp_path_factory.mktemp(request.param)) as workers:
        yield workers


@pytest.fixture(params=list(TOGETHER))
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_process_makes_its_own_once_and_tears_it_down_at_its_end(
    pool: str, tmp_path: Path
) -> None:
    with started(pool, tmp_path) as workers:
        actions = [resourceful.use_line.s() for _ in range(8)]
        result = workers.execute(*actions, parallel=True)
        assert result.status is RunStatus.COMPLETED, result.error
        used_in = set(result.store["pids"])
        assert sorted(workers.pids("make line")) == sorted(used_in)
        assert workers.pids("end line") == []
        assert (workers.cluster.workers[0].pid in used_in) is (pool != "prefork")
        if pool == "threads":
            assert max(result.store["threads"]) > 1
    assert sorted(workers.pids("end line")) == sorted(used_in)


def test_a_child_that_is_replaced_tears_its_own_down(
    server: RedisServer, namespace: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "GOSTAGE_REDIS_URL": server.url,
        "GOSTAGE_NAMESPACE": namespace,
        "GOSTAGE_MODULES": "tests.support.resourceful",
        "RESOURCE_LOG": str(tmp_path / "log"),
    }
    command = [sys.executable, "-m", "celery", "-A", "gostage_workers.app", "worker"]
    worker = subprocess.Popen(
        [*command, "-c", "1", "--max-tasks-per-child", "1", "-l", "WARNING"], env=environment
    )
    try:
        with closing(Runner(server.url, namespace=namespace)) as runner:
            pids = runner.execute(one_stage(*LINE_TWICE), timeout=60).store["pids"]
    finally:
        worker.terminate()
        worker.wait(60)
    assert len(set(pids)) == 2
    log = (tmp_path / "log").read_text().splitlines()
    assert sorted(log) == sorted(f"{what} line {pid}" for what in ("make", "end") for pid in pids)


def test_an_attempts_own_is_torn_down_before_the_attempt_is_committed(workers: Workers) -> None:
    result = workers.execute(resourceful.use_desk.s(), resourceful.use_desk_in_coroutine.s())
    assert result.status is RunStatus.COMPLETED, result.error
    assert workers.events() == ["make desk", "end desk"] * 2


def test_what_a_body_raises_reaches_the_teardown(workers: Workers) -> None:
    result = workers.execute(resourceful.stumble.s())
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.actions[0].attempt == 2
    assert workers.events() == ["make desk", "undo desk KeyError", "make desk", "end desk"]


def test_a_bail_is_a_good_end_for_resources(workers: Workers) -> None:
    assert workers.execute(resourceful.bail.s()).status is RunStatus.BAILED
    assert workers.events() == ["make desk", "end desk"]


def test_an_attempt_past_its_timeout_undoes_what_its_resources_hold(workers: Workers) -> None:
    result = workers.execute(resourceful.overrun.s())
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"
    error = "OvertimeSignal" if workers.pool == "prefork" else "ActionTimeoutError"
    eventually(lambda: workers.events() == ["make desk", f"undo desk {error}"])


def test_a_teardown_that_raises_is_logged_and_the_action_is_completed(workers: Workers) -> None:
    result = workers.execute(resourceful.be_clumsy.s())
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["done"] is True
    assert workers.events() == ["end clumsy"]
    eventually(lambda: "OSError: cannot close" in workers.said())
    assert "the teardown of resource 'clumsy' failed" in workers.said()


def test_a_factory_that_raises_is_called_again_at_the_next_try(workers: Workers) -> None:
    result = workers.execute(resourceful.insist.s())
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["found"] == "steady"
    assert result.actions[0].attempt == 2


def test_a_factory_that_raises_fails_the_action_and_is_named(workers: Workers) -> None:
    error = workers.execute(resourceful.go_astray.s()).error
    assert error is not None
    assert error.message == "resource 'broken' could not be made: ConnectionError: no route"
    assert error.cause is not None
    assert error.cause.type == "ConnectionError"


def test_a_circle_of_factories_fails_the_action_and_shows_the_circle(workers: Workers) -> None:
    error = workers.execute(resourceful.go_round.s()).error
    assert error is not None
    assert error.type == "ResourceError"
    assert "hen -> egg -> hen" in error.message


def test_a_resource_that_no_module_registers_is_named(workers: Workers) -> None:
    error = workers.execute(resourceful.miss.s()).error
    assert error is not None
    assert error.type == "ResourceNotFoundError"
    assert "@resource('nothing_of_the_kind')" in error.message


def test_an_isolated_attempt_makes_its_own_and_tears_it_down(workers: Workers) -> None:
    result = workers.execute(resourceful.use_line.s().options(isolation="process"))
    assert result.status is RunStatus.COMPLETED, result.error
    assert workers.pids("make line") == result.store["pids"]
    assert workers.cluster.workers[0].pid not in result.store["pids"]
    eventually(lambda: workers.pids("end line") == result.store["pids"])


def test_looking_at_what_there_is_makes_nothing(workers: Workers) -> None:
    result = workers.execute(resourceful.use_none.s())
    assert result.store["names"] == ["broken", "clumsy", "desk", "egg", "hen", "line", "unsteady"]
    assert workers.events() == []


RESOURCES = """
from gostage_workers import resource

@resource("who")
def who() -> str:
    return "World"
"""

ACTIONS = """
from gostage_core import ActionContext, action

@action(store_as="greeting")
def greet(ctx: ActionContext) -> str:
    return f"Hello, {ctx.resources.who}!"
"""

RUN = """
from gostage_core import Workflow
from gostage_workers import LocalCluster
from shop import greet

if __name__ == "__main__":
    workflow = Workflow("hello")
    workflow.add_stage("only").add(greet.s())
    with LocalCluster(1) as cluster:
        print(cluster.runner.execute(workflow, timeout=60).store["greeting"])
"""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=Shell(directory).environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_workers_load_a_module_that_registers_nothing_but_resources(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(ACTIONS)
    (tmp_path / "equipment.py").write_text(RESOURCES)
    (tmp_path / "main.py").write_text("import equipment" + RUN)
    done = run(tmp_path, "main.py")
    assert done.stdout == "Hello, World!\n", done.stderr


def test_workers_load_a_script_that_registers_nothing_but_resources(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(ACTIONS)
    (tmp_path / "main.py").write_text(RESOURCES + RUN)
    done = run(tmp_path, "main.py")
    assert done.stdout == "Hello, World!\n", done.stderr


def test_the_example_sells_and_adds_up(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "gostage_workers.examples.resources")
    assert done.stdout == "completed: 149.90 taken\n", done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
