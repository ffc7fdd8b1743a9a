"""A worker that logs JSON: everything that it writes is read by a program."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from gostage_core import Runner, RunStatus
from tests.support.chatter import chat
from tests.support.command import SECONDS, Shell

if TYPE_CHECKING:
    from pathlib import Path

    from gostage_core.settings import Settings


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--log-format", "json", "--pool", "prefork"], {}),
        (["--pool", "solo"], {"GOSTAGE_LOG_FORMAT": "json"}),
    ],
)
def test_every_line_of_a_worker_is_json_and_tells_the_attempt(
    settings: Settings, tmp_path: Path, words: list[str], environment: dict[str, str]
) -> None:
    shell = Shell(
        tmp_path,
        GOSTAGE_REDIS_URL=settings.redis_url,
        GOSTAGE_NAMESPACE=settings.namespace,
        **environment,
    )
    with shell.started("worker", "tests.support.chatter", "--concurrency=1", *words) as process:
        runner = Runner(settings=settings)
        run = runner.submit(chat)
        assert run.wait(SECONDS).status is RunStatus.COMPLETED
        runner.close()
        process.send_signal(signal.SIGTERM)
        written, logged = process.communicate(timeout=SECONDS)
    assert written == ""
    lines = [json.loads(line) for line in logged.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    told = [line for line in lines if line.get("run") == run.run_id]
    assert all((line["stage"], line["attempt"]) == ("s", 1) for line in told)
    assert {(line["logger"], line["action"], line["message"]) for line in told} >= {
        ("gostage.action", "talk", "first\nsecond"),
        ("library", "talk", "within"),
        ("gostage.action", "refuse", "refused"),
        ("gostage.action", "talk_apart", "first\nsecond"),
        ("library", "talk_apart", "within"),
    }
    (failure,) = [line["exception"] for line in told if line["message"] == "refused"]
    assert failure.endswith("LookupError: no such account")
    assert any(line["message"].endswith(": printed") for line in told)
