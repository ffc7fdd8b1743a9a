"""Writes changes of a plan as the edits that the scripts read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core.order import place
from gostage_core.plan import Surroundings, action_arguments, entry_texts, one_stage_arguments
from gostage_core.planning.additions import definitions_of, lasting, states_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gostage_core.planning.additions import Additions, Insertion, Mark, PendingStage, Setting

Edit = list[object]

# An entry that is disabled while its message is on its way makes room for the next one at once, and
# the last of a stage ends it: what is added to the stage must be there before.
_MARKS_IN_ORDER = ("enable", "disable", "remove")


def edit_arguments(edits: Iterable[Edit]) -> list[object]:
    """Return *edits* as the scripts read them: a count, then each."""
    every = list(edits)
    return [len(every), *(part for edit in every for part in edit)]


def edits_of(
    additions: Additions,
    around: Callable[[], Surroundings],
    *,
    marks: Mapping[str, Any],
    aside: Callable[[Insertion], bool] = lambda _: False,
) -> list[Edit]:
    """Return what *additions* change in a plan, in the order in which it is to be applied.

    Args:
        additions: what was collected; of its stages those that stand behind a named one.
        around: what a new stage takes from the workflow; asked for only where there is one.
        marks: what the plan is to keep of who adds.
        aside: which insertions go another way.
    """
    inserted = [one for one in additions.insertions if lasting(one.actions) and not aside(one)]
    behind = [one for one in lasting(additions.added_stages) if one.behind]
    return [
        *(_insertion(one, marks) for one in inserted),
        # Each comes right behind the same stage: the last of them first.
        *(_stage(one, around()) for one in reversed(behind)),
        *(_set(entry, one) for entry, one in additions.settings.items()),
        *(_mark(mark, entry) for mark, entry in _marks_in_order(additions)),
    ]


def stage_parts(stage: PendingStage, around: Surroundings) -> list[object]:
    """Return a new stage as the scripts read it."""
    return one_stage_arguments(
        stage.definition(),
        around,
        state="d" if stage.is_disabled else "",
        states=states_of(stage.actions),
    )


def _marks_in_order(additions: Additions) -> Iterator[tuple[Mark, str]]:
    for wanted in _MARKS_IN_ORDER:
        for entry, mark in additions.marks.items():
            if mark == wanted:
                yield mark, entry


def _mark(mark: Mark, entry: str) -> Edit:
    return [mark, entry]


def _insertion(one: Insertion, marks: Mapping[str, Any]) -> Edit:
    definitions = definitions_of(one.actions)
    places = [place(number, one.below) for number in range(1, len(definitions) + 1)]
    parts = action_arguments(
        definitions, one.stage_id, places, {**one.marks, **marks}, states_of(one.actions)
    )
    return ["add", one.stage, one.after, *parts]


def _stage(stage: PendingStage, around: Surroundings) -> Edit:
    return ["stage", stage.behind, *stage_parts(stage, around)]


def _set(entry: str, one: Setting) -> Edit:
    return ["set", entry, *entry_texts(one.definition, one.marks)]
