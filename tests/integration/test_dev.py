"""The commands that stay: ``gostage dev`` and ``gostage worker``, and how they end."""

from __future__ import annotations

import base64
import json
import signal
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from gostage_core.runner import Runner
from gostage_core.status import ActionStatus, RunStatus
from tests.support.eventually import eventually
from tests.support.processes import is_alive
from tests.support.shop import open_shop

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from gostage_core.settings import Settings
    from tests.support.command import Shell

DOOMED = """
from celery import bootsteps, signals

class Doomed(bootsteps.StartStopStep):
    def start(self, worker):
        raise RuntimeError("not today")

@signals.celeryd_init.connect
def add(instance, **_):
    instance.app.steps["worker"].add(Doomed)
"""


@pytest.fixture
def shell(tmp_path: Path, settings: Settings) -> Shell:
    return open_shop(tmp_path, settings)


def test_dev_brings_up_server_workers_and_a_closed_flower_and_leaves_nothing(shell: Shell) -> None:
    del shell.environment["GOSTAGE_REDIS_URL"]
    with shell.started("dev", "shop", "--flower-port", "0", "--json") as process:
        place = _said(process)
        ran = shell.gostage("run", "shop:good", GOSTAGE_REDIS_URL=place["redis_url"])
        assert ran.returncode == 0, ran.stderr
        flower = place["flower"]
        assert _status_of(flower["url"]) == 401
        assert _status_of(flower["url"], flower["user"], "guess") == 401
        assert _status_of(flower["url"], flower["user"], flower["password"]) == 200
        processes = psutil.Process(process.pid).children(recursive=True)
        assert len(processes) >= 6
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Task quick" in err
        assert "stopped" in err
        assert "Traceback" not in err
        assert not any(is_alive(one.pid) for one in processes)


def test_dev_tells_people_how_to_go_on_and_ends_on_sigterm(shell: Shell) -> None:
    data = shell.directory / "data"
    words = ("dev", "shop", "--workers", "1", "--no-flower", "--data-dir", str(data))
    with shell.started(*words) as process:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(7)]
        assert any("export GOSTAGE_REDIS_URL=redis://127.0.0.1:" in line for line in said)
        assert any("gostage run shop:good" in line for line in said)
        processes = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out == ""
        assert not any(is_alive(one.pid) for one in processes)
        assert (data / "w1.log").is_file()


def test_dev_ends_with_an_error_when_the_server_dies(shell: Shell) -> None:
    with shell.started("dev", "shop", "--workers", "1", "--no-flower", "--json") as process:
        _said(process)
        children = psutil.Process(process.pid).children()
        next(one for one in children if "server" in one.name()).kill()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "the server has ended" in err


def test_dev_refuses_a_port_that_is_in_use_before_it_starts_anything(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = shell.gostage("dev", "shop", "--flower-port", str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert "is in use; give Flower another one with --flower-port" in ended.stderr
    assert "starting" not in ended.stderr


def test_a_worker_finishes_what_it_is_at_when_it_is_asked_to_end(
    shell: Shell, settings: Settings
) -> None:
    with shell.started("worker", "shop", "--concurrency=1", "--loglevel=error") as process:
        runner = Runner(settings=settings)
        run = runner.get(shell.gostage("submit", "shop:slow").stdout.strip())
        eventually(lambda: run.result().actions[0].status is ActionStatus.RUNNING)
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 0
        result = run.result()
        assert result.actions[0].status is ActionStatus.COMPLETED
        assert result.actions[0].attempt == 1
        assert result.status is RunStatus.RUNNING
        runner.close()


def test_a_worker_waits_for_a_server_that_is_away_and_says_so(shell: Shell) -> None:
    with shell.started("worker", "shop", "--url", "redis://127.0.0.1:1/0") as process:
        assert process.stderr is not None
        assert "the worker waits for it" in process.stderr.readline()


def test_a_worker_that_cannot_begin_ends_with_a_failure(shell: Shell) -> None:
    (shell.directory / "doomed.py").write_text(DOOMED)
    ended = shell.gostage("worker", "doomed", "--concurrency=1", "--loglevel=error")
    assert "RuntimeError: not today" in ended.stderr
    assert ended.returncode == 1


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    place: dict[str, Any] = json.loads(process.stdout.readline())
    return place


def _status_of(url: str, user: str = "", password: str = "") -> int:
    request = urllib.request.Request(url)
    if user:
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
