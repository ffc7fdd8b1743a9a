"""What an attempt hands in at its end, and what of that is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.definition import ActionDefinition
from gostage_core.errors import (
    DuplicateStageError,
    PlanConflictError,
    PlanError,
    PlanLimitError,
    RunExistsError,
    StageFinishedError,
)
from gostage_core.plan import undo_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core.authoring.waits import HookReport
    from gostage_core.entry import Entry
    from gostage_core.errors import GostageError
    from gostage_core.port import AttemptPort


def refuse_changes(port: AttemptPort) -> None:
    """Check that nothing is lost: an attempt that waits commits no change of the plan."""
    if port.context.additions:
        raise PlanError(
            f"{port.entry.name!r} waits for others now, and what changes the plan commits at its "
            f"end alone; conditions, and what wraps such an action, leave that to actions"
        )


def waits_already(name: str, signal: str) -> PlanError:
    """Return why what is around a composite cannot wait: it would be taken for a phase of that."""
    return PlanError(
        f"{name!r} waits by itself; no condition of it, and nothing around it, can wait for signal "
        f"{signal!r} too: put a WaitForSignal before it, and let a condition read what it stored"
    )


def undo_of(entry: Entry) -> str:
    """Return how the action is undone, should its run fail; empty where nothing is."""
    if entry.compensate is None:
        return ""
    return undo_text(entry, ActionDefinition.model_validate(entry.compensate))


def report_of(report: HookReport) -> tuple[str, ...]:
    """Return what a hook decided of its scope, as the scripts read it."""
    scratch = json.dumps({"entered": report.entered, "scratch": report.scratch})
    return report.verdict, scratch, report.by, report.reason


def _beyond_limit(port: AttemptPort, details: tuple[str, ...]) -> PlanLimitError:
    """Note in the journal that a guard rail refused what an attempt would do."""
    error = PlanLimitError(*details)
    port.refused(error)
    return error


REFUSALS: Final[dict[str, Callable[[AttemptPort, tuple[str, ...]], GostageError]]] = {
    "duplicate": lambda _, details: DuplicateStageError(details[0]),
    "finished": lambda port, details: StageFinishedError(
        port.context.additions.stage_called(details[0])
    ),
    "conflict": lambda port, details: PlanConflictError(port.claim.run_id, details[0]),
    "limit": _beyond_limit,
    "taken": lambda _, details: RunExistsError(details[0]),
}
"""What an answer of the server means that refuses what an attempt would do."""
