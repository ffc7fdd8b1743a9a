"""Runs as plain data: what ``--json`` prints."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticSerializationError, to_jsonable_python

from gostage_core.authoring.secret_parameters import MASK
from gostage_core.errors import SealedValueError, StoreError, UnknownTypeError
from gostage_core.state.stored import SECRET_TAG

if TYPE_CHECKING:
    from gostage_core.journal import JournalEntry
    from gostage_core.result import ActionResult, RunResult, StageResult
    from gostage_core.summary import RunSummary

_LONGEST_BITS: Final = 2048
"""Python refuses to write longer integers in decimal, from 640 digits on if so configured."""


def run_document(summary: RunSummary, result: RunResult) -> dict[str, Any]:
    """Return a run with its stages, its actions and its store."""
    return {
        **summary_document(summary),
        "status": result.status.value,
        "duration": result.duration,
        "error": None if result.error is None else asdict(result.error),
        "bail_reason": result.bail_reason,
        "compensated": result.compensated,
        "uncompensated": list(result.uncompensated),
        "revision": result.plan.revision,
        "stages": [_stage_document(stage) for stage in result.stages.values()],
        "store": readable_store(result),
    }


def summary_document(summary: RunSummary) -> dict[str, Any]:
    """Return what lists show of a run."""
    return {**asdict(summary), "duration": summary.duration}


def entry_document(entry: JournalEntry, place: str) -> dict[str, Any]:
    """Return one entry of a run's history; *place* is the ``stage/action`` that it is about."""
    return {**asdict(entry), "place": place}


def readable_store(result: RunResult) -> dict[str, Any]:
    """Return the store; a text in angle brackets for each value that this process cannot read."""
    return {name: _readable(result, name) for name in result.store.keys()}  # noqa: SIM118 - no dict


def plain(value: Any) -> Any:
    """Return *value* as JSON has it: bytes as base64, spans in seconds, what JSON lacks as text."""
    tree = to_jsonable_python(value, bytes_mode="base64", timedelta_mode="float", fallback=str)
    return _within_json(tree)


def _readable(result: RunResult, name: str) -> Any:
    try:
        if SECRET_TAG in result.store.metadata(name).tags:
            return MASK
        return plain(result.store[name])
    except UnknownTypeError as error:
        return f"<{error.name}, which this process does not know>"
    except SealedValueError as error:
        return f"<encrypted with the key {error.key_id!r}, which is not here>"
    except (StoreError, PydanticSerializationError) as error:
        return f"<{error}>"


def _stage_document(stage: StageResult) -> dict[str, Any]:
    actions = [_action_document(action) for action in stage.actions]
    return {**asdict(stage), "duration": stage.duration, "actions": actions}


def _action_document(action: ActionResult) -> dict[str, Any]:
    return {**asdict(action), "path": action.path, "duration": action.duration}


def _within_json(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {str(name): _within_json(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_within_json(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return str(tree)
    if isinstance(tree, int) and tree.bit_length() > _LONGEST_BITS:
        return hex(tree)
    return tree
