"""What operators type to control runs, schedules and throttles: words, JSON, exit statuses."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    NoRetry,
    RunStatus,
    Sleep,
    Stage,
    Throttle,
    WaitForSignal,
    Workflow,
    action,
)
from tests.support.command import Shell

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from gostage_core.settings import Settings
    from tests.support.bench import Bench

pytestmark = pytest.mark.usefixtures("fresh_registry")

MODULE = """
from gostage_core import ActionContext, Workflow, action

@action("jobs.note")
def note(ctx: ActionContext, word: str = "") -> None:
    ctx.store.append("done", word)

workflow = Workflow("job")
workflow.add_stage("s").add(note.s(word="x"))
"""

APPROVALS = """
from decimal import Decimal
from pydantic import BaseModel
from gostage_core import WaitForSignal

class Approval(BaseModel):
    amount: Decimal

waits = WaitForSignal("approval", Approval)
"""

WHO = ("--reason", "an incident", "--actor", "ana")


@pytest.fixture
def shell(tmp_path: Path, settings: Settings) -> Shell:
    (tmp_path / "jobs.py").write_text(MODULE)
    return Shell(
        tmp_path,
        GOSTAGE_REDIS_URL=settings.redis_url,
        GOSTAGE_NAMESPACE=settings.namespace,
        TZ="UTC",
    )


@action
def note(ctx: ActionContext, word: str = "") -> None:
    """Append a word to what was done."""
    ctx.store.append("done", word)


@action
def fail(ctx: ActionContext) -> None:
    """Fail while it is told to."""
    if not ctx.store.get("mended", bool, default=False):
        raise NoRetry("card declined")


def of(*actions: Any) -> Workflow:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions or [note.s()]))
    return workflow


def done(ended: subprocess.CompletedProcess[str]) -> str:
    """Return what a command said that went well."""
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


def read(ended: subprocess.CompletedProcess[str]) -> Any:
    """Return the JSON that a command printed, and nothing else."""
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 1
    return json.loads(ended.stdout)


def refused(ended: subprocess.CompletedProcess[str], status: int, told: str) -> None:
    """Check that a command was refused, with its reason and no traceback."""
    assert ended.returncode == status, ended.stderr
    assert re.search(told, ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


# One run


def test_a_run_is_paused_and_resumed(bench: Bench, shell: Shell) -> None:
    run = bench.submit(of())
    assert done(shell.gostage("runs", "pause", run.run_id, *WHO)) == f"{run.run_id} is paused"
    assert run.status is RunStatus.PAUSED
    assert "by ana: an incident" in done(shell.gostage("why", run.run_id))
    told = read(shell.gostage("runs", "resume", run.run_id, "--json"))
    assert told == {"run_id": run.run_id, "status": "pending"}
    assert [entry.actor for entry in run.journal() if entry.kind == "run.paused"] == ["ana"]


def test_a_run_is_cancelled_and_that_can_be_repeated(bench: Bench, shell: Shell) -> None:
    run = bench.submit(of())
    words = ("runs", "cancel", run.run_id, *WHO)
    assert done(shell.gostage(*words)) == f"{run.run_id} is cancelled"
    assert read(shell.gostage(*words, "--json"))["status"] == "cancelled"
    for what in ("pause", "resume"):
        refused(shell.gostage("runs", what, run.run_id), 1, "is cancelled already")


def test_a_run_whose_body_runs_is_asked_to_end_within_the_grace(bench: Bench, shell: Shell) -> None:
    run = bench.submit(of())
    [message] = bench.post.messages
    bench.state.claim(run.run_id, message.entry, nonce="n", process="p", slot="t", mark="")
    ended = shell.gostage("runs", "cancel", run.run_id, "--grace", "1h")
    assert done(ended) == f"{run.run_id} is asked to end"
    due = bench.state.client.zscore(bench.state.keys.of("wake"), f"{run.run_id} {message.entry} c")
    assert due is not None
    assert due - bench.state.server_ms() == pytest.approx(3_600_000, abs=60_000)


def test_a_failed_run_is_retried_with_other_values_and_without_an_action(
    bench: Bench, shell: Shell
) -> None:
    run = bench.submit(of(fail.s(), note.s().options(name="optional"), note.s("end")))
    bench.drain(run)
    ended = shell.gostage(
        "runs", "retry", run.run_id, "--set", "mended=true", "--skip", "optional",
        "--deadline", "1h", *WHO,
    )  # fmt: skip
    assert done(ended) == f"{run.run_id} goes on"
    assert run.summary.deadline is not None
    bench.state.client.zrem(bench.state.keys.of("wake"), f"{run.run_id} d")  # it is an hour away
    assert bench.drain(run).store["done"] == ["end"]
    refused(shell.gostage("runs", "retry", run.run_id), 1, "only runs that failed or were cancel")


def test_many_runs_are_retried_after_their_number_was_agreed_to(bench: Bench, shell: Shell) -> None:
    runs = [bench.submit(of(fail.s()), tags=["t"]) for _ in range(3)]
    for run in runs:
        bench.drain(run)
    asked = shell.gostage("runs", "retry", "--tag", "t")
    assert asked.returncode == 130, "nobody is there to agree"
    assert "3 runs found" in asked.stderr
    assert all(run.status is RunStatus.FAILED for run in runs)
    told = shell.gostage("runs", "retry", "--tag", "t", "--set", "mended=true", "--yes")
    assert told.returncode == 0
    assert sorted(told.stdout.splitlines()) == sorted(f"{run.run_id}  goes on" for run in runs)
    assert all(bench.drain(run).status is RunStatus.COMPLETED for run in runs)
    assert read(shell.gostage("runs", "retry", "--tag", "t", "--json")) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name one run, or ask for runs"),
        (("x", "--tag", "t"), "name one run, or ask for runs"),
        (("--tag", "t", "--deadline", "1h"), "--deadline is for one run"),
        (("--status", "nonsense"), "'nonsense' is not one of 'pending'"),
        (("x", "--set", "novalue"), "--set takes KEY=VALUE"),
        (("x", "--set", "a={"), "not JSON"),
        (("x",), "no run 'x'"),
    ],
)
def test_a_retry_that_makes_no_sense_is_refused(
    shell: Shell, words: tuple[str, ...], told: str
) -> None:
    refused(shell.gostage("runs", "retry", *words), 2, told)


def test_a_signal_is_sent_once_for_its_id_with_what_it_brings(bench: Bench, shell: Shell) -> None:
    run = bench.submit(of(WaitForSignal("go", store_as="came"), WaitForSignal("go", timeout=60)))
    bench.step()
    for option in ("--payload", "--json"):
        ended = shell.gostage("runs", "signal", run.run_id, "go", option, '{"a": 1}', "--id", "1")
        assert done(ended) == f"{run.run_id} is sent go"
    refused(shell.gostage("runs", "signal", run.run_id, "go", "--payload", "{"), 2, "not JSON")
    refused(shell.gostage("runs", "signal", run.run_id, ""), 2, "empty")
    result = bench.drain(run)
    assert result.store["came"] == {"a": 1}
    assert result.status is RunStatus.FAILED, "the second one never came"
    refused(shell.gostage("runs", "signal", run.run_id, "go"), 1, "is failed already")


def test_what_a_signal_brings_is_checked_where_its_type_is_known(
    bench: Bench, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "approvals.py").write_text(APPROVALS, encoding="utf-8")
    shell.environment["PYTHONPATH"] += f":{tmp_path}"
    run = bench.submit(of(WaitForSignal("approval", dict)))
    bench.step()
    plan = bench.state.keys.of("plan", run.run_id)
    entry = run.result().actions[0].entry
    bench.state.client.hset(plan, f"j{entry}", "approval\napprovals:Approval")
    words = ("runs", "signal", run.run_id, "approval", "-m", "approvals", "--payload")
    refused(shell.gostage(*words, '{"amount": "much"}'), 2, "amount: ")
    refused(shell.gostage(*words, "{oops"), 2, "not JSON")
    assert done(shell.gostage(*words, '{"amount": "9.99"}')) == f"{run.run_id} is sent approval"


def test_what_is_not_undone_is_shown_until_it_is(bench: Bench, shell: Shell) -> None:
    run = bench.submit(of(note.s().options(name="kept", compensate=fail.s()), fail.s()))
    bench.drain(run)
    shown = done(shell.gostage("runs", "show", run.run_id))
    assert "not compensated; left to undo: s/kept" in shown
    document = read(shell.gostage("runs", "show", run.run_id, "--json"))
    assert (document["compensated"], document["uncompensated"]) == (False, ["s/kept"])
    done(shell.gostage("runs", "retry", run.run_id, "--set", "mended=true"))
    bench.drain(run)
    assert "compensated: what it had done is undone" in done(
        shell.gostage("runs", "show", run.run_id)
    )


def test_a_run_is_forked_where_it_is_told_with_other_values(bench: Bench, shell: Shell) -> None:
    run = bench.submit(of(note.s("a"), fail.s(), note.s("end")))
    bench.drain(run)
    fork_id = done(
        shell.gostage("runs", "fork", run.run_id, "--at", "fail", "--store", "mended=true", *WHO)
    )
    fork = bench.runner.get(fork_id)
    assert bench.drain(fork).store["done"] == ["a", "end"]
    told = read(
        shell.gostage("runs", "fork", run.run_id, "--at", "2", "--run-id", "mine", "--json")
    )
    assert told == {"run_id": "mine"}
    words = ("runs", "fork", run.run_id)
    refused(shell.gostage(*words, "--at", "2", "--run-id", "mine"), 1, "exists already")
    refused(shell.gostage(*words, "--at", "note"), 1, "several actions are called so")
    refused(shell.gostage(*words, "--at", "nobody"), 2, "no action 'nobody'")
    refused(shell.gostage(*words), 2, "--at")


# Forgetting


def test_a_run_that_goes_on_is_deleted_when_that_is_agreed_to(bench: Bench, shell: Shell) -> None:
    run = bench.submit(of(Sleep(hours=1)))
    asked = shell.gostage("runs", "delete", run.run_id)
    assert asked.returncode == 130
    assert "is pending; end and forget it?" in asked.stderr
    assert run.status is RunStatus.PENDING
    assert done(shell.gostage("runs", "delete", run.run_id, "--yes")) == (
        f"{run.run_id} is forgotten"
    )
    refused(shell.gostage("runs", "delete", run.run_id), 2, f"no run '{run.run_id}'")
    other = bench.submit(of())
    bench.drain(other)
    assert read(shell.gostage("runs", "delete", other.run_id, "--json")) == {
        "run_id": other.run_id, "deleted": True,
    }  # fmt: skip


def test_ended_runs_are_purged_by_what_they_are_and_how_old_they_are(
    bench: Bench, shell: Shell
) -> None:
    runs = [bench.submit(of(*actions), tags=["t"]) for actions in ([], [fail.s()], [])]
    for run in runs:
        bench.drain(run)
    lives = bench.submit(of(), tags=["t"])
    words = ("runs", "purge", "--older-than", "0")
    assert shell.gostage(*words).returncode == 130
    young = shell.gostage("runs", "purge", "--older-than", "1h", "--yes")
    assert (young.returncode, "nothing to forget" in young.stderr) == (0, True)
    told = shell.gostage(*words, "--status", "failed", "--tag", "t", "--yes", "--actor", "ana")
    assert told.stdout == f"{runs[1].run_id}  is forgotten\n"
    found = read(shell.gostage(*words, "--workflow", "w", "--json"))
    assert {one["run_id"] for one in found} == {runs[0].run_id, runs[2].run_id}
    assert all(one["error"] is None for one in found)
    assert [run.run_id for run in bench.runner.list()] == [lives.run_id]
    refused(shell.gostage("runs", "purge"), 2, "--older-than")
    refused(shell.gostage(*words, "--status", "running"), 2, "'running' is not one of")


# Why


def test_why_tells_of_a_run_in_a_line_and_of_each_action_where_asked(
    bench: Bench, shell: Shell
) -> None:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", [Sleep(hours=1), note.s()], parallel=True))
    run = bench.submit(workflow)
    bench.step()
    [line] = done(shell.gostage("why", run.run_id)).splitlines()
    assert line.startswith(f"{run.run_id} is running: s/note ")
    assert line.endswith("(and 1 more)")
    first, *others = done(shell.gostage("why", run.run_id, "--all")).splitlines()
    assert first.startswith(f"{run.run_id} is running: s/note ")
    assert [one.split()[0] for one in others] == ["s/note", "s/Sleep"]
    told = read(shell.gostage("why", run.run_id, "--json"))
    assert told.keys() == {"run_id", "status", "text", "reasons"}
    assert [reason["path"] for reason in told["reasons"]] == ["s/note", "s/Sleep"]
    refused(shell.gostage("why", "never-was"), 2, "no run 'never-was'")


# Schedules


SHAPE = {
    "name", "workflow", "timing", "overlap", "catch_up", "next_at", "paused_by", "paused_reason",
    "last_run_id", "last_at", "fired", "skipped", "missed",
}  # fmt: skip


def test_a_schedule_from_its_beginning_to_its_end(bench: Bench, shell: Shell) -> None:
    empty = shell.gostage("schedule", "list")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "no schedules\n")
    added = shell.gostage(
        "schedule", "add", "nightly", "jobs:workflow", "--cron", "30 3 * * *", "--timezone",
        "Europe/Berlin", "--overlap", "queue", "--catch-up", "all", "--window", "2d", "--set",
        'a={"b": 1}', "--tag", "t", "--deadline", "1h", "--concurrency-key", "ana", "--actor",
        "bob",
    )  # fmt: skip
    assert re.fullmatch(r"nightly is due next at \d{4}-\d\d-\d\d 0[12]:30:00 UTC", done(added))
    run_id = done(shell.gostage("schedule", "trigger", "nightly", *WHO))
    run = bench.runner.get(run_id)
    assert run.store["a"] == {"b": 1}
    assert set(run.summary.tags) == {"t", "schedule:nightly"}
    assert (run.journal()[0].actor, run.journal()[0].reason) == ("ana", "an incident")
    paused = shell.gostage("schedule", "pause", "nightly", *WHO)
    assert done(paused) == "nightly is paused"
    table = done(shell.gostage("schedule", "list"))
    assert re.search(
        rf"nightly +job +30 3 \* \* \* Europe/Berlin +paused by ana +{run_id} +1$", table
    )
    [listed] = read(shell.gostage("schedule", "list", "--json"))
    assert listed.keys() == SHAPE
    assert (listed["paused_by"], listed["paused_reason"]) == ("ana", "an incident")
    assert (listed["overlap"], listed["catch_up"], listed["next_at"]) == ("queue", "all", None)
    shown = done(shell.gostage("schedule", "show", "nightly", "--next", "2"))
    assert "paused    by ana: an incident" in shown
    assert len(re.findall("^due ", shown, re.M)) == 2
    resumed = read(shell.gostage("schedule", "resume", "nightly", "--json"))
    assert resumed["next_at"] is not None
    told = read(shell.gostage("schedule", "show", "nightly", "--json"))
    assert told.keys() == SHAPE | {"next_times"}
    assert told["next_times"][0] == told["next_at"]
    assert done(shell.gostage("schedule", "remove", "nightly")) == "nightly is removed"
    assert list(bench.runner.schedules) == []


def test_a_schedule_that_is_there_is_replaced_only_where_asked(bench: Bench, shell: Shell) -> None:
    words = ("schedule", "add", "s", "jobs:workflow", "--every")
    done(shell.gostage(*words, "5m", "--paused"))
    assert bench.runner.schedules["s"].info.paused_reason == "from the start"
    refused(shell.gostage(*words, "1h"), 1, "there is a schedule 's' already")
    told = read(shell.gostage(*words, "1h", "--replace", "--json"))
    assert (told["timing"], told["next_at"]) == ("every 1:00:00", None)
    assert read(shell.gostage("schedule", "remove", "s", "--json")) == {
        "name": "s", "removed": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("s", "jobs:workflow"), "give either --cron or --every"),
        (("s", "jobs:workflow", "--cron", "@daily", "--every", "1h"), "give either --cron or"),
        (("s", "jobs:workflow", "--cron", "61 * * * *"), "not a cron expression"),
        (("s", "jobs:workflow", "--cron", "@daily", "--timezone", "Mars"), "no time zone"),
        (("s", "jobs:workflow", "--every", "soon"), "not a duration"),
        (("s", "jobs:workflow", "--every", "0.1"), "every"),
        (("a b", "jobs:workflow", "--every", "1h"), "a name is 1 to 100"),
        (("s", "jobs:nothing", "--every", "1h"), "no 'nothing'"),
        (("s", "jobs:workflow", "--every", "1h", "--overlap", "x"), "'x' is not one of"),
        (("s", "jobs:workflow", "--every", "1h", "--set", "a"), "KEY=VALUE"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(
    bench: Bench, shell: Shell, words: tuple[str, ...], told: str
) -> None:
    refused(shell.gostage("schedule", "add", *words), 2, told)
    assert list(bench.runner.schedules) == []


def test_a_schedule_that_is_not_there_is_an_error_for_every_command(shell: Shell) -> None:
    for what in ("show", "pause", "resume", "trigger", "remove"):
        refused(shell.gostage("schedule", what, "nope"), 2, "there is no schedule 'nope'")


def test_a_damaged_schedule_hides_no_other_and_can_be_removed(bench: Bench, shell: Shell) -> None:
    for name in "ab":
        bench.runner.schedules.add(name, of(), every=3600)
    bench.state.client.hset(bench.state.keys.of("schedule", "a"), "timing", "?")
    listed = shell.gostage("schedule", "list", "--json")
    assert [one["name"] for one in json.loads(listed.stdout)] == ["b"]
    assert "the record of schedule 'a' is damaged" in listed.stderr
    refused(shell.gostage("schedule", "show", "a"), 1, "schedule 'a' is damaged")
    assert done(shell.gostage("schedule", "remove", "a")) == "a is removed"


# Throttles


def test_a_throttle_is_listed_set_and_cleared(bench: Bench, shell: Shell) -> None:
    empty = shell.gostage("throttle", "list")
    assert (empty.stdout, empty.stderr) == ("", "no throttle is in use, and none is set\n")
    throttle = Throttle("größe [api]", concurrency=1)
    runs = [bench.submit(of(note.s().options(throttle=throttle))) for _ in range(3)]
    for message in [bench.post.messages.popleft() for _ in runs]:
        bench.state.claim(
            message.run_id, message.entry, nonce="n", process="p", slot=message.run_id, mark=""
        )
    assert re.search(r"größe \[api\] +1 +2 *$", done(shell.gostage("throttle", "list")))
    words = ("throttle", "set", throttle.key)
    assert done(shell.gostage(*words, "--concurrency", "2")) == "größe [api] is set"
    [listed] = read(shell.gostage("throttle", "list", "--json"))
    assert listed.keys() == {
        "key", "inside", "waiting", "concurrency", "rate", "per", "is_set",
    }  # fmt: skip
    assert (listed["concurrency"], listed["is_set"], listed["waiting"]) == (2, True, 1)
    assert "2 at a time" in done(shell.gostage("throttle", "list"))
    told = read(shell.gostage(*words, "--rate", "100", "--per", "1m", "--json"))
    assert (told["concurrency"], told["rate"], told["per"]) == (None, 100, 60)
    cleared = read(shell.gostage("throttle", "clear", throttle.key, "--json"))
    assert cleared["is_set"] is False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("api",), "give --concurrency, --rate, or both"),
        (("api", "--concurrency", "0"), "0 is not in the range"),
        (("api", "--rate", "many"), "not a valid int"),
        (("api", "--concurrency", "1", "--per", "1s"), "--per is for --rate"),
        (("api", "--rate", "1", "--per", "0"), "per"),
        (("", "--rate", "1"), "it is empty"),
        ((), "Missing argument"),
    ],
)
def test_numbers_of_a_throttle_that_make_no_sense_are_refused(
    bench: Bench, shell: Shell, words: tuple[str, ...], told: str
) -> None:
    refused(shell.gostage("throttle", "set", *words), 2, told)
    assert list(bench.runner.throttles) == []


# Submitting


def test_what_becomes_of_a_key_that_has_a_run_is_said_at_submit(bench: Bench, shell: Shell) -> None:
    words = ("submit", "jobs:workflow", "--key", "event")
    first = done(shell.gostage(*words))
    assert read(shell.gostage(*words, "--json")) == {"run_id": first}
    refused(shell.gostage(*words, "--on-conflict", "reject"), 1, "has the key 'event'")
    second = done(shell.gostage(*words, "--on-conflict", "replace", "--concurrency-key", "ana"))
    assert second != first
    assert bench.runner.get(first).status is RunStatus.CANCELLED
    refused(shell.gostage(*words, "--on-conflict", "merge"), 2, "'merge' is not one of")


def test_a_submit_that_is_refused_for_now_says_when_to_come_again(
    bench: Bench, shell: Shell
) -> None:
    bench.submit(of())
    ended = shell.gostage("submit", "jobs:workflow", GOSTAGE_MAX_LIVE_RUNS="1")
    refused(ended, 3, r"1 runs live, and GOSTAGE_MAX_LIVE_RUNS allows 1; submit again in 5 s")
    assert len(bench.runner.list()) == 1


def test_a_history_whose_beginning_is_lost_is_watched_from_where_it_is_kept(
    bench: Bench, shell: Shell
) -> None:
    run = bench.submit(of())
    bench.drain(run)
    client, keys = bench.state.client, bench.state.keys
    client.ltrim(keys.of("journal", run.run_id), 2, -1)
    client.hset(keys.of("run", run.run_id), "forgotten", 2)
    ended = shell.gostage("runs", "watch", run.run_id, "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout.splitlines()[0])["sequence"] == 3
    assert "what was before entry 3 is not kept any more" in ended.stderr
    refused(shell.gostage("runs", "watch", run.run_id, "--after", "1"), 1, "GOSTAGE_MAX_JOURNAL")
    log = shell.gostage("runs", "plan", run.run_id, "--log")
    assert log.returncode == 1
    assert "how its plan came to be" in log.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("why", "x"), ("runs", "pause", "x"), ("runs", "cancel", "x"), ("runs", "delete", "x"),
        ("schedule", "list"), ("throttle", "list"), ("schedule", "trigger", "x"),
    ],
)  # fmt: skip
def test_a_server_that_is_away_is_its_own_exit_status(shell: Shell, words: tuple[str, ...]) -> None:
    refused(shell.gostage(*words, "--url", "redis://127.0.0.1:1/0"), 3, "127.0.0.1:1")
