"""What must hold of what a run undoes, read straight out of Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.invariants import Snapshot


def check_undoing(run: Snapshot) -> None:
    """Check that what completed is undone in the opposite order, and that the run says so."""
    if "undoing" not in run.header:
        return
    where = f"run {run.run_id}"
    undo = [n for n in run.members(run.header["undoing"]) if "undoes" in _spec(run, n)]
    done = _completed(run)
    if done is not None:
        assert [_spec(run, n)["undoes"] for n in undo] == done[::-1], f"{where} undoes {done}"
    is_undone = all(run.state_of(n) == "c" for n in undo)
    if run.is_terminal:
        assert run.header["status"] == run.header["verdict"], where
        assert run.header["compensated"] == "0" or is_undone, f"{where} is not all undone"
    else:
        assert "compensated" not in run.header, f"{where} goes on"


def _completed(run: Snapshot) -> list[str] | None:
    """The paths of what was to be undone, as it completed; nothing where it is not all known."""
    kinds = [entry[1] for entry in run.journal]
    before = run.journal[: kinds.index("run.compensating")]
    entries = [str(n) for _at, kind, n, *_ in before if kind == "action.completed"]
    if not all(f"s{n}" in run.plan for n in entries):
        return None  # an earlier pass of something that repeats
    return [_path(_spec(run, n)) for n in entries if "compensate" in _spec(run, n)]


def _path(spec: dict[str, Any]) -> str:
    return "/".join(filter(None, (spec["stage"], spec.get("in", ""), spec["name"])))


def _spec(run: Snapshot, n: str) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(run.plan[f"s{n}"])
    return spec
