"""``gostage runs cancel|pause|resume|retry|signal|fork`` as their user sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import (
    ActionContext,
    RunStatus,
    RunWorkflow,
    Sleep,
    Stage,
    WaitForSignal,
    Workflow,
    action,
)
from tests.support.command import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from gostage_core import Run
    from gostage_core.settings import Settings
    from tests.support.bench import Bench

pytestmark = pytest.mark.usefixtures("fresh_registry")

APPROVALS = """
from decimal import Decimal
from pydantic import BaseModel
from gostage_core import WaitForSignal

class Approval(BaseModel):
    amount: Decimal

waits = WaitForSignal("approval", Approval)
"""


@action
def note(ctx: ActionContext) -> None:
    ctx.store.append("done", ctx.action.name)


@action
def until_fixed(ctx: ActionContext) -> None:
    if "fixed" not in ctx.store:
        raise ConnectionError("the bank does not answer")
    ctx.store.append("done", "fixed")


@pytest.fixture
def shell(tmp_path: Path, settings: Settings) -> Shell:
    return Shell(
        tmp_path, GOSTAGE_REDIS_URL=settings.redis_url, GOSTAGE_NAMESPACE=settings.namespace
    )


def submitted(bench: Bench, *actions: Any, **options: Any) -> Run:
    workflow = Workflow("order")
    workflow.add_stage(Stage("s", actions))
    return bench.submit(workflow, **options)


def moved(bench: Bench) -> None:
    """Let everything happen that waits for nothing: the command's own messages are looked for."""
    bench.pass_time()
    while bench.post.messages:
        bench.step()


def said(shell: Shell, *words: str, status: int = 0) -> str:
    ended = shell.gostage(*words)
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_a_signal_is_sent_with_json_under_the_name_of_who_sends_it(
    bench: Bench, shell: Shell
) -> None:
    run = submitted(bench, WaitForSignal("approval", dict, store_as="got", timeout="2d"))
    bench.step()
    assert "s/approval waits for signal 'approval' (dict), until 2" in said(
        shell, "why", run.run_id
    )
    words = ("runs", "signal", run.run_id, "approval", "--json", '{"by": "ana"}', "--actor", "ana")
    assert said(shell, *words) == f"{run.run_id} is sent approval\n"
    moved(bench)
    assert run.store["got"] == {"by": "ana"}
    watched = said(shell, "runs", "watch", run.run_id)
    assert "action.waiting    s/approval  for signal approval  until 2" in watched
    assert "run.signalled  signal=approval" in watched
    assert "by ana" in watched


def test_what_a_signal_brings_is_checked_where_its_type_is_known(
    bench: Bench, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "approvals.py").write_text(APPROVALS, encoding="utf-8")
    shell.environment["PYTHONPATH"] += f":{tmp_path}"
    run = submitted(bench, WaitForSignal("approval", dict))
    bench.step()
    plan = bench.state.keys.of("plan", run.run_id)
    entry = run.result().actions[0].entry
    bench.state.client.hset(plan, f"j{entry}", "approval\napprovals:Approval")
    words = ("runs", "signal", run.run_id, "approval", "-m", "approvals", "--json")
    refused = said(shell, *words, '{"amount": "much"}', status=2)
    assert "amount: " in refused
    assert said(shell, *words, '{"amount": "9.99"}') == f"{run.run_id} is sent approval\n"
    assert "not JSON" in said(shell, *words, "{oops", status=2)


def test_a_run_is_held_and_let_go_on(bench: Bench, shell: Shell) -> None:
    run = submitted(bench, note.s(), note.s())
    words = ("--reason", "look into it", "--actor", "ana")
    assert said(shell, "runs", "pause", run.run_id, *words) == f"{run.run_id} is paused\n"
    assert said(shell, "why", run.run_id) == f"{run.run_id} is paused: by ana: look into it\n"
    assert "paused" in said(shell, "runs", "show", run.run_id).splitlines()[0]
    assert said(shell, "runs", "resume", run.run_id) == f"{run.run_id} goes on\n"
    bench.drain(run)
    assert "cannot be paused" in said(shell, "runs", "pause", run.run_id, status=1)


def test_a_run_is_cancelled_within_a_grace(bench: Bench, shell: Shell) -> None:
    run = submitted(bench, Sleep("1d"))
    bench.step()
    told = json.loads(said(shell, "runs", "cancel", run.run_id, "--grace", "5s", "--json"))
    assert told == {"run_id": run.run_id, "status": "cancelled"}
    going = submitted(bench, note.s().options(compensate=note.s()), Sleep("1d"))
    bench.step()
    bench.step()
    assert said(shell, "runs", "cancel", going.run_id) == f"{going.run_id} is asked to end\n"
    assert "was cancelled, and what it had done is undone" in said(shell, "why", going.run_id)
    bench.drain(going)
    shown = said(shell, "runs", "show", going.run_id)
    assert "compensated: what it had done is undone" in shown


def test_a_run_is_retried_with_other_values_and_without_some_of_it(
    bench: Bench, shell: Shell
) -> None:
    run = submitted(bench, note.s(), until_fixed.s(), note.s().options(name="other"))
    bench.drain(run)
    assert "is left to be done" in said(
        shell, "runs", "retry", run.run_id, "--skip", "note", status=2
    )
    words = ("--set", "fixed=true", "--skip", "other", "--reason", "it is up")
    assert said(shell, "runs", "retry", run.run_id, *words) == f"{run.run_id} goes on\n"
    bench.drain(run)
    assert run.store["done"] == ["note", "fixed"]
    watched = said(shell, "runs", "watch", run.run_id)
    assert "run.retried  without s/other  by " in watched
    assert "it is up" in watched
    again = said(shell, "runs", "retry", run.run_id, "--skip", "note", status=1)
    assert "is completed; only runs that failed or were cancelled are retried" in again


def test_every_run_that_answers_is_retried_when_they_have_been_counted(
    bench: Bench, shell: Shell
) -> None:
    child = Workflow("child")
    child.add_stage(Stage("s", [note.s()]))
    runs = [submitted(bench, until_fixed.s(), tags=["x"]) for _ in range(2)]
    runs.append(submitted(bench, RunWorkflow(child), until_fixed.s(), tags=["x"]))
    for run in runs:
        bench.drain(run)
    words = ("runs", "retry", "--tag", "x", "--set", "fixed=true")
    refused = shell.gostage(*words)
    assert refused.returncode != 0
    assert "3 runs found" in refused.stdout + refused.stderr
    assert {run.status for run in runs} == {RunStatus.FAILED}
    told = json.loads(said(shell, *words, "--yes", "--json"))
    assert sorted(one["run_id"] for one in told) == sorted(run.run_id for run in runs)
    for run in runs:
        assert bench.drain(run).status is RunStatus.COMPLETED


def test_a_run_is_forked_with_other_values_and_another_plan(bench: Bench, shell: Shell) -> None:
    run = submitted(bench, note.s(), until_fixed.s(), note.s().options(name="other"))
    bench.drain(run)
    words = ("--store", "fixed=true", "--disable", "other", "--run-id", "mine")
    assert said(shell, "runs", "fork", run.run_id, "--at", "until_fixed", *words) == "mine\n"
    fork = bench.runner.get("mine")
    bench.drain(fork)
    assert fork.store["done"] == ["note", "fixed"]
    assert f"forked={run.run_id}  at=s/until_fixed" in said(shell, "runs", "watch", "mine")
    late = said(shell, "runs", "fork", run.run_id, "--at", "other", status=2)
    assert "has not begun" in late


def test_what_is_not_undone_is_shown(bench: Bench, shell: Shell) -> None:
    undone = note.s().options(name="kept", compensate=until_fixed.s())
    run = submitted(bench, undone, until_fixed.s())
    bench.drain(run)
    shown = said(shell, "runs", "show", run.run_id)
    assert "not compensated; left to undo: s/kept" in shown
    assert "not all that it had done is undone" in said(shell, "why", run.run_id)
    document = json.loads(said(shell, "runs", "show", run.run_id, "--json"))
    assert (document["compensated"], document["uncompensated"]) == (False, ["s/kept"])
    said(shell, "runs", "retry", run.run_id, "--set", "fixed=1")
    bench.drain(run)
    assert "compensated: what it had done is undone" in said(shell, "runs", "show", run.run_id)
