"""Ids of runs: new ones, and those that somebody chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.errors import InvalidWorkflowError
from gostage_core.state.keys import RUN_ID

if TYPE_CHECKING:
    from gostage_core.machine import Machine


def new_run_id(machine: Machine) -> str:
    """Return an id that no other run has; it begins with the time, and sorts by it."""
    return f"{machine.now():%y%m%d-%H%M%S}-{machine.token(6)}"


def checked_run_id(run_id: str) -> str:
    """Return *run_id*, if a run may be called so.

    Raises:
        InvalidWorkflowError: it may not.
    """
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise InvalidWorkflowError(f"run_id {run_id!r:.100} is not 1 to 200 of A-Z a-z 0-9 _ . : -")
    return run_id
