"""Draws a run as a tree of stages and actions, with states and times; long ones are folded."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from rich.text import Text
from rich.tree import Tree

from gostage_core.status import ActionStatus
from gostage_workers.cli.documents import readable_store
from gostage_workers.cli.output import elapsed, status_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from gostage_core.failure import Failure
    from gostage_core.result import ActionResult, RunResult, StageResult
    from gostage_core.summary import RunSummary

LONGEST: Final = 40
"""A longer list of stages or actions is folded: counts, and those that are worth a look."""

_WORTH_A_LOOK: Final = 20
_STORE_KEYS: Final = 20
_VALUE_LENGTH: Final = 60

_MARKS: Final = {
    ActionStatus.PENDING: ("·", "dim"),
    ActionStatus.RUNNING: ("▶", "cyan"),
    ActionStatus.SLEEPING: ("z", "blue"),
    ActionStatus.WAITING: ("?", "blue"),
    ActionStatus.COMPLETED: ("✓", "green"),
    ActionStatus.FAILED: ("✗", "red"),
    ActionStatus.SKIPPED: ("-", "dim"),
    ActionStatus.REMOVED: ("x", "dim"),
    ActionStatus.CANCELLED: ("⊘", "yellow"),
}
_SPEAK_FOR_THEMSELVES: Final = frozenset({ActionStatus.PENDING, ActionStatus.COMPLETED})
_UNREMARKABLE: Final = _SPEAK_FOR_THEMSELVES | {
    ActionStatus.SKIPPED, ActionStatus.REMOVED, ActionStatus.CANCELLED,
}  # fmt: skip


def run_tree(
    summary: RunSummary, result: RunResult, *, everything: bool, traceback: bool = False
) -> Tree:
    """Return a run as a tree.

    Args:
        summary: what the run is called, and when it began.
        result: how it stands.
        everything: every stage, every action and every key of the store in full.
        traceback: of the error, too.
    """
    tree = Tree(_headline(summary, result), guide_style="dim")
    stages = list(result.stages.values())
    shown = stages if everything or len(stages) <= LONGEST else _stages_worth_a_look(stages)
    for stage in shown:
        _add_stage(tree, stage, summary, everything=everything)
    if rest := _rest([stage.status for stage in stages], [stage.status for stage in shown]):
        tree.add(_fold(rest, "stages", result.run_id))
    _add_store(tree, result, everything=everything)
    if result.error is not None:
        tree.add(_error_lines(result.error, traceback=traceback))
    if result.bail_reason:
        tree.add(Text(f"bailed: {result.bail_reason}", "yellow"))
    if result.compensated is not None:
        tree.add(_undone(result))
    return tree


def _undone(result: RunResult) -> Text:
    """Say whether what the run had done is undone, and what is left."""
    if result.compensated:
        return Text("compensated: what it had done is undone", "yellow")
    left = ", ".join(result.uncompensated) or "nothing of it was begun"
    return Text(f"not compensated; left to undo: {left}", "red")


def worker_name(process: str) -> str:
    """Return the name of the worker that *process*, as the plan names it, belongs to."""
    return process.partition("/")[0].rsplit(".", 2)[0]


def worker_pid(process: str) -> int:
    """Return the number of *process*, as the plan names it."""
    return int(process.partition("/")[0].rpartition(".")[2])


def first_line(text: str) -> str:
    """Return the first line of *text*, and whether there are more."""
    first, newline, _ = text.strip().partition("\n")
    return f"{first} …" if newline else first


def _headline(summary: RunSummary, result: RunResult) -> Text:
    line = Text(summary.name, "bold").append(f"  {result.run_id}  ", "default")
    line.append(status_text(result.status))
    _append_time(line, summary.began_at, summary.ended_at)
    return line


def _add_stage(tree: Tree, stage: StageResult, summary: RunSummary, *, everything: bool) -> None:
    branch = tree.add(_stage_line(stage, summary.ended_at))
    actions = stage.actions
    if not everything and len(actions) > LONGEST:
        actions = tuple(filter(_is_worth_a_look, actions))[:_WORTH_A_LOOK]
    branches = {"": branch}
    for action in actions:
        above = branches.get(action.parent, branch)
        branches[action.entry] = above.add(_action_line(action))
    if rest := _rest([one.status for one in stage.actions], [one.status for one in actions]):
        branch.add(_fold(rest, "actions", summary.run_id))


def _stage_line(stage: StageResult, run_ended_at: datetime | None) -> Text:
    mark, style = _MARKS[stage.status]
    line = Text(f"{mark} ", style).append(stage.name, "bold")
    done = sum(action.status.is_terminal for action in stage.actions)
    line.append(f"  {done:,}/{len(stage.actions):,}", "default")
    _append_time(line, stage.began_at, stage.ended_at or run_ended_at)
    _append_state(line, stage.status)
    if stage.parallel:
        line.append("  parallel", "dim")
    if stage.added:
        line.append("  added", "magenta")
    if stage.error is not None and all(action.error is None for action in stage.actions):
        line.append(f"  {stage.error.type}: {first_line(stage.error.message)}", "red")
    return line


def _action_line(action: ActionResult) -> Text:
    mark, style = _MARKS[action.status]
    line = Text(f"{mark} ", style).append(_label(action), "default")
    _append_time(line, action.began_at, action.ended_at)
    _append_state(line, action.status)
    if action.status is ActionStatus.RUNNING:
        line.append(f" on {worker_name(action.worker)}", "cyan")
        if action.progress is not None:
            line.append(f"  {action.progress:.0%} {action.message}".rstrip(), "cyan")
    if action.attempt > 1:
        line.append(f"  attempt {action.attempt}", "yellow")
    if action.added_by:
        line.append(f"  added by {action.added_by}", "magenta")
    if action.handled_by:
        line.append(f"  handled by {action.handled_by}", "yellow")
    if action.error is not None and action.status is not ActionStatus.COMPLETED:
        line.append(f"  {action.error.type}: {first_line(action.error.message)}", "red")
    return line


def _label(action: ActionResult) -> str:
    """Return the name, with what it is nested in: ``pack[3]/wrap``."""
    within = action.within.rpartition("/")[2]
    return f"{within}/{action.name}" if within else action.name


def _append_time(line: Text, began: datetime | None, ended: datetime | None) -> None:
    if time := elapsed(began, ended):
        line.append(f"  {time}", "dim")


def _append_state(line: Text, status: ActionStatus) -> None:
    if status not in _SPEAK_FOR_THEMSELVES:
        line.append(f"  {status.value}", _MARKS[status][1])


def _is_worth_a_look(action: ActionResult) -> bool:
    return action.status not in _UNREMARKABLE or action.attempt > 1


def _stages_worth_a_look(stages: Sequence[StageResult]) -> list[StageResult]:
    chosen = [
        stage
        for stage in stages
        if stage.status not in _UNREMARKABLE or any(map(_is_worth_a_look, stage.actions))
    ]
    return chosen[:_WORTH_A_LOOK]


def _rest(all_: list[ActionStatus], shown: list[ActionStatus]) -> Counter[ActionStatus]:
    return Counter(all_) - Counter(shown)


def _fold(rest: Counter[ActionStatus], noun: str, run_id: str) -> Text:
    counts = ", ".join(
        f"{rest[status]:,} {status.value}" for status in ActionStatus if rest[status]
    )
    return Text(f"… and {rest.total():,} {noun}: {counts}", "default").append(
        f"  (gostage runs show {run_id} --all)", "dim"
    )


def _add_store(tree: Tree, result: RunResult, *, everything: bool) -> None:
    values = readable_store(result)
    if not values:
        return
    branch = tree.add(Text("store", "bold"))
    shown = list(values) if everything else list(values)[:_STORE_KEYS]
    for name in shown:
        text = json.dumps(values[name], ensure_ascii=False)
        line = text if everything else _shortened(text)
        branch.add(Text(name, "default").append(" = ", "dim").append(line, "default"))
    if len(values) > len(shown):
        rest = f"… and {len(values) - len(shown):,} keys"
        branch.add(Text(rest).append(f"  (gostage runs show {result.run_id} --all)", "dim"))


def _shortened(text: str) -> str:
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"


def _error_lines(error: Failure, *, traceback: bool) -> Text:
    lines = [str(error), *(f"caused by {cause}" for cause in _causes(error))]
    text = Text("\n".join(lines), "red")
    if traceback and error.traceback:
        text.append(f"\n{error.traceback.rstrip()}", "dim")
    return text


def _causes(error: Failure) -> Iterator[Failure]:
    cause = error.cause
    while cause is not None:
        yield cause
        cause = cause.cause
