"""Encrypted values and signed messages, on real servers, with real workers and the command."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from celery import Celery, chain
from click.testing import CliRunner
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from gostage_core import CeleryTask, Key, Runner, RunStatus, Workflow, run_signature
from gostage_core.broker.direct import NOWHERE
from gostage_core.broker.hints import HINT_TASK
from gostage_core.broker.quarantine import quarantine_key
from gostage_core.sealing.keys import parse_ring
from gostage_core.state.client import connect
from gostage_workers import LocalCluster
from gostage_workers.cli import cli
from tests.support import links
from tests.support.confidential import MARKER, Card, confidential, poll
from tests.support.eventually import eventually
from tests.support.legacy_app import add, app, note, sending_to
from tests.support.legacy_worker import ROOT, LegacyWorker
from tests.support.sealed import FIRST, SECOND, kept_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core.run import Run
    from tests.support.server import RedisServer

NAMESPACE = "hushed"
KEYS = {"GOSTAGE_ENCRYPTION_KEYS": FIRST, "GOSTAGE_SIGNING_KEYS": SECOND}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hushed")


@pytest.fixture(scope="module")
def cluster(data_dir: Path) -> Iterator[LocalCluster]:
    """Workers with keys of both kinds, and a server that writes all that it is told to a log."""
    with pytest.MonkeyPatch.context() as patch:
        for name, keys in KEYS.items():
            patch.setenv(name, keys)
        patch.setenv("GOSTAGE_NAMESPACE", NAMESPACE)
        modules = ["tests.support.confidential", "tests.support.links"]
        with LocalCluster(2, data_dir=data_dir, modules=modules, namespace=NAMESPACE) as running:
            yield running


def finished(runner: Runner, workflow: Workflow, **options: Any) -> Run:
    run = runner.submit(workflow, store={"first": MARKER}, **options)
    run.signal("early", MARKER)
    run.signal("approval", Card(number=MARKER, code=SecretStr(MARKER)))
    run.wait(timeout=90)
    return run


def said_by_the_command(cluster: LocalCluster, environ: dict[str, str], run: Run) -> str:
    """Return all that the command says of a run, in every way."""
    said = []
    ways = [
        ["runs", "list", "--workflow", run.summary.workflow],
        ["runs", "show", run.run_id, "--all", "--traceback"],
        ["runs", "watch", run.run_id],
        ["runs", "plan", run.run_id, "--log"],
        ["runs", "plan", run.run_id],
        ["why", run.run_id],
        ["graph", run.run_id],
        ["schedule", "list"],
        ["schedule", "show", "nightly"],
        ["throttle", "list"],
    ]
    own = {name: "" for name in os.environ if name.startswith("GOSTAGE_")}
    environ = {"GOSTAGE_REDIS_URL": cluster.url, "GOSTAGE_NAMESPACE": NAMESPACE, **environ}
    for words in ways:
        for form in ([], ["--json"]):
            told = CliRunner().invoke(
                cli, [*words, *form], env={**dict.fromkeys(own), **environ}, catch_exceptions=True
            )
            said.append(f"$ gostage {' '.join(words)}\n{told.output}")
            if told.exception is not None and not isinstance(told.exception, SystemExit):
                said.append(repr(told.exception))
    return "\n".join(said)


def files_of(data_dir: Path) -> Iterator[tuple[str, bytes]]:
    for path in data_dir.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(data_dir)), path.read_bytes()


@pytest.mark.parametrize("fails", [False, True], ids=["completes", "fails"])
def test_a_value_can_be_read_nowhere_but_by_who_has_the_key(
    cluster: LocalCluster, data_dir: Path, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    runner = cluster.runner
    run = finished(runner, confidential(fails=fails), reply_to="replies")
    assert run.status is (RunStatus.FAILED if fails else RunStatus.COMPLETED), run.result().error
    assert run.store["taken"] == run.store["written"] == MARKER
    fork = run.fork(at="tell", run_id=f"fork-{fails}")
    fork.cancel("it is not wanted")
    fork.wait(timeout=90)
    runner.schedules.add(
        "nightly", confidential(), every="1d", store={"first": MARKER}, replace=True
    )
    told = said_by_the_command(cluster, {}, run)
    assert run.run_id in told
    assert "Traceback" not in told
    with connect(cluster.url) as client:
        eventually(lambda: client.llen("replies"))
        kept = dict(kept_by(client))
    files = dict(files_of(data_dir))
    assert any(HINT_TASK.encode() in text for text in files.values()), "no log has the messages"
    assert any(b"~1.first." in text for text in files.values()), "no log has what was written"
    places = [place for place, text in {**kept, **files}.items() if MARKER.encode() in text]
    assert places == []
    assert MARKER not in told
    assert MARKER not in caplog.text


def test_what_is_marked_as_secret_shows_to_nobody_who_has_the_key(cluster: LocalCluster) -> None:
    workflow = Workflow("hushed")
    workflow.add_stage("s").add(poll.s(what="shown"))
    values = {Key("token", SecretStr): SecretStr(MARKER)}
    run = cluster.runner.submit(workflow, store=values)
    assert run.wait(timeout=60).status is RunStatus.COMPLETED
    told = said_by_the_command(cluster, KEYS, run)
    assert '"shown"' in told
    assert "**********" in told
    assert [line for line in told.splitlines() if MARKER in line] == []


class Elsewhere:
    """A producer in another language: it knows the documented forms, and nothing of gostage."""

    def __init__(self, url: str) -> None:
        self.app = Celery("elsewhere", broker=url, set_as_current=False)

    def signed(self, task: str, args: str, kwargs: str, at: int | None = None) -> dict[str, Any]:
        key_id, _, key = SECOND.partition(":")
        task_id, at = str(uuid4()), at or int(time.time())
        text = f"gostage1\n{NAMESPACE}\n{task}\n{task_id}\n{at}\n{args}\n{kwargs}"
        mac = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).hexdigest()
        return {
            "body": base64.b64encode(f"[{args}, {kwargs}, {{}}]".encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "js",
                "task": task,
                "id": task_id,
                "argsrepr": "(…)",
                "gostage_signature": f"1.{key_id}.{at}.{mac}",
            },
            "properties": {
                "correlation_id": task_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": NAMESPACE},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
            },
        }

    @staticmethod
    def opened(reply: dict[str, Any]) -> dict[str, Any]:
        key_id, _, key = FIRST.partition(":")
        _, used, encoded = reply["~"].split(".")
        assert used == key_id
        sealed = base64.urlsafe_b64decode(encoded + "==")
        clear = {name: value for name, value in sorted(reply.items()) if name != "~"}
        bound = ["gostage", 1, NAMESPACE, reply["run_id"], "document", _compact(clear)]
        aes = AESGCM(base64.b64decode(key))
        found = aes.decrypt(sealed[:12], sealed[12:], _compact(bound).encode())
        return {**clear, **json.loads(found)}


def test_a_producer_in_another_language_signs_and_opens_its_reply(cluster: LocalCluster) -> None:
    elsewhere = Elsewhere(cluster.url)
    workflow = Workflow("elsewhere")
    workflow.add_stage("s").add(poll.s(what="x"))
    message = elsewhere.signed("gostage.submit", f"[{workflow.to_json()}]", '{"reply_to":"theirs"}')
    with connect(cluster.url) as client:
        client.lpush(NAMESPACE, json.dumps(message))
        reply = json.loads(eventually(lambda: client.rpop("theirs"), timeout=60))
    assert reply.keys() == {"run_id", "status", "~"}
    assert elsewhere.opened(reply)["store"] == {"polled": "x"}


@pytest.mark.parametrize("task", [HINT_TASK, "gostage.submit", "gostage.result", "gostage.end"])
def test_a_message_that_is_not_signed_goes_into_the_quarantine(
    cluster: LocalCluster, task: str
) -> None:
    message = Elsewhere(cluster.url).signed(task, '["run", "2"]', "{}")
    del message["headers"]["gostage_signature"]
    assert f"of {task}: it is not signed" in refused(cluster, message)


def _other_args(message: dict[str, Any]) -> None:
    body = json.loads(base64.b64decode(message["body"]))
    body[0] = ["other", "2"]
    message["body"] = base64.b64encode(json.dumps(body).encode()).decode()


def _other_kwargs(message: dict[str, Any]) -> None:
    body = json.loads(base64.b64decode(message["body"]))
    body[1] = {"more": 1}
    message["body"] = base64.b64encode(json.dumps(body).encode()).decode()


def _other_task(message: dict[str, Any]) -> None:
    message["headers"]["task"] = "gostage.submit"


def _other_id(message: dict[str, Any]) -> None:
    message["headers"]["id"] = "other"


def _other_time(message: dict[str, Any]) -> None:
    parts = message["headers"]["gostage_signature"].split(".")
    parts[2] = str(int(parts[2]) + 1)
    message["headers"]["gostage_signature"] = ".".join(parts)


@pytest.mark.parametrize(
    "tamper", [_other_args, _other_kwargs, _other_task, _other_id, _other_time]
)
def test_a_message_of_ours_that_was_changed_goes_there_too(
    cluster: LocalCluster, tamper: Any
) -> None:
    coordinator = cluster.runner._send.__self__  # type: ignore[attr-defined]
    ready = type("Ready", (), {"run_id": "run", "entry": "2", "carrier": b'["name"]'})
    link = coordinator._link("run", ready)
    message = json.loads(coordinator._line.text([link], NOWHERE, {}))
    tamper(message)
    assert "it says something else than what the key 'second' has signed" in refused(
        cluster, message
    )


def refused(cluster: LocalCluster, message: dict[str, Any]) -> str:
    """Return why a message was put into the quarantine."""
    item = json.dumps(message).encode()
    encoded = base64.b64encode(item).decode()
    with connect(cluster.url) as client:
        client.lpush(NAMESPACE, item)

        def found() -> str | None:
            kept = map(json.loads, client.lrange(quarantine_key(NAMESPACE), 0, -1))
            return next((one["reason"] for one in kept if one["item"] == encoded), None)

        return str(eventually(found, timeout=60))


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def test_the_command_makes_keys_and_counts_what_needs_them(cluster: LocalCluster) -> None:
    made = CliRunner().invoke(cli, ["keys", "new", "third"])
    assert made.exit_code == 0
    assert parse_ring("", made.output).ids == ("third",)
    workflow = Workflow("counted")
    workflow.add_stage("s").add(poll.s(what=MARKER))
    run = cluster.runner.submit(workflow, store={"a": "x"})
    run.wait(timeout=60)
    environ = {
        "GOSTAGE_REDIS_URL": cluster.url,
        "GOSTAGE_NAMESPACE": NAMESPACE,
        "GOSTAGE_ENCRYPTION_KEYS": made.output.strip(),
        "GOSTAGE_SIGNING_KEYS": SECOND,
    }
    told = CliRunner().invoke(cli, ["keys", "list", "--json"], env=environ)
    rows = {row["id"]: row for row in json.loads(told.stdout)}
    assert rows["third"] == {
        "id": "third",
        "does": "encrypts",
        "live": 0,
        "ended": 0,
        "schedules": 0,
    }
    assert rows["first"]["does"] == "missing"
    assert rows["first"]["ended"] >= 3
    assert rows["second"] == {"id": "second", "does": "signs"}
    shown = CliRunner().invoke(cli, ["keys", "list"], env=environ)
    assert "missing" in shown.output
    run.delete()


@pytest.fixture
def theirs(cluster: LocalCluster, tmp_path: Path) -> Iterator[None]:
    """A worker of a project that has no keys, and knows nothing of gostage."""
    with pytest.MonkeyPatch.context() as patch:
        for name in KEYS:
            patch.delenv(name)
        worker = LegacyWorker(cluster.url, tmp_path / "theirs.log", "-c", "1", "-Q", "celery")
    with sending_to(cluster.url), worker:
        yield


@pytest.mark.usefixtures("theirs")
def test_workers_of_others_tell_ends_with_a_ticket_and_canvases_go_on(
    cluster: LocalCluster,
) -> None:
    workflow = Workflow("tasks")
    workflow.add_stage("s").add(CeleryTask("legacy.add", args=[20, 22], store_as="sum", timeout=60))
    workflow.add_stage("t").add(CeleryTask("legacy.fails", args=["x"], timeout=60))
    result = cluster.runner.execute(workflow, timeout=90)
    assert result.store["sum"] == 42
    assert result.error is not None
    assert result.error.type == "TaskError"
    link = run_signature(links.workflow(links.triple.s()), give="input", take="output", app=app)
    noted = note.s(where="noted").set(queue="celery")
    chain(add.s(1, 1), link, noted).apply_async()
    with connect(cluster.url) as client:
        assert json.loads(eventually(lambda: client.lpop("noted"), timeout=60)) == [6]


def test_a_worker_refuses_what_is_unsigned_whatever_its_broker_is(server: RedisServer) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.other_broker", server.url, SECOND],
        capture_output=True, text=True, timeout=150, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.stdout == "completed\n", ran.stderr
    with server.client() as client:
        (entry,) = map(json.loads, client.lrange("elsewhere.quarantine", 0, -1))
    assert "of gostage.action: it is not signed" in entry["reason"]
