"""What an attempt waits for, as the scripts read it."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from gostage_core.authoring.waits import ChildRun, Group, SignalWait, Timer
from gostage_core.plan import NewRun, group_arguments
from gostage_core.sealing.marks import Whole
from gostage_core.tracing.current import carrier

if TYPE_CHECKING:
    from gostage_core.authoring.waits import Wait
    from gostage_core.entry import Entry
    from gostage_core.settings import Settings
    from gostage_core.state.answers import Claim

_LONGEST_ID: Final = 150
"""Of a child run; a longer one, deep below its ancestors, is told by a digest."""


def waiting_arguments(wait: Wait, claim: Claim, entry: Entry, settings: Settings) -> list[object]:
    """Return what the entry of *claim* waits for, as the scripts read it."""
    if isinstance(wait, Group):
        return group_arguments(wait, entry, claim.entry)
    if isinstance(wait, ChildRun):
        return ["run", _first_child_id(claim), *_child(wait, claim, entry, settings).arguments()]
    if isinstance(wait, Timer):
        return ["timer", round(wait.seconds * 1000)]
    if isinstance(wait, SignalWait):
        why = Whole(wait.refusal[:2000].encode(), "reason")
        return ["signal", wait.which, wait.name, wait.type, _ms(wait.timeout), why]
    return ["delivery", wait.id, _ms(wait.timeout)]


def _ms(timeout: float | None) -> int:
    """Return a timeout as the scripts read it: 0 for none."""
    return 0 if timeout is None else max(1, round(timeout * 1000))


def _first_child_id(claim: Claim) -> str:
    """Return the id of the first child run of an entry; the next ones have a number behind it."""
    name = f"{claim.run_id}.{claim.entry}"
    if len(name) <= _LONGEST_ID:
        return name
    return f"{name[:100]}.{sha256(name.encode()).hexdigest()[:32]}"


def _child(wait: ChildRun, claim: Claim, entry: Entry, settings: Settings) -> NewRun:
    return NewRun(
        run_id=_first_child_id(claim),
        nonce=f"child of {claim.run_id} {claim.entry} {claim.token}",
        definition=wait.definition,
        details=json.dumps({"by": entry.path, "run": claim.run_id}),
        bounds=settings.bounds,
        parent=f"{claim.run_id} {claim.entry}",
        tags=tuple(sorted(wait.definition.tags)),
        trace=carrier(),
        values=wait.values,
    )
