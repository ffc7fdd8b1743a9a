"""What the command makes of values: JSON of anything, trees of any length, lines of logs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from gostage_core.errors import (
    AccessRefusedError,
    BrokerUnavailableError,
    GostageError,
    InvalidWorkflowError,
    RunNotFoundError,
    RunStateError,
    RunTimeoutError,
    StoreUnavailableError,
)
from gostage_core.failure import Failure
from gostage_core.result import ActionResult, Plan, RunResult, StageResult
from gostage_core.status import ActionStatus, RunStatus
from gostage_core.summary import RunSummary
from gostage_core.testing import context
from gostage_workers.cli.documents import plain
from gostage_workers.cli.logs import LogTail
from gostage_workers.cli.output import elapsed, span
from gostage_workers.cli.plan_lines import worker_name, worker_pid
from gostage_workers.cli.statuses import status_of
from gostage_workers.cli.tree import run_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": Decimal("1.50"), 2: {3}}, {"a": "1.50", "2": [3]}),
        (b"\xff\x00", "_wA="),
        (timedelta(minutes=1), 60.0),
        (NOON, "2026-01-01T12:00:00Z"),
        ([float("nan"), float("-inf"), 1.5], ["nan", "-inf", 1.5]),
        ("half \ud800 of a pair", "half \ud800 of a pair"),
        (RunStatus.FAILED, "failed"),
        (1 << 5000, hex(1 << 5000)),
        (True, True),
    ],
    ids=str,
)
def test_any_value_of_the_store_becomes_json(value: object, expected: object) -> None:
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected


def test_a_long_stage_shows_counts_and_what_is_worth_a_look() -> None:
    actions = [action(f"a{n}") for n in range(100)]
    actions[40] = action("slowest", ActionStatus.RUNNING)
    actions[41] = action("unlucky", attempt=3)
    lines = drawn([stage("s", actions)])
    assert [line.split()[2] for line in lines[2:4]] == ["slowest", "unlucky"]
    assert "running on w1@host" in lines[2]
    assert "attempt 3" in lines[3]
    assert lines[4].endswith("… and 98 actions: 98 completed  (gostage runs show run-1 --all)")
    assert len(drawn([stage("s", actions)], everything=True)) == 102


def test_a_stage_where_everything_is_worth_a_look_is_folded_too() -> None:
    lines = drawn([stage("s", [action(f"a{n}", ActionStatus.FAILED) for n in range(500)])])
    assert len(lines) == 23
    assert "… and 480 actions: 480 failed" in lines[-1]


def test_what_an_action_owns_is_drawn_below_it() -> None:
    actions = [
        action("each"),
        replace(action("wrap"), within="each[0]", parent="each", depth=1),
        replace(action("send", ActionStatus.FAILED), handled_by="Recover"),
    ]
    lines = drawn([stage("s", actions)])
    assert [line.rpartition("  1.0 s")[0] for line in lines[2:]] == [
        "    ├── ✓ each", "    │   └── ✓ each[0]/wrap", "    └── ✗ send",
    ]  # fmt: skip
    assert lines[-1].endswith("failed  handled by Recover")


def test_a_stage_whose_hook_failed_says_so() -> None:
    failed = replace(
        stage("s", [action("a", ActionStatus.PENDING)], ActionStatus.FAILED),
        error=Failure("ValueError", "no disk"),
    )
    assert drawn([failed])[1].endswith("failed  ValueError: no disk")


def test_many_stages_are_folded() -> None:
    stages = [stage(f"s{n}", [action("a")]) for n in range(50)]
    stages[30] = stage("odd", [action("a", ActionStatus.FAILED)], ActionStatus.FAILED)
    lines = drawn(stages)
    assert "odd" in lines[1]
    assert "… and 49 stages: 49 completed" in lines[3]
    assert len(drawn(stages, everything=True)) == 101


def test_a_large_store_is_cut_short_unless_all_is_asked_for() -> None:
    store = {f"key{n:02}": "x" * 100 for n in range(30)}
    lines = drawn([stage("s", [action("a")])], store=store)
    assert lines[4].endswith("…")
    assert "… and 10 keys" in lines[-1]
    everything = drawn([stage("s", [action("a")])], store=store, everything=True)
    assert everything[-1].endswith(f'key29 = "{"x" * 100}"')


def test_spans_are_written_as_people_do() -> None:
    assert [span(n) for n in (0.0124, 2.34, 99.9, 100, 93_784)] == [
        "12 ms", "2.3 s", "99.9 s", "0:01:40", "1 day, 2:03:04",
    ]  # fmt: skip
    assert elapsed(None, None) == ""
    assert elapsed(datetime.now(UTC) + timedelta(minutes=1), None) == "0 ms"


def test_a_process_of_the_plan_tells_its_worker() -> None:
    assert worker_name("fast.one@host.example.4f00ba12.4711/139") == "fast.one@host.example"
    assert worker_pid("fast.one@host.example.4f00ba12.4711/139") == 4711


def test_a_log_is_followed_by_whole_lines_from_now_on(tmp_path: Path) -> None:
    path = tmp_path / "w1.log"
    path.write_bytes(b"before\n")
    tail = LogTail("w1", path)
    with path.open("ab", buffering=0) as log:
        log.write(b"one\nzw\xc3")
        assert list(tail.new_lines()) == ["one"]
        log.write(b"\xb6lf\n\n")
    assert list(tail.new_lines()) == ["zw\xf6lf", ""]
    assert list(tail.new_lines()) == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnavailableError("x"), 3),
        (BrokerUnavailableError("x"), 3),
        (AccessRefusedError("x"), 2),
        (InvalidWorkflowError("x"), 2),
        (RunNotFoundError("x"), 2),
        (RunStateError("x", "is completed"), 1),
        (RunTimeoutError("x"), 1),
    ],
)
def test_each_error_has_its_exit_status(error: GostageError, status: int) -> None:
    assert status_of(error) == status


def action(
    name: str, status: ActionStatus = ActionStatus.COMPLETED, attempt: int = 1
) -> ActionResult:
    return ActionResult(
        entry=name,
        name=name,
        action="m:a",
        stage="s",
        status=status,
        attempt=attempt,
        began_at=NOON,
        ended_at=NOON + timedelta(seconds=1),
        worker="w1@host.4f00ba12.4711/139",
    )


def stage(
    name: str, actions: list[ActionResult], status: ActionStatus = ActionStatus.COMPLETED
) -> StageResult:
    return StageResult(id=name, name=name, status=status, actions=tuple(actions))


def drawn(
    stages: list[StageResult],
    *,
    store: Mapping[str, object] | None = None,
    everything: bool = False,
) -> list[str]:
    """Return the lines of a run's tree, without the spaces at their ends."""
    summary = RunSummary("run-1", "w", "Work", RunStatus.RUNNING, (), NOON)
    plan = Plan(1, {one.id: one for one in stages})
    result = RunResult("run-1", RunStatus.RUNNING, plan, context(store=store or {}).store)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(run_tree(summary, result, everything=everything))
    return [line.rstrip() for line in captured.get().splitlines()]
