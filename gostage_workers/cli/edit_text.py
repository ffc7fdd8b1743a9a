"""The pending part of a plan as YAML that somebody edits, and what was changed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from gostage_core.authoring.registry import registry
from gostage_core.authoring.workflow import Workflow
from gostage_core.status import ActionStatus
from gostage_workers.cli.statuses import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.authoring.action import Action
    from gostage_core.planning.action_selection import ActionSelection
    from gostage_core.planning.items import ActionItem, StageItem
    from gostage_core.planning.plan_edit import PlanEdit

_HEAD: Final = """\
# What is still to come in run {run}, at revision {revision} of its plan.
# Delete an entry to remove it; set disabled: true to skip it, or false to take that back; change
# its params. Add an action, {{action: ID, params: {{...}}}}, behind another one, or a stage at the
# end. Leave the entry: numbers and the order as they are. An empty file changes nothing.
"""

Document = dict[str, Any]


def text_of(plan: PlanEdit) -> str:
    """Return what is pending in *plan* as text for an editor."""
    stages = [_stage(plan, stage) for stage in _open_stages(plan)]
    body = yaml.safe_dump({"stages": stages}, sort_keys=False, allow_unicode=True)
    return _HEAD.format(run=plan.run_id, revision=plan.revision) + body


def change_by_text(plan: PlanEdit, text: str) -> None:
    """Change *plan* as the edited *text* says.

    Raises:
        InputError: it is not YAML of this form, or names what is not there.
        GostageError: what it asks for is not possible.
    """
    document = _read(text)
    if document is None:
        return
    known = {stage.entry: stage for stage in _open_stages(plan)}
    wanted = _entries(document.get("stages"), "stages", list(known))
    for entry, stage in known.items():
        if entry in wanted:
            _change_stage(plan, stage, wanted[entry])
        else:
            plan.stages[stage.id].remove()
    for new in _new(document["stages"]):
        plan.insert_stage(
            Workflow.from_dict({"id": "edit", "stages": [new]}).definition().stages[0]
        )


def _open_stages(plan: PlanEdit) -> list[StageItem]:
    return [
        stage
        for stage in plan.overlay.stages
        if not stage.is_over and (not stage.has_begun or _open_actions(plan, stage))
    ]


def _open_actions(plan: PlanEdit, stage: StageItem) -> list[ActionItem]:
    return [item for item in plan.overlay.actions_of(stage) if item.can_change]


def _stage(plan: PlanEdit, stage: StageItem) -> Document:
    told: Document = {"entry": stage.entry, "id": stage.id}
    if not stage.has_begun:
        told["disabled"] = stage.status is ActionStatus.SKIPPED
    told["actions"] = [_action(item) for item in _open_actions(plan, stage)]
    return told


def _action(item: ActionItem) -> Document:
    return {
        "entry": item.entry,
        "name": item.name,
        "action": item.id,
        "disabled": item.status is ActionStatus.SKIPPED,
        "params": dict(item.params),
    }


def _change_stage(plan: PlanEdit, stage: StageItem, wanted: Document) -> None:
    _switch(plan.stages[stage.id], is_off=stage.status is ActionStatus.SKIPPED, wanted=wanted)
    items = {item.entry: item for item in _open_actions(plan, stage)}
    place = f"stage {stage.id!r}"
    told = wanted.get("actions") or []
    kept = _entries(told, place, list(items))
    for entry, item in items.items():
        chosen = _numbered(plan, entry)
        if entry not in kept:
            chosen.remove()
            continue
        _switch(chosen, is_off=item.status is ActionStatus.SKIPPED, wanted=kept[entry])
        params = kept[entry].get("params") or {}
        if params != dict(item.params):
            chosen.set(**params)
    _add_new(plan, stage, told, items)


def _add_new(
    plan: PlanEdit, stage: StageItem, told: list[Document], items: dict[str, ActionItem]
) -> None:
    """Add what has no number, in its order, behind what stands before it."""
    after: str | None = None
    ahead: list[Action] = []
    for one in [*told, {"entry": None}]:
        if "entry" not in one:
            if after is None and items:
                raise InputError(
                    f"stage {stage.id!r}: a new action comes behind one that is there, not first"
                )
            name, params = str(one.get("action")), one.get("params") or {}
            ahead.append(registry.build(name, params, where=f"stage {stage.id!r}"))
            continue
        if ahead:
            plan.stages[stage.id].add(*ahead, after=after)
            ahead = []
        after = items[str(one["entry"])].name if one["entry"] is not None else None


def _numbered(plan: PlanEdit, entry: str) -> ActionSelection:
    return plan.actions.filter(where=lambda one: one.entry == entry)


def _switch(chosen: Any, *, is_off: bool, wanted: Document) -> None:
    asked = wanted.get("disabled", is_off)
    if asked and not is_off:
        chosen.disable()
    elif is_off and not asked:
        chosen.enable()


def _read(text: str) -> Document | None:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}") from None
    if document is None:
        return None
    if not isinstance(document, dict) or not isinstance(document.get("stages"), list):
        raise InputError("the text is to be a list of stages under the word stages:")
    return document


def _entries(told: object, place: str, known: list[str]) -> dict[str, Document]:
    """Return what has a number, by it; the numbers and their order are as they were."""
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise InputError(f"{place}: a list of entries is wanted")
    kept = {str(one["entry"]): one for one in told if "entry" in one}
    for entry in kept:
        if entry not in known:
            raise InputError(f"{place}: entry {entry} is not among what is still to come")
    if list(kept) != [entry for entry in known if entry in kept]:
        raise InputError(f"{place}: the order of entries cannot be changed; remove and add instead")
    return kept


def _new(told: Any) -> Iterator[Document]:
    return (one for one in told if "entry" not in one)
