"""Attempts in processes of their own: real ones that die in every way, under real workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gostage_core import Action, RunStatus, Stage, Workflow
from gostage_workers import LocalCluster
from tests.support import breaking
from tests.support.eventually import eventually
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import Run, RunResult

POOLS = ["prefork", "threads", "solo"]


def workflow_of(*actions: Action) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions))
    return workflow


def told(run: Run) -> int:
    """The process that the first action has told of."""
    return int(eventually(lambda: run.plan.actions[0].message))


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("notebook") / "book"
    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTEBOOK", str(path))
        yield path


@pytest.fixture(scope="module", params=POOLS)
def cluster(request: pytest.FixtureRequest, notebook: Path) -> Iterator[LocalCluster]:
    """Two workers under every pool."""
    with LocalCluster(2, pool=request.param, modules=["tests.support.breaking"]) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def prefork(notebook: Path) -> Iterator[LocalCluster]:
    """One worker, where the pool makes no difference."""
    with LocalCluster(1, modules=["tests.support.breaking"]) as cluster:
        yield cluster


def execute(cluster: LocalCluster, *actions: Action) -> RunResult:
    return cluster.runner.execute(workflow_of(*actions), timeout=60)


def test_under_every_pool_an_isolated_body_does_all_that_a_body_does(
    cluster: LocalCluster, notebook: Path
) -> None:
    notebook.write_text("")
    result = execute(cluster, breaking.do_everything.s(), breaking.note.s("planned"))
    assert result.status is RunStatus.COMPLETED, result.error
    store = dict(result.store)
    pid = store.pop("pid")
    assert pid != store.pop("worker_pid")
    assert store == {
        "answer": 42,
        "list": ["first", "added", "planned", "staged"],
        "cancelled": False,
        "workflow": "w",
    }
    assert result.actions[0].message == "half"
    assert notebook.read_text() == f"used by {pid}\nclosed by {pid}\n"


def test_under_every_pool_a_segfault_fails_the_attempt_and_harms_no_other_run(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    workers = [worker.pid for worker in cluster.workers]
    beside = cluster.runner.submit(workflow_of(breaking.hold.s(str(go_on))))
    told(beside)
    broken = execute(cluster, breaking.segfault.s(), breaking.note.s("never"))
    go_on.touch()
    assert broken.status is RunStatus.FAILED
    assert str(broken.error) == ("s/segfault: ProcessDiedError: its process was killed by SIGSEGV")
    assert broken.error is not None
    assert "in segfault" in broken.error.traceback, "where it was"
    assert "list" not in broken.store
    assert dict(beside.wait(60).store) == {"attempt": 1}
    assert [worker.pid for worker in cluster.workers] == workers


def test_under_every_pool_a_killed_worker_takes_its_isolated_body_along(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    run = cluster.runner.submit(workflow_of(breaking.hold_apart.s(str(go_on))))
    body = told(run)
    name = run.plan.actions[0].worker
    index = next(i for i, w in enumerate(cluster.workers) if name.startswith(w.name + "."))
    cluster.kill_worker(index)
    eventually(lambda: not is_alive(body))
    eventually(lambda: run.plan.actions[0].message not in ("", str(body)))
    go_on.touch()
    result = run.wait(60)
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["held"] == [2], "committed once, by the second attempt"


def test_under_every_pool_a_body_in_c_that_overruns_its_timeout_is_killed(
    cluster: LocalCluster,
) -> None:
    run = cluster.runner.submit(workflow_of(breaking.overrun.s()))
    body = told(run)
    result = run.wait(60)
    assert result.status is RunStatus.FAILED
    assert str(result.error) == (
        "s/overrun: ActionTimeoutError: not done within its timeout of 1 s"
    )
    eventually(lambda: not is_alive(body))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (breaking.leave.s(3), "ended with exit status 3"),
        (breaking.leave.s(0), "ended with exit status 0"),
        (breaking.kill_oneself.s(), "was killed by SIGKILL"),
        (breaking.hoard.s(), "MemoryError: out of memory (memory_mb=96)"),
        (breaking.hoard_in_c.s(), "ran out of memory (memory_mb=96) and was killed by SIGABRT"),
        (breaking.spin.s(), "used up its cpu_seconds=1"),
    ],
)
def test_whatever_ends_a_process_fails_its_attempt_and_is_named(
    prefork: LocalCluster, broken: Action, words: str
) -> None:
    result = execute(prefork, broken)
    assert result.status is RunStatus.FAILED
    assert words in str(result.error)
    assert dict(result.store) == {}
    assert execute(prefork, breaking.note.s("well")).status is RunStatus.COMPLETED


def test_a_body_that_would_be_denied_memory_from_the_start_is_told_how_much_it_needs(
    prefork: LocalCluster,
) -> None:
    result = execute(prefork, breaking.do_everything.s().options(memory_mb=16))
    assert "MemoryError: memory_mb=16 is less than the " in str(result.error)


def test_a_process_that_died_is_tried_again_as_the_retry_policy_says(
    prefork: LocalCluster,
) -> None:
    run = prefork.runner.submit(workflow_of(breaking.recover.s()))
    result = run.wait(60)
    assert result.status is RunStatus.COMPLETED, result.error
    assert dict(result.store) == {"recovered_at": 2}
    assert [entry.kind for entry in run.journal()].count("action.started") == 2


def test_a_body_may_clean_up_at_its_timeout(prefork: LocalCluster) -> None:
    result = execute(prefork, breaking.overrun_with_care.s())
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"
    assert result.actions[0].message == "cleaned up"


def test_a_run_that_is_cancelled_tells_its_isolated_body(
    prefork: LocalCluster, tmp_path: Path
) -> None:
    run = prefork.runner.submit(workflow_of(breaking.hold_apart.s(str(tmp_path / "never"))))
    body = told(run)
    run.cancel()
    assert run.wait(60).status is RunStatus.CANCELLED
    eventually(lambda: not is_alive(body))


def test_what_an_isolated_body_started_ends_with_it(prefork: LocalCluster) -> None:
    run = prefork.runner.submit(workflow_of(breaking.leave_something_behind.s()))
    started = told(run)
    assert run.wait(60).status is RunStatus.FAILED
    eventually(lambda: not is_alive(started))


def test_an_isolated_body_may_use_processes_of_its_own(prefork: LocalCluster) -> None:
    result = execute(prefork, breaking.use_processes.s())
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["squares"] == [1, 4, 9]


def test_what_an_isolated_body_says_is_in_the_workers_log_with_its_place(
    prefork: LocalCluster,
) -> None:
    result = execute(prefork, breaking.talk.s())
    assert result.status is RunStatus.COMPLETED, result.error
    log = prefork.workers[0].log_tail(50)
    place = f"run {result.run_id}, s/talk, attempt 1"
    assert "INFO/Isolated] said quietly" in log
    assert f"{place}: said plainly" in log
    assert f"{place}: said as a complaint" in log


def test_a_worker_that_is_asked_to_stop_lets_an_isolated_body_end(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    with LocalCluster(1, modules=["tests.support.breaking"]) as cluster:
        run = cluster.runner.submit(workflow_of(breaking.hold_apart.s(str(go_on))))
        body = told(run)
        main = cluster.workers[0].pid
        assert main is not None
        os.kill(main, signal.SIGTERM)
        os.kill(body, signal.SIGTERM)  # as a service manager does, who asks all of a service
        eventually(lambda: "Warm shutdown" in cluster.workers[0].log_tail())
        assert is_alive(body)
        go_on.touch()
        result = run.wait(60)
    assert result.store["held"] == [1]
    assert result.actions[0].attempt == 1


@pytest.mark.parametrize("cluster", ["prefork"], indirect=True)
def test_an_isolated_body_whose_whole_worker_is_asked_to_stop_is_given_back(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go_on = tmp_path / "go on"
    run = cluster.runner.submit(workflow_of(breaking.hold_apart.s(str(go_on))))
    body = told(run)
    name = run.plan.actions[0].worker
    main = next(w.pid for w in cluster.workers if name.startswith(w.name + "."))
    assert main is not None
    os.killpg(main, signal.SIGTERM)
    eventually(lambda: not is_alive(body))
    eventually(lambda: run.plan.actions[0].message not in ("", str(body)))
    go_on.touch()
    result = run.wait(60)
    assert result.store["held"] == [1], "given back, which is no try"


def test_a_commit_is_kept_although_its_process_cannot_tell_of_it(prefork: LocalCluster) -> None:
    result = execute(prefork, breaking.close_everything.s(), breaking.note.s("next"))
    assert result.status is RunStatus.COMPLETED, result.error
    assert result.store["list"] == ["closed", "next"]


def test_an_action_that_no_module_defines_cannot_have_a_process(
    prefork: LocalCluster, fresh_registry: None
) -> None:
    result = execute(prefork, breaking.define_another.s(), breaking.defined_on_the_way().s())
    assert "define it at the top level of a module" in str(result.error)


SCRIPT = """
import ctypes, os
from gostage_core import Workflow, action
from gostage_workers import LocalCluster

@action(isolation="process", store_as="pid")
def apart(ctx): return os.getpid()

@action(isolation="process")
def broken(ctx): ctypes.string_at(0)

if __name__ == "__main__":
    with LocalCluster(1) as cluster:
        workflow = Workflow("w")
        workflow.add_stage("s").add(apart.s(), broken.s().options(on_error="continue"))
        result = cluster.runner.execute(workflow, timeout=60)
        print(result.status, result.store["pid"] != os.getpid(), result.actions[1].error)
"""


def test_a_scripts_own_actions_have_processes_of_their_own_too(tmp_path: Path) -> None:
    script = tmp_path / "anything.script"  # no module has this name
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.stdout.split(maxsplit=2)[:2] == ["completed", "True"], done.stderr
    assert "killed by SIGSEGV" in done.stdout
