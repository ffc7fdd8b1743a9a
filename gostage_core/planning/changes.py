"""What an attempt changes in its plan, as the arguments of its commit."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

from gostage_core.plan import Surroundings, added_action_arguments, check_plan_size
from gostage_core.planning.additions import definitions_of, lasting, states_of
from gostage_core.planning.edits import edit_arguments, edits_of, stage_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.authoring.definition import WorkflowDefinition
    from gostage_core.entry import Entry
    from gostage_core.planning.additions import Additions, Insertion

NOTHING_CHANGED: Final = (0,)


class Changing(Protocol):
    """What holds the changes of an attempt."""

    @property
    def additions(self) -> Additions:
        """What it changes."""


class Changer(Protocol):
    """An attempt that may have changed its plan."""

    @property
    def context(self) -> Changing:
        """Where its changes were collected."""

    @property
    def entry(self) -> Entry:
        """The entry that it is an attempt at."""

    @property
    def entry_id(self) -> str:
        """The same, by its id."""

    def workflow(self) -> WorkflowDefinition:
        """Return the definition of its workflow, without its stages."""


def change_arguments(port: Changer, limit: int) -> Sequence[object]:
    """Return what the attempt at *port* changes in its plan, as the scripts read it.

    Raises:
        ValueTooLargeError: it is more than *limit* bytes.
    """
    additions, entry = port.context.additions, port.entry
    if not additions:
        return NOTHING_CHANGED
    around = cache(lambda: _around(port))
    changes = [
        *_actions(additions, port),
        *_stages(additions, around),
        *_edits(additions, port, around),
    ]
    check_plan_size(f"what {entry.name!r} adds to the plan", changes, limit)
    details = json.dumps({"by": entry.path}, separators=(",", ":"))
    return [1, entry.order, details, *changes]


def _actions(additions: Additions, port: Changer) -> list[object]:
    """What comes right behind the adder: what it added so, and then what it inserted there."""
    added = list(additions.added)
    for one in reversed(additions.insertions):
        if one.after == port.entry_id:
            added += one.actions
    return added_action_arguments(definitions_of(added), port.entry, states_of(added))


def _stages(additions: Additions, around: Callable[[], Surroundings]) -> list[object]:
    stages = [one for one in lasting(additions.added_stages) if not one.behind]
    return [len(stages), *(part for one in stages for part in stage_parts(one, around()))]


def _edits(additions: Additions, port: Changer, around: Callable[[], Surroundings]) -> list[object]:
    entry = port.entry

    def is_behind_the_adder(one: Insertion) -> bool:
        return one.after == port.entry_id

    marks = {"depth": entry.depth + 1, "added_by": entry.path}
    return edit_arguments(edits_of(additions, around, marks=marks, aside=is_behind_the_adder))


def _around(port: Changer) -> Surroundings:
    definition = port.workflow()
    return Surroundings(
        middleware=definition.middleware,
        limited=definition.limits is not None,
        depth=port.entry.depth + 1,
        added_by=port.entry.path,
    )
