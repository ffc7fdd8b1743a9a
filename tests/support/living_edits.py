"""Random edits of a plan, as operators make them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gostage_core.authoring.action import definition_of
from gostage_core.plan import action_arguments, entry_texts, one_stage_arguments
from gostage_core.planning.settings import marks_of
from tests.support.living_plans import Do

if TYPE_CHECKING:
    from random import Random

    from tests.support.invariants import Snapshot
    from tests.support.living_plans import Maker


def some_edits(run: Snapshot, chance: Random, maker: Maker) -> list[object]:
    """Return one to three edits of a run, as the scripts read them."""
    edits = [_one(run, chance, maker) for _ in range(chance.randint(1, 3))]
    made = [edit for edit in edits if edit]
    return [len(made), *(part for edit in made for part in edit)]


def _one(run: Snapshot, chance: Random, maker: Maker) -> list[object]:
    stage = chance.choice([*run.stages, ""])
    action = chance.choice([*run.actions, ""])
    kind = chance.choice(["disable", "disable", "enable", "remove", "add", "add", "stage", "set"])
    do = definition_of(Do().options(name=maker.name("e")))
    if kind in ("disable", "enable", "remove"):
        target = action if chance.random() < 0.8 else stage
        return [kind, target] if target else []
    if kind == "set" and action:
        return ["set", action, *entry_texts(do, marks_of(json.loads(run.plan[f"s{action}"])))]
    if kind == "add" and stage:
        after = chance.choice(["", *run.members(stage)])
        state = chance.choice(["", "", "d"])
        return ["add", stage, after, *action_arguments([do], "s", ["5"], {}, [state])]
    if kind == "stage" and stage:
        definition = maker.stage(1).definition()
        state = chance.choice(["", "", "d"])
        return ["stage", stage, *one_stage_arguments(definition, state=state)]
    return []
