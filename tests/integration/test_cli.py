"""The command that submits runs and looks at them, as its user and the user's programs see it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import click
import pytest
from rich.cells import cell_len

from gostage_core.runner import Runner
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from gostage_core.status import RunStatus
from gostage_workers.cli import cli
from tests.support.eventually import eventually
from tests.support.shop import open_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Shell
    from tests.support.server import RedisServer


@pytest.fixture(scope="module")
def settings(server: RedisServer) -> Settings:
    return Settings(redis_url=server.url, namespace="test-cli")


@pytest.fixture(scope="module")
def shell(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return open_shop(tmp_path_factory.mktemp("shop"), settings)


@pytest.fixture(scope="module")
def worker(shell: Shell, settings: Settings) -> Iterator[None]:
    with shell.started("worker", "shop", "--concurrency=2", "--loglevel=error"):
        state = State(settings)
        eventually(lambda: state.client.zcard(state.keys.of("alive")))
        state.client.close()
        yield


@pytest.fixture
def runner(settings: Settings) -> Iterator[Runner]:
    runner = Runner(settings=settings)
    yield runner
    runner.close()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("shop:good", 0, "completed"),
        ("shop:made", 0, "completed"),
        ("shop:bail", 0, "bailed: nothing to do"),
        ("shop:bad", 1, "pay/broken: NoRetry: card declined"),
    ],
)
def test_run_shows_how_a_run_went_and_ends_with_its_status(
    shell: Shell, target: str, status: int, said: str
) -> None:
    ended = shell.gostage("run", target)
    assert ended.returncode == status
    assert said in ended.stdout
    assert "quick" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.usefixtures("worker")
def test_run_prints_one_json_document_with_everything_a_program_wants(shell: Shell) -> None:
    ended = shell.gostage("run", "shop:bad", "--set", "who=ana", "--set", "n=[1, 2]", "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert document["status"] == "failed"
    assert document["error"]["path"] == "pay/broken"
    assert document["error"]["cause"]["message"] == "code 51"
    assert document["store"] == {"count": 1, "n": [1, 2], "who": "ana"}
    actions = [one for stage in document["stages"] for one in stage["actions"]]
    assert [one["status"] for one in actions] == ["completed", "failed", "pending"]
    assert actions[0]["duration"] >= 0


@pytest.mark.usefixtures("worker")
def test_values_are_json_or_else_text(shell: Shell) -> None:
    given = {"a": "1", "b": "true", "c": "hello", "e": '"1"', "f": "", "g": "a=b"}
    pairs = [word for key, text in given.items() for word in ("--set", f"{key}={text}")]
    store = json.loads(shell.gostage("run", "shop:bail", *pairs, "--json").stdout)["store"]
    assert store == {"a": 1, "b": True, "c": "hello", "e": "1", "f": "", "g": "a=b"}


@pytest.mark.usefixtures("worker")
def test_a_bar_is_drawn_on_a_terminal_and_gone_at_the_end(shell: Shell) -> None:
    shown = shell.on_terminal(80, "run", "shop:good")
    assert "━" in shown
    assert "/4 0:00:0" in shown
    assert "Order processing" in shown


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("columns", [80, 120])
def test_what_is_shown_fits_the_terminal(shell: Shell, runner: Runner, columns: int) -> None:
    shell.gostage("run", "shop:good")
    run_id = runner.list(workflow="good")[0].run_id
    for words in (["runs", "list"], ["runs", "show", run_id]):
        shown = shell.on_terminal(columns, *words)
        assert run_id in shown
        assert max(map(cell_len, shown.splitlines())) <= columns


def test_submit_prints_the_id_of_the_run_and_nothing_else(shell: Shell, runner: Runner) -> None:
    words = ("submit", "shop:good", "--key", "event-42", "--tag", "prod", "--deadline", "2h")
    run_id = shell.gostage(*words).stdout.strip()
    assert json.loads(shell.gostage(*words, "--json").stdout) == {"run_id": run_id}
    summary = runner.get(run_id).summary
    assert summary.tags == ("prod",)
    assert summary.deadline is not None


@pytest.mark.usefixtures("worker")
def test_a_file_runs_when_the_module_of_its_actions_is_named(shell: Shell) -> None:
    document = {"id": "j", "stages": [{"id": "s", "actions": [{"action": "shop:quick"}]}]}
    (shell.directory / "order.json").write_text(json.dumps(document))
    assert shell.gostage("run", "order.yaml", "--module", "shop").returncode == 0
    assert shell.gostage("run", "order.json", GOSTAGE_MODULES="shop").returncode == 0


def test_run_hints_at_a_worker_where_there_is_none(shell: Shell) -> None:
    ended = shell.gostage("run", "shop:good", "--namespace", "nobody", "--timeout", "6")
    assert ended.returncode == 1
    assert "no worker has taken the run yet; start one with: gostage worker shop" in ended.stderr
    assert "has not ended within 6.0 s" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.usefixtures("worker")
def test_ctrl_c_leaves_the_run_going_and_says_how_to_watch_it(shell: Shell, runner: Runner) -> None:
    with shell.started("run", "shop:endless", "--run-id", "endless-1") as process:
        eventually(lambda: any(one.status is RunStatus.RUNNING for one in runner.list(limit=5)))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert "gostage runs watch endless-1" in err
    assert "Traceback" not in err
    assert runner.get("endless-1").status is RunStatus.RUNNING
    shown = shell.gostage("runs", "show", "endless-1").stdout
    assert "until_told" in shown
    assert "running on" in shown
    assert "25% waiting to be told" in shown
    assert "asked to end" in shell.gostage("runs", "cancel", "endless-1", "--reason", "x").stdout
    watched = shell.gostage("runs", "watch", "endless-1")
    assert watched.returncode == 1
    assert "run.cancelled" in watched.stdout
    assert json.loads(shell.gostage("runs", "cancel", "endless-1", "--json").stdout) == {
        "run_id": "endless-1",
        "status": "cancelled",
    }


@pytest.mark.usefixtures("worker")
def test_watch_prints_one_json_object_a_line_and_goes_on_where_told(
    shell: Shell, runner: Runner
) -> None:
    shell.gostage("run", "shop:good", "--run-id", "watched")
    ended = shell.gostage("runs", "watch", "watched", "--json")
    entries = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert [one["sequence"] for one in entries] == list(range(1, len(entries) + 1))
    assert [one["kind"] for one in entries][-1] == "run.completed"
    places = {"", "pay", "pay/quick", "tell", "tell/ana", "tell/quick"}
    assert {one["place"] for one in entries} == places
    rest = shell.gostage("runs", "watch", "watched", "--after", str(len(entries) - 1))
    assert [line.split()[2] for line in rest.stdout.splitlines()] == ["run.completed"]


@pytest.mark.usefixtures("worker")
def test_show_folds_a_long_stage_and_all_shows_every_action(shell: Shell) -> None:
    shell.gostage("run", "shop:large", "--run-id", "large-1")
    folded = shell.gostage("runs", "show", "large-1").stdout
    assert folded.count("quick") == 0
    assert "odd" in folded
    assert "failed  handled by on_error  RuntimeError: odd" in folded
    assert "… and 60 actions: 60 completed  (gostage runs show large-1 --all)" in folded
    everything = shell.gostage("runs", "show", "large-1", "--all").stdout
    assert everything.count("quick") == 60


@pytest.mark.usefixtures("worker")
def test_show_has_the_error_its_cause_and_if_asked_its_traceback(shell: Shell) -> None:
    shell.gostage("run", "shop:bad", "--run-id", "bad-1")
    shown = shell.gostage("runs", "show", "bad-1").stdout
    assert "caused by ValueError: code 51" in shown
    assert "Traceback" not in shown
    assert "in broken" in shell.gostage("runs", "show", "bad-1", "--traceback").stdout


@pytest.mark.usefixtures("worker")
def test_an_ended_run_cannot_be_cancelled(shell: Shell) -> None:
    shell.gostage("run", "shop:bail", "--run-id", "bail-1")
    ended = shell.gostage("runs", "cancel", "bail-1")
    assert ended.returncode == 1
    assert "is bailed already" in ended.stderr


def test_a_run_id_that_is_taken_is_refused(shell: Shell) -> None:
    words = ("submit", "shop:good", "--run-id", "taken", "--namespace", "nobody")
    assert shell.gostage(*words).returncode == 0
    assert shell.gostage(*words).returncode == 1


def test_list_chooses_and_pages(shell: Shell) -> None:
    nobody = ("--namespace", "nobody-else")
    for number in range(3):
        named = ("--run-id", f"r{number}", "--tag", f"t{number}")
        shell.gostage("submit", "shop:good", *named, *nobody)

    def listed(*words: str) -> list[Any]:
        ended = shell.gostage("runs", "list", *words, *nobody, "--json")
        return [run["run_id"] for run in json.loads(ended.stdout)]

    assert listed("--tag", "t1", "--status", "pending") == ["r1"]
    assert listed("--workflow", "good", "--limit", "1", "--cursor", "r1") == ["r0"]
    assert listed("--since", "1h") == ["r2", "r1", "r0"]
    table = shell.gostage("runs", "list", "--limit", "2", *nobody)
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["RUN", "r2", "r1"]
    assert "longer than a table has room" in table.stdout
    assert "--cursor r1" in table.stderr


@pytest.mark.usefixtures("worker")
def test_doctor_tells_what_is_well(shell: Shell, settings: Settings) -> None:
    ended = shell.gostage("doctor", "--json")
    findings = {one["setting"]: one["level"] for one in json.loads(ended.stdout)["findings"]}
    assert ended.returncode == 0
    assert set(findings.values()) == {"ok"}
    assert findings.keys() == {"version", "role", "maxmemory-policy", "appendonly", "workers"}
    assert settings.redis_url in shell.gostage("doctor").stdout


def test_doctor_tells_what_is_missing(shell: Shell) -> None:
    lonely = shell.gostage("doctor", "--namespace", "nobody")
    assert lonely.returncode == 0
    assert "none; start one with: gostage worker" in lonely.stdout
    away = shell.gostage("doctor", "--json", GOSTAGE_REDIS_URL="redis://127.0.0.1:1/0")
    assert away.returncode == 3
    assert json.loads(away.stdout)["findings"][0]["level"] == "refused"
    assert away.stderr == ""
    broker = shell.gostage("doctor", "--broker", "amqp://127.0.0.1:1//")
    assert broker.returncode == 3
    assert "amqp://127.0.0.1:1// does not answer" in broker.stdout


def test_every_command_and_every_option_has_its_help() -> None:
    for path, command in _commands("gostage", cli):
        context = click.Context(command, info_name=path, terminal_width=80)
        assert command.help, path
        assert len(command.get_short_help_str(200)) <= 80 - len("  submit  "), path
        assert max(map(len, command.get_help(context).splitlines())) <= 80
        options = [one for one in command.params if isinstance(one, click.Option)]
        assert [one.name for one in options if not one.help] == [], path


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(f"{path} {name}", below)
