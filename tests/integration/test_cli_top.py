"""``gostage top`` and ``gostage metrics``, as their user and the user's programs see them."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gostage_core.runner import Runner
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from tests.support.eventually import eventually
from tests.support.shop import open_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Shell
    from tests.support.server import RedisServer

ABSENT = ("--url", "redis://127.0.0.1:1/0")


@pytest.fixture(scope="module")
def settings(server: RedisServer) -> Settings:
    return Settings(redis_url=server.url, namespace="test-top")


@pytest.fixture(scope="module")
def shell(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return open_shop(tmp_path_factory.mktemp("shop"), settings)


@pytest.fixture(scope="module")
def busy(shell: Shell, settings: Settings) -> Iterator[str]:
    """A worker that is at one run, behind one that has failed; the id of the first."""
    state, runner = State(settings), Runner(settings=settings)
    with shell.started("worker", "shop", "--concurrency=2", "--loglevel=error"):
        assert shell.gostage("run", "shop:bad").returncode == 1
        submitted = shell.gostage("submit", "shop:endless")
        run = runner.get(submitted.stdout.strip())
        eventually(lambda: any(state.claims_of(one) for one in state.working()), timeout=60)
        yield run.run_id
        run.cancel("enough")
        eventually(lambda: run.status.is_terminal, timeout=60)
    runner.close()
    state.client.close()


def test_top_prints_one_document_with_all_that_it_shows(shell: Shell, busy: str) -> None:
    ended = shell.gostage("top", "--json")
    document = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    [worker] = document["workers"]
    assert (worker["pool"], worker["used"]) == ({"kind": "prefork", "slots": 2}, 1)
    assert [(one["run_id"], one["path"]) for one in worker["work"]] == [(busy, "pay/until_told")]
    assert [run["run_id"] for run in document["running"]] == [busy]
    assert document["failing"][0]["error"]["message"] == "card declined"
    assert document["runs"]["failed"] == 1
    [queue] = document["queues"]
    assert (queue["depth"], queue["planned_actions"]) == (0, 1)
    counted = {one["action"]: one["outcomes"] for one in document["actions"]}
    assert counted["broken"]["failed"] == 1
    assert counted["quick"]["completed"] == 1


def test_top_draws_it_once_where_the_output_is_no_terminal(shell: Shell, busy: str) -> None:
    ended = shell.gostage("top")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout
    for said in ("1/2", "endless/pay/until_told", busy, "NoRetry: card declined", "test-top"):
        assert said in ended.stdout


def test_top_keeps_to_the_width_of_its_terminal(shell: Shell, busy: str) -> None:
    lines = shell.on_terminal(80, "top", "--once").splitlines()
    assert max(map(len, lines)) <= 80
    assert any(busy in line for line in lines)


def test_top_is_drawn_anew_until_ctrl_c_which_is_no_error(shell: Shell, busy: str) -> None:
    with shell.terminal(120, "top", "--interval", "200ms") as terminal:
        eventually(lambda: terminal.text.count("endless/pay/until_told") >= 3, timeout=60)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.status() == 0
        assert terminal.raw.endswith("\x1b[?1049l"), "the screen is given back"
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("command", [("top",), ("top", "--json"), ("metrics", "--port", "0")])
def test_without_a_server_each_says_so_and_ends_with_3(
    shell: Shell, command: tuple[str, ...]
) -> None:
    ended = shell.gostage(*command, *ABSENT)
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "127.0.0.1:1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_metrics_serves_what_prometheus_reads_until_it_is_told_to_end(
    shell: Shell, busy: str
) -> None:
    with shell.started("metrics", "--port", "0") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        url = next(word for word in said.split() if word.startswith("http")).rstrip(";")
        with urllib.request.urlopen(url, timeout=60) as answer:
            families = {
                one.name: one for one in text_string_to_metric_families(answer.read().decode())
            }
        assert families["gostage_up"].samples[0].value == 1
        slots = families["gostage_slots_used"].samples
        assert [sample.value for sample in slots] == [1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


def test_metrics_says_what_is_wrong_with_an_address(shell: Shell, server: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = shell.gostage("metrics", "--port", str(port))
    assert ended.returncode == 2
    assert f"cannot listen at 127.0.0.1:{port}" in ended.stderr
