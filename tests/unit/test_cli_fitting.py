"""A plan on a screen that is smaller: what runs, what failed, and counts of the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from gostage_core.failure import Failure
from gostage_core.result import ActionResult, Plan, RunResult, StageResult
from gostage_core.status import ActionStatus, RunStatus
from gostage_core.summary import RunSummary
from gostage_core.testing import context
from gostage_workers.cli.fitting import fit
from gostage_workers.cli.live import Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PENDING, RUNNING, FAILED = ActionStatus.PENDING, ActionStatus.RUNNING, ActionStatus.FAILED
COMPLETED, WAITING = ActionStatus.COMPLETED, ActionStatus.WAITING


def action(entry: str, status: ActionStatus, **more: object) -> ActionResult:
    began = None if status is PENDING else NOON
    ended = NOON if status.is_terminal else None
    found = ActionResult(
        entry, entry, "m:a", "s", status, began_at=began, ended_at=ended, worker="w1@host.4f0.11/1"
    )
    return replace(found, **more)  # type: ignore[arg-type]


def stage(name: str, statuses: Sequence[ActionStatus], status: ActionStatus) -> StageResult:
    actions = tuple(action(f"{name}.{n}", one) for n, one in enumerate(statuses))
    return StageResult(name, name, status, actions)


def picture(stages: Sequence[StageResult]) -> Picture:
    summary = RunSummary("run-1", "w", "Work", RunStatus.RUNNING, (), NOON)
    plan = Plan(1, {one.id: one for one in stages})
    return Picture(summary, RunResult("run-1", RunStatus.RUNNING, plan, context(store={}).store))


def drawn(shown: Picture, *, height: int, width: int = 100) -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_plan_that_fits_is_shown_whole() -> None:
    stages = [
        stage("one", [COMPLETED] * 2, COMPLETED),
        stage("two", [COMPLETED, RUNNING, PENDING], RUNNING),
        stage("three", [PENDING], PENDING),
    ]
    lines = drawn(picture(stages), height=30)
    assert len(lines) == 2 + 3 + 6
    assert [line.split()[1] for line in lines if line[0] in "✓▶·"] == ["one", "two", "three"]


def test_stages_that_are_done_are_folded_first_and_those_to_come_after_them() -> None:
    stages = [
        stage("done", [COMPLETED] * 10, COMPLETED),
        stage("now", [COMPLETED] * 5 + [RUNNING], RUNNING),
        stage("later", [PENDING] * 10, PENDING),
    ]
    assert [len(one.actions) for one in fit(stages, 20).stages] == [0, 6, 10]
    assert [len(one.actions) for one in fit(stages, 19).stages] == [0, 6, 10]
    assert [len(one.actions) for one in fit(stages, 18).stages] == [0, 6, 0]


def test_a_stage_that_ended_well_over_a_failure_is_not_folded_with_those() -> None:
    stages = [
        stage("fine", [COMPLETED] * 10, COMPLETED),
        stage("odd", [COMPLETED, FAILED], COMPLETED),
    ]
    assert [len(one.actions) for one in fit(stages, 6).stages] == [0, 2]


def test_of_ten_thousand_actions_those_that_run_and_failed_are_seen_and_the_rest_is_counted() -> (
    None
):
    statuses = [COMPLETED] * 5_000 + [RUNNING] * 8 + [FAILED] * 3 + [PENDING] * 4_989
    shown = picture([stage("all", statuses, RUNNING)])
    lines = drawn(shown, height=40)
    assert len(lines) <= 39
    assert sum("▶ all." in line for line in lines) == 8
    assert sum("✗ all." in line for line in lines) == 3
    assert lines[-1].endswith("… 9,989 actions: 4,989 pending, 5,000 completed")
    assert lines[1].endswith("5,003/10,000  8 running, 3 failed")


def test_where_all_fails_the_last_failures_take_half_and_what_runs_the_other_half() -> None:
    failed = [action(f"f{n}", FAILED, ended_at=NOON + timedelta(seconds=n)) for n in range(100)]
    running = [action(f"r{n}", RUNNING) for n in range(100)]
    crowd = StageResult("s", "s", RUNNING, tuple(failed + running))
    (found,) = fit([crowd], 22).stages
    names = [one.name for one in found.actions]
    assert names == [*(f"f{n}" for n in range(90, 100)), *(f"r{n}" for n in range(10))]
    assert found.rest == Counter({FAILED: 90, RUNNING: 90})


def test_of_many_stages_those_around_what_goes_on_are_seen() -> None:
    stages = [stage(f"a{n}", [COMPLETED], COMPLETED) for n in range(50)]
    stages += [stage("now", [RUNNING], RUNNING)]
    stages += [stage(f"b{n}", [PENDING], PENDING) for n in range(50)]
    found = fit(stages, 13)
    assert [one.stage.id for one in found.stages] == ["a47", "a48", "a49", "now", "b0", "b1"]
    assert found.rest == Counter({COMPLETED: 47, PENDING: 48})
    assert drawn(picture(stages), height=17)[-1] == "… 95 stages: 48 pending, 47 completed"


def test_what_is_nested_stands_below_what_owns_it() -> None:
    actions = (
        action("each", WAITING),
        action("wrap", RUNNING, within="each[0]", parent="each", depth=1, progress=0.5),
        action("bill", WAITING, child_run_id="run-1.7"),
    )
    lines = drawn(picture([StageResult("s", "s", RUNNING, actions)]), height=30)
    assert lines[3].startswith("├── ? each")
    assert lines[4].startswith("│   └── ▶ each[0]/wrap")
    assert lines[4].endswith("running on w1@host  50%  ━━━━━━━━━━──────────")
    assert lines[5].endswith("waiting for run run-1.7")


def test_each_line_is_one_however_narrow_the_screen_and_whatever_is_said() -> None:
    loud = action("loud", RUNNING, progress=1.0, message="a\nb" * 50)
    bad = action("bad", FAILED, error=Failure("ValueError", "no\n" * 50))
    lines = drawn(picture([StageResult("s", "s" * 90, RUNNING, (loud, bad))]), height=30, width=40)
    assert len(lines) == 5
    assert all(len(line) <= 40 for line in lines)
    assert lines[3].endswith("━" * 20)


def test_trouble_is_told_below_the_last_known_state() -> None:
    shown = picture([stage("one", [RUNNING], RUNNING)])
    shown.trouble = "the Redis server does not answer"
    assert drawn(shown, height=30)[-1] == "the Redis server does not answer"


STATES = st.sampled_from(ActionStatus)


@example([(RUNNING, [PENDING] * 2)] * 3, 4)
@given(
    st.lists(st.tuples(STATES, st.lists(STATES, max_size=8)), min_size=1, max_size=8),
    st.integers(3, 40),
)
def test_whatever_the_plan_it_fits_and_nothing_of_it_is_uncounted(
    plan: list[tuple[ActionStatus, list[ActionStatus]]], lines: int
) -> None:
    stages = [stage(f"s{n}", actions, status) for n, (status, actions) in enumerate(plan)]
    found = fit(stages, lines)
    assert sum(one.lines for one in found.stages) + bool(found.rest) <= lines
    assert len(found.stages) + found.rest.total() == len(stages)
    for one in found.stages:
        hidden = len(one.stage.actions) - len(one.actions)
        assert one.rest.total() == hidden or (not one.actions and one.lines == 1)
