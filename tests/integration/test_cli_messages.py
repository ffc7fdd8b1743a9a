"""``gostage runs messages`` as its user and the user's programs see it."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import ActionContext, RunStatus, Workflow, action
from gostage_workers.cli.statuses import INTERRUPTED
from tests.support.command import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from gostage_core import Run
    from gostage_core.settings import Settings
    from tests.support.bench import Bench

pytestmark = pytest.mark.usefixtures("fresh_registry")


@pytest.fixture
def shell(tmp_path: Path, settings: Settings) -> Shell:
    return Shell(
        tmp_path, GOSTAGE_REDIS_URL=settings.redis_url, GOSTAGE_NAMESPACE=settings.namespace
    )


@pytest.fixture
def run(bench: Bench) -> Run:
    """A run of two actions, of which the second fails."""

    @action
    def talk(ctx: ActionContext, fails: bool = False) -> None:
        ctx.send("progress", {"done": 0.5, "naïve": "[bold]"})
        ctx.send("done")
        if fails:
            raise RuntimeError("no")

    workflow = Workflow("w")
    workflow.add_stage("s").add(talk.s().options(name="first"), talk.s(fails=True))
    return bench.submit(workflow)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_messages_are_lines_for_people(bench: Bench, run: Run, shell: Shell) -> None:
    bench.drain(run)
    ended = shell.gostage("runs", "messages", run.run_id)
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert len(lines) == 4
    assert '1  progress  s/first  {"done": 0.5, "naïve": "[bold]"}' in lines[0]
    assert lines[1].endswith("2  done  s/first")
    assert ended.stderr == ""


def test_messages_are_json_for_programs(bench: Bench, run: Run, shell: Shell) -> None:
    bench.drain(run)
    found = lines_of(shell.gostage("runs", "messages", run.run_id, "--json").stdout)
    assert [message["type"] for message in found] == ["progress", "done"] * 2
    assert found[0]["payload"] == {"done": 0.5, "naïve": "[bold]"}
    assert found[3]["context"] == {
        "workflow": "w", "stage": "s", "action": "talk", "attempt": 1, "run_id": run.run_id,
        "sequence": 4,
    }  # fmt: skip
    assert found[0]["at"]


def test_a_part_of_the_messages_can_be_asked_for(bench: Bench, run: Run, shell: Shell) -> None:
    bench.drain(run)
    words = ("runs", "messages", run.run_id, "--json")
    found = lines_of(shell.gostage(*words, "--after", "1", "--type", "done").stdout)
    assert [message["context"]["sequence"] for message in found] == [2, 4]
    assert shell.gostage(*words, "--after", "9").stdout == ""
    assert shell.gostage(*words, "--type", "other").stdout == ""


def test_following_shows_what_comes_and_ends_with_the_run_and_its_status(
    bench: Bench, run: Run, shell: Shell
) -> None:
    bench.step()
    with shell.started("runs", "messages", run.run_id, "--follow", "--json") as command:
        assert command.stdout is not None
        first = [json.loads(command.stdout.readline()) for _ in range(2)]
        assert bench.drain(run).status is RunStatus.FAILED
        rest = lines_of(command.communicate(timeout=60)[0])
        assert command.returncode == 1
    assert [one["context"]["sequence"] for one in first + rest] == [1, 2, 3, 4]


def test_a_follower_that_is_interrupted_is_told_how_to_go_on(
    bench: Bench, run: Run, shell: Shell
) -> None:
    bench.step()
    with shell.started("runs", "messages", run.run_id, "-f", "--type", "done") as command:
        assert command.stdout is not None
        command.stdout.readline()
        command.send_signal(signal.SIGINT)
        said = command.communicate(timeout=60)[1]
        assert command.returncode == INTERRUPTED
    # Interrupted at once, it has the last message still to come: better twice than never.
    again = rf"gostage runs messages {run.run_id} --follow --after [12] --type done\n"
    assert re.search(again, said)


def test_a_run_that_is_not_there_is_an_error(shell: Shell) -> None:
    ended = shell.gostage("runs", "messages", "never-was")
    assert ended.returncode == 2
    assert "never-was" in ended.stderr
    assert "Traceback" not in ended.stderr
