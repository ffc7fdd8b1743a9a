"""Where in which run a message leads to, in words: ``pay/charge (attempt 1, phase 2)``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gostage_core.planning.tree import path_of

if TYPE_CHECKING:
    from gostage_core.state.operations import State
    from gostage_core.testing.engine.post import Hint


_PHASE: Final = 10
"""Where in a record it is."""


class Place(NamedTuple):
    """An attempt at an action."""

    path: str
    """Of the action; in a run below the first one with its workflow in front."""
    name: str
    """The path, and which attempt; and the phase of what has waited for something."""


def place_of(state: State, hint: Hint, root: str) -> Place:
    """Return where *hint* leads to, as its plan is now; *root* is the run that is not named."""
    client: Any = state.client
    plan = state.keys.of("plan", hint.run_id)
    spec, record = client.hmget(plan, f"s{hint.entry}", f"r{hint.entry}")
    path = path_of(json.loads(spec)) if spec else f"entry {hint.entry}"
    if hint.run_id != root:
        workflow = client.hget(state.keys.of("run", hint.run_id), "workflow")
        path = f"{(workflow or b'').decode()}: {path}"
    parts = (record or b"").decode().split("|")
    attempt, phase = (int(parts[1]) + 1, int(parts[_PHASE])) if record else (1, 0)
    after = f", phase {phase}" if phase else ""
    return Place(path, f"{path} (attempt {attempt}{after})")
