"""Draws a run as a tree of stages and actions, with states and times; long ones are folded."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from rich.text import Text
from rich.tree import Tree

from gostage_workers.cli.documents import readable_store
from gostage_workers.cli.plan_lines import (
    UNREMARKABLE,
    action_line,
    counts_text,
    headline,
    is_worth_a_look,
    stage_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.failure import Failure
    from gostage_core.result import RunResult, StageResult
    from gostage_core.status import ActionStatus
    from gostage_core.summary import RunSummary

LONGEST: Final = 40
"""A longer list of stages or actions is folded: counts, and those that are worth a look."""

_WORTH_A_LOOK: Final = 20
_STORE_KEYS: Final = 20
_VALUE_LENGTH: Final = 60


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
    tree = Tree(headline(summary, result), guide_style="dim")
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


def _add_stage(tree: Tree, stage: StageResult, summary: RunSummary, *, everything: bool) -> None:
    branch = tree.add(stage_line(stage, summary.ended_at))
    actions = stage.actions
    if not everything and len(actions) > LONGEST:
        actions = tuple(filter(is_worth_a_look, actions))[:_WORTH_A_LOOK]
    branches = {"": branch}
    for action in actions:
        above = branches.get(action.parent, branch)
        branches[action.entry] = above.add(action_line(action))
    if rest := _rest([one.status for one in stage.actions], [one.status for one in actions]):
        branch.add(_fold(rest, "actions", summary.run_id))


def _stages_worth_a_look(stages: Sequence[StageResult]) -> list[StageResult]:
    chosen = [
        stage
        for stage in stages
        if stage.status not in UNREMARKABLE or any(map(is_worth_a_look, stage.actions))
    ]
    return chosen[:_WORTH_A_LOOK]


def _rest(all_: list[ActionStatus], shown: list[ActionStatus]) -> Counter[ActionStatus]:
    return Counter(all_) - Counter(shown)


def _fold(rest: Counter[ActionStatus], noun: str, run_id: str) -> Text:
    told = f"… and {rest.total():,} {noun}: {counts_text(rest)}"
    return Text(told, "default").append(f"  (gostage runs show {run_id} --all)", "dim")


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
