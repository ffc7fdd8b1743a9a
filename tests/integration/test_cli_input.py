"""What the command says to bad input and to servers that it cannot use: a message, no traceback."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gostage_core.settings import Settings
from tests.support.shop import YAML, open_shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.command import Shell
    from tests.support.server import RedisServer


@pytest.fixture(scope="module")
def settings(server: RedisServer) -> Settings:
    return Settings(redis_url=server.url, namespace="test-cli-input")


@pytest.fixture(scope="module")
def shell(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return open_shop(tmp_path_factory.mktemp("shop"), settings)


BAD_INPUT: list[tuple[list[str], str]] = [
    (["run", "shop:nothing"], "module 'shop' has no 'nothing'; its workflows are good, bad"),
    (["run", "shop:quick"], "shop:quick is of type ActionFunction, not a Workflow"),
    (["run", "shop"], "'shop' is neither package.module:workflow nor a file"),
    (["run", "shop.py"], "name what is in it, as shop:workflow"),
    (["run", "no.such:module"], "module 'no.such' cannot be imported"),
    (["run", "raises:w"], "ZeroDivisionError: division by zero (FOLDER/raises.py, line 2)"),
    (["run", "unfinished:w"], "'(' was never closed (unfinished.py, line 1)"),
    (["run", "missing.yaml"], "cannot read 'missing.yaml': No such file or directory"),
    (["run", "order.yaml"], "name the module that defines it with --module"),
    (["run", "broken.yaml"], "broken.yaml:4: not YAML"),
    (
        ["run", "wrong.yaml", "-m", "shop"],
        "wrong.yaml:7: stages[0].actions[0].params.m: unexpected",
    ),
    (["run", "broken.json"], "broken.json:1: not JSON: EOF while parsing a list (column 23)"),
    (["run", "shop:good", "--set", "x"], "--set takes KEY=VALUE, not 'x'"),
    (["run", "shop:good", "--set", "x=[1"], "--set x: not JSON"),
    (["run", "shop:good", "--set", "__x=1"], "'__x' begins with '__', which is reserved"),
    (["run", "shop:good", "--timeout", "soon"], "not a duration: 'soon'"),
    (["submit", "shop:good", "--run-id", "a b"], "run_id 'a b' is not 1 to 200 of"),
    (["runs", "show", "no-such-run"], "no run 'no-such-run'"),
    (["runs", "watch", "no such run"], "no run 'no such run'"),
    (["runs", "cancel", "no-such-run", "--json"], "no run 'no-such-run'"),
    (["runs", "list", "--since", "yesterday"], "not a duration: 'yesterday'"),
    (["runs", "list", "--cursor", "no-such-run", "--json"], "no run 'no-such-run'"),
    (["runs", "list", "--url", "localhost"], "'localhost' is not the URL of a Redis server"),
    (["runs", "list", "--url", "redis://h:port/0"], "is not the URL of a Redis server"),
    (["runs", "list", "--namespace", "a b"], "GOSTAGE_NAMESPACE 'a b' is not"),
    (["submit", "shop:good", "--broker", "pigeon://coop"], "No such transport: pigeon"),
    (["doctor", "--broker", "pigeon://ana:secret@coop"], "'pigeon://ana:***@coop' is not"),
    (["worker", "no.such.module"], "module 'no.such.module' cannot be imported"),
    (["dev", "no.such.module"], "module 'no.such.module' cannot be imported"),
    (["frobnicate"], "No such command 'frobnicate'"),
]


@pytest.mark.parametrize(
    ("words", "said"), BAD_INPUT, ids=[" ".join(words) for words, _ in BAD_INPUT]
)
def test_bad_input_is_told_in_a_message_and_by_the_exit_status(
    shell: Shell, words: list[str], said: str
) -> None:
    files = {
        "raises.py": "x = 1\ny = x / 0\n",
        "unfinished.py": "x = (\n",
        "broken.yaml": "id: x\nstages:\n  - id: a\n   b: c\n",
        "wrong.yaml": YAML.replace("n: 3", "m: 3"),
        "broken.json": '{"id": "x", "stages": [',
    }
    for name, text in files.items():
        (shell.directory / name).write_text(text)
    ended = shell.gostage(*words)
    assert said.replace("FOLDER", str(shell.directory)) in ended.stderr
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "words", [["demo"], ["dev"], ["worker"], ["run", "shop:good"], ["runs", "list"], ["doctor"]]
)
def test_an_unknown_setting_is_named_with_those_that_there_are(
    shell: Shell, words: list[str]
) -> None:
    ended = shell.gostage(*words, GOSTAGE_FOO="1")
    assert ended.returncode == 2
    assert "GOSTAGE_FOO is no setting; there are GOSTAGE_REDIS_URL" in ended.stderr
    assert ended.stdout == ""


def test_a_wrong_password_is_told_without_it(shell: Shell, settings: Settings) -> None:
    url = settings.redis_url.replace("://", "://ana:geheim@")
    for words in (["runs", "list"], ["run", "shop:good"], ["worker", "shop"], ["doctor", "--json"]):
        ended = shell.gostage(*words, GOSTAGE_REDIS_URL=url)
        assert ended.returncode == 2
        assert "refuses us" in ended.stderr
        assert "geheim" not in ended.stderr + ended.stdout
        assert "Traceback" not in ended.stderr


def answers_as_http(peer: socket.socket) -> None:
    peer.recv(100)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.close()


@contextmanager
def somebody(greet: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen on a port, and *greet* whoever connects."""
    peers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peers.append(listener.accept()[0])
                    greet(peers[-1])
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)
    for peer in peers:
        peer.close()


@pytest.mark.parametrize(
    ("greet", "said"),
    [
        (answers_as_http, "is no Redis server"),
        (lambda _peer: None, "does not answer"),
        (None, "does not answer"),
    ],
    ids=["another kind of server", "silence", "nobody"],
)
@pytest.mark.parametrize("words", [["run", "shop:good"], ["runs", "list", "--json"]])
def test_a_server_that_cannot_be_reached_is_exit_status_3(
    shell: Shell, words: list[str], greet: Callable[[socket.socket], None] | None, said: str
) -> None:
    with somebody(greet or (lambda peer: None)) as url:
        ended = shell.gostage(*words, GOSTAGE_REDIS_URL=url if greet else "redis://127.0.0.1:1/0")
    assert ended.returncode == 3
    assert said in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
