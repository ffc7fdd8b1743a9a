"""Follows a run on the terminal as a tree of its plan, drawn anew while it lasts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from gostage_core.errors import StoreUnavailableError
from gostage_core.status import ActionStatus
from gostage_workers.cli.fitting import Fitted, fit
from gostage_workers.cli.glance import Glance
from gostage_workers.cli.output import out
from gostage_workers.cli.plan_lines import (
    action_line,
    amount_done,
    counts_text,
    headline,
    stage_line,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from gostage_core.result import ActionResult, RunResult
    from gostage_core.run import Run
    from gostage_core.summary import RunSummary
    from gostage_workers.cli.fitting import ShownStage

_REDRAWS_A_SECOND: Final = 4
_AROUND: Final = 4
"""Lines above and below the tree, and the one that the cursor is in."""
_LEAST_LINES: Final = 3
_BAR: Final = 20
_LONG_BAR: Final = 40
_EXPECTED: Final = frozenset({ActionStatus.PENDING, ActionStatus.COMPLETED})
_IN_STAGES: Final = frozenset({ActionStatus.RUNNING, ActionStatus.WAITING})


def follow_tree(run: Run, hint: str) -> tuple[RunSummary, RunResult]:
    """Draw the plan of *run* until it has ended, and return how it stands then.

    Outlasts a restart of the server. *hint* is what to say where no worker takes the run.

    Raises:
        RunNotFoundError: no such run.
        StoreUnavailableError: the server does not answer at first.
    """
    glance, picture = Glance(run, hint), Picture(run.summary, run.result())
    with Live(picture, console=out, refresh_per_second=_REDRAWS_A_SECOND, transient=True):
        for _ in run.changes():
            try:
                result = glance.look()
                if result is None:
                    continue
                picture.show(run.summary, result)
            except StoreUnavailableError:
                picture.trouble = "the Redis server does not answer; waiting for it"
                continue
            if result.status.is_terminal:
                return run.summary, result
    raise AssertionError("a run's changes go on until it has ended")


class Picture:
    """A run as it stands, in as many lines as the terminal has.

    Attributes:
        trouble: what keeps the picture from being a new one.
    """

    def __init__(self, summary: RunSummary, result: RunResult) -> None:
        self.show(summary, result)

    def show(self, summary: RunSummary, result: RunResult) -> None:
        """Show how the run stands now."""
        # One assignment, for another thread draws.
        self._seen = _Seen(summary, result)
        self.trouble = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        seen = self._seen
        yield Line(headline(seen.summary, seen.result))
        yield _overview(seen.result.actions)
        yield _tree(seen.fitted(max(_LEAST_LINES, console.height - _AROUND)), seen.summary)
        if self.trouble:
            yield Line(Text(self.trouble, "red"))


class _Seen:
    """How a run stood, and what of it fits the screen: chosen once, and drawn many times."""

    def __init__(self, summary: RunSummary, result: RunResult) -> None:
        self.summary, self.result = summary, result
        self._fitted: tuple[int, Fitted] | None = None

    def fitted(self, lines: int) -> Fitted:
        """Return what fits into so many lines."""
        if self._fitted is None or self._fitted[0] != lines:
            self._fitted = lines, fit(list(self.result.stages.values()), lines)
        return self._fitted[1]


@dataclass(frozen=True)
class Line:
    """A text that is one line however narrow the terminal is, with a bar behind it perhaps."""

    text: Text
    done: float | None = None
    """How full the bar is, from 0 to 1; ``None`` for no bar."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the text, cut where it is too long, and the bar."""
        room = options.max_width - (0 if self.done is None else _BAR + 2)
        line = self.text.copy()
        line.truncate(max(1, room), overflow="ellipsis")
        if self.done is not None:
            line.append("  ").append(bar(self.done, _BAR))
        line.no_wrap = True
        yield line


def bar(done: float, width: int) -> Text:
    """Return a bar that is *done*, from 0 to 1."""
    full = round(min(1.0, max(0.0, done)) * width)
    return Text("━" * full, "cyan").append("─" * (width - full), "bright_black")


def _overview(actions: tuple[ActionResult, ...]) -> Text:
    done = sum(action.status.is_terminal for action in actions)
    others = Counter(action.status for action in actions if action.status not in _EXPECTED)
    line = bar(amount_done(actions) / max(1, len(actions)), _LONG_BAR)
    line.append(f"  {done:,}/{len(actions):,}  {counts_text(others)}", "default")
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _tree(fitted: Fitted, summary: RunSummary) -> Tree:
    tree = Tree("", guide_style="dim", hide_root=True)
    for shown in fitted.stages:
        _add_stage(tree, shown, summary)
    if fitted.rest:
        tree.add(_fold(fitted.rest, "stages"))
    return tree


def _add_stage(tree: Tree, shown: ShownStage, summary: RunSummary) -> None:
    stage = shown.stage
    line = stage_line(stage, summary.ended_at)
    share = amount_done(stage.actions) / max(1, len(stage.actions))
    branch = tree.add(Line(line, share if stage.status in _IN_STAGES else None))
    branches = {"": branch}
    for action in shown.actions:
        above = branches.get(action.parent, branch)
        runs = action.status is ActionStatus.RUNNING
        label = Line(action_line(action), action.progress if runs else None)
        branches[action.entry] = above.add(label)
    if shown.rest:
        branch.add(_fold(shown.rest, "actions"))


def _fold(rest: Counter[ActionStatus], noun: str) -> Line:
    return Line(Text(f"… {rest.total():,} {noun}: {counts_text(rest)}", "default"))
