"""Chooses which stages and actions of a plan are shown where there are only so many lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gostage_core.status import ActionStatus
from gostage_workers.cli.plan_lines import UNREMARKABLE, is_worth_a_look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gostage_core.result import ActionResult, StageResult

_NOT_BEGUN: Final = frozenset({ActionStatus.PENDING})
_FAILED: Final = frozenset({ActionStatus.FAILED})
_RUNNING: Final = frozenset({ActionStatus.RUNNING})


@dataclass(frozen=True, slots=True)
class ShownStage:
    """A stage, and those of its actions that are shown, in plan order."""

    stage: StageResult
    actions: tuple[ActionResult, ...]

    @property
    def rest(self) -> Counter[ActionStatus]:
        """How its other actions stand; nothing where its own line says enough."""
        if not self.actions and self.stage.status in UNREMARKABLE:
            return Counter()
        shown = Counter(action.status for action in self.actions)
        return Counter(action.status for action in self.stage.actions) - shown

    @property
    def lines(self) -> int:
        """How many lines it takes."""
        return 1 + len(self.actions) + bool(self.rest)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is shown of a plan."""

    stages: tuple[ShownStage, ...]
    rest: Counter[ActionStatus]
    """How the stages stand that are not shown."""


def fit(stages: Sequence[StageResult], lines: int) -> Fitted:
    """Return what fits into so many *lines*: all of it, or what runs, what failed and what waits.

    Stages that have ended well are folded first, then those that have not begun, then the rest.
    """
    shown = tuple(ShownStage(stage, stage.actions) for stage in stages)
    for is_quiet in (_is_done, _has_not_begun):
        if _count(shown) <= lines:
            break
        shown = tuple(ShownStage(one.stage, ()) if is_quiet(one.stage) else one for one in shown)
    if _count(shown) <= lines:
        return Fitted(shown, Counter())
    return _most_wanted(stages, lines)


def _is_done(stage: StageResult) -> bool:
    return stage.status in UNREMARKABLE - _NOT_BEGUN and not any(
        action.status is ActionStatus.FAILED for action in stage.actions
    )


def _has_not_begun(stage: StageResult) -> bool:
    return stage.status in _NOT_BEGUN


def _is_quiet(stage: StageResult) -> bool:
    return _is_done(stage) or _has_not_begun(stage)


def _count(shown: Iterable[ShownStage]) -> int:
    return sum(one.lines for one in shown)


def _most_wanted(stages: Sequence[StageResult], lines: int) -> Fitted:
    chosen = _chosen_stages(stages, max(1, (lines - 1) // 2))
    rest = Counter(stage.status for stage in stages) - Counter(stage.status for stage in chosen)
    noisy = [stage for stage in chosen if not _is_quiet(stage)]
    room = lines - len(chosen) - len(noisy) - bool(rest)
    wanted = {one.entry for one in _chosen_actions(noisy, max(0, room))}
    shown = tuple(
        ShownStage(stage, tuple(one for one in stage.actions if one.entry in wanted))
        for stage in chosen
    )
    return Fitted(shown, rest)


def _chosen_stages(stages: Sequence[StageResult], most: int) -> Sequence[StageResult]:
    """Choose the stages in which something happens, and what is around them."""
    if len(stages) <= most:
        return stages
    noisy = [n for n, stage in enumerate(stages) if not _is_quiet(stage)][:most]
    center = noisy or [sum(map(_is_done, stages))]
    nearest = sorted(range(len(stages)), key=lambda n: min(abs(n - one) for one in center))
    return [stages[n] for n in sorted(nearest[:most])]


def _chosen_actions(stages: Sequence[StageResult], most: int) -> list[ActionResult]:
    """Choose what failed last, what runs, and what else is worth a look; half for the first."""
    actions = [action for stage in stages for action in stage.actions if is_worth_a_look(action)]
    failed = sorted(_those(actions, _FAILED.__contains__), key=_ended_at, reverse=True)
    running = _those(actions, _RUNNING.__contains__)
    others = _those(actions, lambda status: status not in _FAILED | _RUNNING)
    others.sort(key=lambda action: action.status in UNREMARKABLE)
    part = max(most // 2, most - len(running) - len(others))
    first = failed[:part]
    return [*first, *[*running, *others][: most - len(first)]]


def _those(
    actions: Iterable[ActionResult], wanted: Callable[[ActionStatus], bool]
) -> list[ActionResult]:
    return [action for action in actions if wanted(action.status)]


def _ended_at(action: ActionResult) -> float:
    return 0.0 if action.ended_at is None else action.ended_at.timestamp()
