"""The local cluster: one command brings up all, its mistakes are named, and it leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from gostage_core import Runner
from gostage_core.errors import ConfigurationError, StoreUnavailableError
from gostage_core.status import RunStatus
from gostage_workers.cluster import LocalCluster
from gostage_workers.embedded import EmbeddedServer
from gostage_workers.launch import REFUSED, VARIABLE
from tests.support.eventually import eventually
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]

GREETING = """
import os
from gostage_core import ActionContext, Workflow, action
from gostage_workers import LocalCluster
from nearby import who

@action(store_as="greeting")
def greet(ctx: ActionContext) -> str:
    return f"Hello, {who}!"

@action(store_as="directory")
def look(ctx: ActionContext) -> str:
    return os.getcwd()

def run() -> None:
    workflow = Workflow("hello")
    workflow.add_stage("only").add(greet.s(), look.s())
    with LocalCluster(workers=1) as cluster:
        result = cluster.runner.execute(workflow, timeout=60)
        print(result.status, result.store["greeting"], result.store["directory"])
"""

STAYS = """
import time
from gostage_workers import LocalCluster

if __name__ == "__main__":
    with LocalCluster(workers=1) as cluster:
        print(cluster.server.pid, cluster.workers[0].pid, flush=True)
        time.sleep(600)
"""


class Scripts:
    """Runs programs in a directory of their own, with gostage on their path."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def open(self, name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, name],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    scripts = Scripts(tmp_path)
    scripts.write("nearby.py", "who = 'World'\n")
    return scripts


@pytest.fixture
def shop(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, fresh_registry: None
) -> Iterator[Scripts]:
    """A module of actions that only this process's path leads to."""
    scripts.write(
        "shop.py",
        """
        import os, signal
        from pathlib import Path
        from gostage_core import ActionContext, action

        @action(store_as="packed")
        def pack(ctx: ActionContext, what: str) -> str:
            return what.upper()

        @action(store_as="attempts")
        def survive(ctx: ActionContext, flag: str) -> int:
            if not Path(flag).exists():
                Path(flag).touch()
                os.kill(os.getppid(), signal.SIGKILL)
                signal.pause()
            return ctx.attempt
        """,
    )
    monkeypatch.syspath_prepend(str(scripts.directory))
    import_module("shop")
    yield scripts
    del sys.modules["shop"]


def test_a_script_runs_its_own_actions_with_its_path_and_directory(scripts: Scripts) -> None:
    scripts.write("greeting.py", GREETING + "\nif __name__ == '__main__':\n    run()\n")
    done = scripts.run("greeting.py")
    assert done.stdout.split(maxsplit=1) == ["completed", f"Hello, World! {scripts.directory}\n"], (
        done.stderr
    )


def test_a_module_runs_its_own_actions(scripts: Scripts) -> None:
    (scripts.directory / "shop").mkdir()
    scripts.write("shop/__init__.py", "")
    scripts.write("shop/hello.py", GREETING + "\nif __name__ == '__main__':\n    run()\n")
    done = scripts.run("-m", "shop.hello")
    assert done.stdout.startswith("completed Hello, World!"), done.stderr


def test_a_script_without_a_main_guard_is_told_to_have_one(scripts: Scripts) -> None:
    script = scripts.write("greeting.py", GREETING + "\nrun()\n")
    done = scripts.run("greeting.py")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gostage_core.errors.ConfigurationError: ")
    assert str(script) in last
    assert 'if __name__ == "__main__":' in last


def test_a_script_that_exits_when_it_is_loaded_is_told_so(scripts: Scripts) -> None:
    stops = "\nif __name__ != '__main__':\n    raise SystemExit(5)\nrun()\n"
    scripts.write("greeting.py", GREETING + stops)
    done = scripts.run("greeting.py")
    assert done.returncode == 1
    assert "ends the process (exit status 5)" in done.stderr.splitlines()[-1]


def test_actions_without_a_file_are_refused(scripts: Scripts) -> None:
    done = scripts.run("-", stdin=GREETING + "\nrun()\n")
    assert done.returncode == 1
    assert "a worker has no file to load them from" in done.stderr.splitlines()[-1]


def test_a_module_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match="No module named 'no_such_shop'"):
        LocalCluster(workers=1, modules=["no_such_shop"]).start()


def test_a_module_that_fails_shows_the_end_of_its_traceback(shop: Scripts) -> None:
    shop.write("broken.py", "def price():\n    return 1 / 0\n\nprice()\n")
    with pytest.raises(ConfigurationError, match=r"cannot load broken:(?s:.)*ZeroDivisionError"):
        LocalCluster(workers=1, modules=["broken"]).start()


def test_a_worker_that_ends_while_it_starts_is_named(shop: Scripts) -> None:
    shop.write("fatal.py", "import os\nprint('goodbye')\nos._exit(9)\n")
    with pytest.raises(ConfigurationError, match=r"ended before it was ready(?s:.)*goodbye"):
        LocalCluster(workers=1, modules=["fatal"]).start()


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1"):
        LocalCluster(url="redis://127.0.0.1:1/0").start()


def test_a_worker_that_is_told_nothing_says_how_to_start_one(scripts: Scripts) -> None:
    scripts.environment.pop(VARIABLE, None)
    done = scripts.run("-m", "gostage_workers.launch")
    assert done.returncode == 1
    assert "gostage worker MODULE" in done.stderr


def test_a_worker_that_cannot_load_has_an_exit_code_of_its_own(scripts: Scripts) -> None:
    scripts.environment[VARIABLE] = (
        '{"url": "redis://127.0.0.1:1/0", "namespace": "gostage", "name": "w@here",'
        ' "modules": ["no_such_shop"], "sys_path": []}'
    )
    assert scripts.run("-m", "gostage_workers.launch").returncode == REFUSED


def test_the_workers_of_a_block_are_gone_after_it(shop: Scripts) -> None:
    with LocalCluster(workers=2, modules=["shop"]) as cluster:
        assert len({worker.name for worker in cluster.workers}) == 2
        processes = everything_of(cluster)
    assert len(processes) >= 5
    assert not any(is_alive(process) for process in processes)
    assert cluster.workers == []


def test_an_error_in_the_block_leaves_nothing_either(shop: Scripts) -> None:
    cluster = LocalCluster(workers=1, modules=["shop"])
    cluster.start()
    processes = everything_of(cluster)
    with pytest.raises(ZeroDivisionError), cluster:
        _ = 1 / 0
    assert not any(is_alive(process) for process in processes)


def test_a_killed_worker_is_started_again(shop: Scripts) -> None:
    with LocalCluster(workers=2, modules=["shop"]) as cluster:
        before = [worker.pid for worker in cluster.workers]
        assert cluster.kill_worker(1) == before[1]
        eventually(lambda: cluster.workers[1].pid != before[1] and cluster.workers[1].is_ready)
        assert cluster.kill_worker() == before[0]
        with pytest.raises(ConfigurationError, match="no worker 2"):
            cluster.kill_worker(2)


def test_a_run_outlives_the_worker_that_it_kills(shop: Scripts) -> None:
    survive = one_action("survive", flag=str(shop.directory / "flag"))
    with LocalCluster(workers=2, modules=["shop"]) as cluster:
        result = cluster.runner.execute(survive, timeout=60)
    assert result.status == RunStatus.COMPLETED
    assert result.store["attempts"] == 2


def test_a_run_goes_on_when_its_data_is_used_again(shop: Scripts) -> None:
    data = shop.directory / "data"
    with EmbeddedServer(data) as server:
        run = Runner(server.url).submit(one_action("pack", what="book"))
    with LocalCluster(workers=1, data_dir=data, modules=["shop"]) as cluster:
        result = cluster.runner.get(run.run_id).wait(timeout=60)
    assert result.store["packed"] == "BOOK"


def test_a_cluster_works_at_a_server_of_ones_own(shop: Scripts) -> None:
    with EmbeddedServer() as server:
        with LocalCluster(workers=1, modules=["shop"], url=server.url) as cluster:
            assert cluster.url == server.url
            assert cluster.server is None
        assert server.pid is not None


def test_ctrl_c_leaves_nothing(scripts: Scripts) -> None:
    assert nothing_left_after(scripts, lambda parent: parent.send_signal(signal.SIGINT))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_script_leaves_nothing(scripts: Scripts) -> None:
    assert nothing_left_after(scripts, lambda parent: parent.kill())


def one_action(name: str, **params: str) -> dict[str, object]:
    entry = {"action": f"shop:{name}", "params": params}
    return {"id": name, "stages": [{"id": "only", "actions": [entry]}]}


def everything_of(cluster: LocalCluster) -> list[int]:
    assert cluster.server is not None
    mains = [cluster.server.pid, *(worker.pid for worker in cluster.workers)]
    return with_children([pid for pid in mains if pid is not None])


def with_children(mains: list[int]) -> list[int]:
    return mains + [child.pid for main in mains for child in psutil.Process(main).children()]


def nothing_left_after(scripts: Scripts, end: Callable[[subprocess.Popen[str]], None]) -> bool:
    scripts.write("stays.py", STAYS)
    with scripts.open("stays.py") as parent:
        assert parent.stdout is not None
        processes = with_children([int(pid) for pid in parent.stdout.readline().split()])
        assert len(processes) >= 3
        end(parent)
        parent.wait(60)
        return eventually(lambda: not any(is_alive(process) for process in processes))
