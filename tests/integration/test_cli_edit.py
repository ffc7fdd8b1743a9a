"""``gostage runs edit`` and ``gostage runs plan`` as their users see them."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import editable
from tests.support.command import COMMAND, SECONDS, Shell

if TYPE_CHECKING:
    from gostage_core import Run
    from gostage_core.settings import Settings
    from tests.support.bench import Bench

WHY = ("--reason", "the notifier is down", "--actor", "ana", "-m", "tests.support.editable")


@pytest.fixture
def shell(tmp_path: Path, settings: Settings) -> Shell:
    return Shell(
        tmp_path, GOSTAGE_REDIS_URL=settings.redis_url, GOSTAGE_NAMESPACE=settings.namespace
    )


@pytest.fixture
def run(bench: Bench) -> Run:
    """A run whose first action has been done."""
    run = bench.submit(editable.workflow)
    bench.step()
    return run


def said(bench: Bench, run: Run) -> list[str]:
    return list(bench.drain(run).store["said"])


def test_options_change_what_is_still_to_come(bench: Bench, run: Run, shell: Shell) -> None:
    ended = shell.gostage(
        "runs", "edit", run.run_id, *WHY, "--yes", "--disable", "b", "--set", "c.word=C",
        "--add", 'now/c=say {"word": "x"}', "--remove", "later/",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "applied; the plan is at revision 2" in ended.stderr
    assert said(bench, run) == ["a", "C", "x"]
    [_, change] = run.plan.revisions
    assert (change.actor, change.reason) == ("ana", "the notifier is down")
    log = shell.gostage("runs", "plan", run.run_id, "--log")
    assert "by ana" in log.stdout
    assert "the notifier is down" in log.stdout


def test_a_dry_run_shows_the_difference_and_changes_nothing(
    bench: Bench, run: Run, shell: Shell
) -> None:
    ended = shell.gostage("runs", "edit", run.run_id, *WHY, "--dry-run", "--disable", "b")
    assert ended.returncode == 0, ended.stderr
    assert "now/b" in ended.stdout
    assert run.plan.revision == 1
    told = shell.gostage("runs", "edit", run.run_id, *WHY, "--dry-run", "--remove", "b", "--json")
    document = json.loads(told.stdout)
    assert document["applied"] is False
    assert document["changes"]["removed"][0]["path"] == "now/b"
    assert said(bench, run) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--disable", "a"), "'a' has begun or ended"),
        (("--disable", "nobody"), "no action 'nobody'"),
        (("--set", "b.word"), "not of the form ENTRY.PARAM=VALUE"),
        (("--set", "b.number=1"), "number"),
        (("--add", "now=unheard"), "unheard"),
        (("--add", "now=say {word}"), "not JSON"),
        (("--add", 'gone=say {"word": "x"}'), "gone"),
        (("--add", "now=say {}"), "field required"),
        (("--disable", "b", "--workflow", "editable"), "name one run"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_changed(
    bench: Bench, run: Run, shell: Shell, words: tuple[str, ...], told: str
) -> None:
    ended = shell.gostage("runs", "edit", run.run_id, *WHY, "--yes", *words)
    assert ended.returncode in (1, 2)
    assert told in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
    assert run.plan.revision == 1
    assert said(bench, run) == ["a", "b", "c", "d"]


def editor(directory: Path, change: str) -> str:
    """Return an editor that does *change* to the document of a plan."""
    path = directory / "editor"
    path.write_text(
        f"#!{sys.executable}\nimport sys, yaml\npath = sys.argv[1]\n"
        "plan = yaml.safe_load(open(path))\nnow, later = plan['stages']\n"
        f"{change}\nopen(path, 'w').write(yaml.safe_dump(plan, sort_keys=False))\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (
            "now['actions'][0]['disabled'] = True; later['actions'][0]['params']['word'] = 'D'",
            ["a", "c", "D"],
        ),
        (
            (
                "del now['actions'][0]; now['actions'].append({'action': 'say', 'params': "
                "{'word': 'x'}}); later['disabled'] = True"
            ),
            ["a", "c", "x"],
        ),
        (
            (
                "plan['stages'][1:] = [{'id': 'new', 'actions': [{'action': 'say', 'params': "
                "{'word': 'y'}}]}]"
            ),
            ["a", "b", "c", "y"],
        ),
        (
            (
                "plan['stages'].insert(1, {'id': 'new', 'actions': [{'action': 'say', 'params': "
                "{'word': 'y'}}]}); now['actions'].insert(1, {'action': 'say', 'name': 'b', "
                "'params': {'word': 'x'}}); later['actions'][0]['timeout'] = '5m'"
            ),
            ["a", "b", "x", "c", "y", "d"],
        ),
    ],
)
def test_an_editor_changes_the_pending_plan(
    bench: Bench, run: Run, shell: Shell, tmp_path: Path, change: str, left: list[str]
) -> None:
    edits = editor(tmp_path, change)
    ended = shell.gostage("runs", "edit", run.run_id, *WHY, "--yes", EDITOR=edits)
    assert ended.returncode == 0, ended.stderr
    assert said(bench, run) == left


def kept_text(said: str) -> str:
    """Return what somebody wrote in vain, from the file that the command names."""
    named = re.search(r"the text is kept in (\S+)", said)
    assert named
    path = Path(named[1])
    text = path.read_text()
    path.unlink()
    return text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("now['actions'].reverse()", "the order of entries cannot be changed"),
        ("now['actions'][0]['entry'] = '99'", "entry 99 is not among what is still to come"),
        ("now['actions'][0]['params'] = {'number': 1}", "number"),
        ("plan['stages'] = 'none'", "a list of stages"),
        ("now['actions'].insert(0, {'action': 'say'})", "not first"),
        ("now['actions'].append({'action': 'unheard'})", "unheard"),
        ("now['actions'].append(dict(now['actions'][0]))", "stands there twice"),
        ("now['actions'][0]['name'] = 'other'", "name cannot be changed"),
        ("now['actions'][0]['action'] = 'shout'", "action cannot be changed"),
        ("now['actions'][0]['timeuot'] = 5", "timeuot cannot be changed"),
        ("now['actions'][0]['timeout'] = 'soon'", "timeout"),
        ("now['actions'][0]['disabled'] = 'yes'", "disabled is true or false"),
        ("del now['actions'][0]['params']['word']", "word: field required"),
        ("now['disabled'] = True", "stage 'now' has begun"),
        ("del plan['stages'][0]", "stage 'now' has begun"),
        ("plan['stages'].append({'id': 'later'})", "'later'"),
        ("plan['stages'].insert(0, {'id': 'new'})", "not first"),
    ],
)
def test_a_text_that_cannot_be_is_refused_whole(
    bench: Bench, run: Run, shell: Shell, tmp_path: Path, change: str, told: str
) -> None:
    edits = editor(tmp_path, change)
    ended = shell.gostage("runs", "edit", run.run_id, *WHY, "--yes", EDITOR=edits)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert kept_text(ended.stderr).startswith("stages:")
    assert run.plan.revision == 1
    assert said(bench, run) == ["a", "b", "c", "d"]


def test_a_text_that_is_no_yaml_is_refused(
    bench: Bench, run: Run, shell: Shell, tmp_path: Path
) -> None:
    broken = editor(tmp_path, "open(path, 'w').write('stages: ['); sys.exit()")
    ended = shell.gostage("runs", "edit", run.run_id, *WHY, "--yes", EDITOR=broken)
    assert ended.returncode != 0
    assert "the plan:2: not YAML" in ended.stderr
    assert kept_text(ended.stderr) == "stages: ["
    assert said(bench, run) == ["a", "b", "c", "d"]


def test_many_runs_are_counted_and_then_edited(bench: Bench, run: Run, shell: Shell) -> None:
    other = bench.submit(editable.workflow)
    ended = shell.gostage("runs", "edit", "--tag", "edits", *WHY, "--yes", "--remove", "later/")
    assert ended.returncode == 0, ended.stderr
    assert "2 runs under way" in ended.stderr
    assert said(bench, run) == ["a", "b", "c"]
    assert said(bench, other) == ["a", "b", "c"]


def test_runs_that_refuse_an_edit_stop_no_other(bench: Bench, run: Run, shell: Shell) -> None:
    other = bench.submit(editable.workflow)
    words = ("runs", "edit", "--workflow", "editable", *WHY, "--yes", "--disable", "a", "--json")
    ended = shell.gostage(*words)
    assert ended.returncode == 1
    told = {one["run_id"]: one for one in json.loads(ended.stdout)}
    assert told[other.run_id]["applied"] is True
    assert "has begun or ended" in told[run.run_id]["error"]
    assert said(bench, other) == ["b", "c", "d"]


def test_a_run_that_moves_on_while_its_text_is_edited_refuses_it_and_nothing_is_lost(
    bench: Bench, run: Run, shell: Shell, tmp_path: Path
) -> None:
    words = [
        *(*COMMAND, "runs", "edit", run.run_id, "--yes", "--disable", "c"),
        *("--reason", "meanwhile"),
    ]
    change = f"now['actions'][0]['disabled'] = True; import subprocess; subprocess.run({words})"
    ended = shell.gostage(
        "runs", "edit", run.run_id, *WHY, "--yes", EDITOR=editor(tmp_path, change)
    )
    assert ended.returncode != 0
    assert "has moved on" in ended.stderr
    assert "disabled: true" in kept_text(ended.stderr)
    assert said(bench, run) == ["a", "b", "d"]


def test_a_text_with_a_mistake_is_mended_in_the_editor(
    bench: Bench, run: Run, shell: Shell, tmp_path: Path
) -> None:
    change = (
        "first = now['actions'][0]; is_again = 'disabled' in first; "
        "first['disabled'] = True if is_again else 'maybe'"
    )
    edits = editor(tmp_path, change)
    ended = subprocess.run(
        [*COMMAND, "runs", "edit", run.run_id, *WHY],
        cwd=shell.directory,
        env={**shell.environment, "EDITOR": edits},
        input="y\ny\n",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "disabled is true or false, not 'maybe'" in ended.stderr
    assert "- disable now/b #3" in ended.stdout
    assert said(bench, run) == ["a", "c", "d"]


def test_a_text_that_is_left_as_it_was_changes_nothing(run: Run, shell: Shell) -> None:
    ended = shell.gostage("runs", "edit", run.run_id, *WHY, EDITOR="true")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "no changes" in ended.stderr


def test_a_plan_is_shown_now_and_as_it_was(bench: Bench, run: Run, shell: Shell) -> None:
    with run.edit(reason="first") as plan:
        plan.actions["b"].disable()
        plan.stages["later"].add(editable.say.s(word="x").options(name="x"))
    now = shell.gostage("runs", "plan", run.run_id)
    assert now.stdout.splitlines() == [
        "now  #1  running", "  a  #2  completed", "  b  #3  skipped", "  c  #4  pending",
        "later  #5  pending", "  d  #6  pending", "  x  #7  pending",
    ]  # fmt: skip
    then = json.loads(shell.gostage("runs", "plan", run.run_id, "--at", "1", "--json").stdout)
    assert [one["path"] for stage in then["stages"] for one in stage["actions"]] == [
        "now/a", "now/b", "now/c", "later/d",
    ]  # fmt: skip
    diff = shell.gostage("runs", "plan", run.run_id, "--diff", "1", "2")
    assert diff.stdout.splitlines() == ["+ later/x #7  behind d", "- disable now/b #3"]
    none = shell.gostage("runs", "plan", run.run_id, "--at", "9")
    assert none.returncode == 2
    assert "has the revisions 1 to 2, not 9" in none.stderr
    watched = bench.drain(run).status
    assert watched == "completed"
    lines = shell.gostage("runs", "watch", run.run_id).stdout
    assert "+1 action: later/x  disable now/b  by operator  first" in lines
