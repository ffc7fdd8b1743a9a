"""The pending part of a plan as YAML that somebody edits, and what was changed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from gostage_core.authoring.options import OPTION_NAMES, ActionOptions
from gostage_core.authoring.secret_parameters import masked, restored
from gostage_core.authoring.workflow import Workflow
from gostage_core.authoring.yaml_document import parse_yaml
from gostage_core.errors import DefinitionError
from gostage_workers.cli.statuses import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gostage_core.authoring.definition import StageDefinition
    from gostage_core.planning.items import ActionItem, StageItem
    from gostage_core.planning.plan_edit import PlanEdit

_HEAD: Final = """\
# What is still to come in run {run}, at revision {revision} of its plan.
# Delete an entry to remove it. Set disabled: true to skip it, or false to take that back. Change
# its params and options. Add an action, {{action: ID, params: {{...}}}}, behind one that is there,
# or a stage, {{id: ID, actions: [...]}}, behind a stage. Leave numbers, names and the order as they
# are. An empty file changes nothing.
"""

Document = dict[str, Any]


def text_of(plan: PlanEdit) -> str:
    """Return what is pending in *plan* as text for an editor."""
    stages = [_stage(plan, stage) for stage in _open_stages(plan)]
    body = yaml.safe_dump({"stages": stages}, sort_keys=False, allow_unicode=True, width=100)
    return _HEAD.format(run=plan.run_id, revision=plan.revision) + body


def change_by_text(plan: PlanEdit, text: str) -> None:
    """Change *plan* as the edited *text* says.

    Raises:
        InputError: it is not of this form, or changes what cannot be changed.
        GostageError: what it asks for is not possible.
    """
    told = _read(text)
    if told is None:
        return
    stages = {stage.entry: stage for stage in _open_stages(plan)}
    kept = _numbered(told, "stages", stages)
    for entry, stage in stages.items():
        if entry in kept:
            _change_stage(plan, stage, kept[entry])
        elif stage.has_begun:
            raise InputError(f"stage {stage.id!r} has begun; it cannot be removed any more")
        else:
            stage.change("remove")
    ahead = ""
    for one in told:
        if "entry" in one:
            ahead = stages[str(one["entry"])].id
        elif not ahead:
            raise InputError("a new stage comes behind one that is there, not first")
        else:
            plan.insert_stage(_definition(one, "a new stage"), after=ahead)
            ahead = one["id"]


def _open_stages(plan: PlanEdit) -> list[StageItem]:
    return [stage for stage in plan.overlay.stages if not stage.is_over and not stage.has_passed]


def _open_actions(plan: PlanEdit, stage: StageItem) -> list[ActionItem]:
    return [item for item in plan.overlay.actions_of(stage) if item.can_change]


def _stage(plan: PlanEdit, stage: StageItem) -> Document:
    return {
        "entry": int(stage.entry),
        "id": stage.id,
        **_disabled(stage),
        "actions": [_action(item) for item in _open_actions(plan, stage)],
    }


def _action(item: ActionItem) -> Document:
    definition = _fields(item)
    definition["params"] = masked(definition.get("params", {}))
    if item.level:
        definition = {"of": item.path.rpartition("/")[0], **definition}
    return {"entry": int(item.entry), **_disabled(item), **definition}


def _fields(item: ActionItem) -> Document:
    return {
        "name": item.name,
        **item.definition.model_dump(mode="json", exclude_defaults=True, exclude={"name"}),
    }


def _disabled(one: ActionItem | StageItem) -> Document:
    return {"disabled": True} if one.is_disabled else {}


def _change_stage(plan: PlanEdit, stage: StageItem, wanted: Document) -> None:
    place = f"stage {stage.id!r}"
    _refuse_other(wanted, _stage(plan, stage), {"disabled", "actions"}, place)
    _switch(stage, wanted, place)
    items = {item.entry: item for item in _open_actions(plan, stage)}
    told = wanted.get("actions") or []
    kept = _numbered(told, place, items)
    for entry, item in items.items():
        if entry in kept:
            _change_action(plan, item, kept[entry])
        else:
            item.change("remove")
    _add_new(plan, stage, told, items)


def _change_action(plan: PlanEdit, item: ActionItem, wanted: Document) -> None:
    place, present = f"{item.path} #{item.entry}", _action(item)
    changeable = {"disabled", "params", *OPTION_NAMES} - {"name"}
    _refuse_other(wanted, present, changeable, place)
    _switch(item, wanted, place)
    params = wanted.get("params") or {}
    if not isinstance(params, dict):
        raise InputError(f"{place}: params is an object, name by name")
    if params != present["params"]:
        plan.overlay.replace_parameters([item], restored(params, item.definition.params))
    options = {
        name: wanted.get(name, ActionOptions.model_fields[name].get_default())
        for name in OPTION_NAMES
        if wanted.get(name) != present.get(name)
    }
    if options:
        plan.overlay.set_options([item], options)


def _switch(one: ActionItem | StageItem, wanted: Document, place: str) -> None:
    asked = wanted.get("disabled", False)
    if not isinstance(asked, bool):
        raise InputError(f"{place}: disabled is true or false, not {asked!r}")
    if asked != one.is_disabled and not one.change("disable" if asked else "enable"):
        raise InputError(f"{place} has begun; it cannot be disabled any more")


def _refuse_other(
    wanted: Document, present: Document, changeable: Iterable[str], place: str
) -> None:
    """Refuse what would have no effect, rather than pass over it in silence."""
    for name in {**wanted, **present}.keys() - set(changeable) - {"entry"}:
        if wanted.get(name) != present.get(name):
            raise InputError(f"{place}: {name} cannot be changed; remove it and add another one")


def _add_new(
    plan: PlanEdit, stage: StageItem, told: list[Document], items: Mapping[str, ActionItem]
) -> None:
    """Add what has no number, in its order, behind what stands ahead of it."""
    for ahead, new in reversed(list(_new_groups(told))):
        target = items[ahead] if ahead else _last_begun(plan, stage, items)
        place = f"stage {stage.id!r}, what is new"
        definition = _definition({"id": stage.id, "actions": new}, place)
        if target is not None and target.level:
            raise InputError(f"{target.path}: nothing can be added into what an action owns")
        plan.overlay.insert_behind(stage, definition.actions, target)


def _new_groups(told: list[Document]) -> Iterator[tuple[str, list[Document]]]:
    """Yield what is new, together with the number ahead of it; none where it stands first."""
    ahead, new = "", list[Document]()
    for one in told:
        if "entry" not in one:
            new.append(one)
            continue
        if new:
            yield ahead, new
        ahead, new = str(one["entry"]), []
    if new:
        yield ahead, new


def _last_begun(
    plan: PlanEdit, stage: StageItem, items: Mapping[str, ActionItem]
) -> ActionItem | None:
    """Return the action behind which what stands first comes: the one that runs now."""
    begun = [item for item in plan.overlay.actions_of(stage) if item.entry not in items]
    direct = [item for item in begun if not item.level]
    if not items:
        return None
    if not direct or plan.overlay.has_passed(stage, direct[-1]):
        raise InputError(
            f"stage {stage.id!r}: a new action comes behind one that is there, not first"
        )
    return direct[-1]


def _read(text: str) -> list[Document] | None:
    document, _ = parse_yaml(text, "the plan")
    if document is None:
        return None
    if not isinstance(document, dict) or document.keys() != {"stages"}:
        raise InputError("the text is a list of stages under the word stages:, and nothing else")
    return _objects(document["stages"], "stages")


def _objects(told: object, place: str) -> list[Document]:
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise InputError(f"{place}: a list of stages or of actions is wanted")
    return told


def _numbered(told: object, place: str, known: Mapping[str, object]) -> dict[str, Document]:
    """Return what has a number, by it; the numbers and their order are as they were."""
    numbers = [one for one in _objects(told, place) if "entry" in one]
    kept = {str(one["entry"]): one for one in numbers}
    for entry in kept:
        if entry not in known:
            raise InputError(f"{place}: entry {entry} is not among what is still to come")
    if len(numbers) != len(kept):
        raise InputError(f"{place}: an entry stands there twice; leave entry: out of what is new")
    if list(kept) != [entry for entry in known if entry in kept]:
        raise InputError(f"{place}: the order of entries cannot be changed; remove and add instead")
    return kept


def _definition(document: Document, place: str) -> StageDefinition:
    """Return the stage that *document* describes, checked as in a workflow's file."""
    try:
        return Workflow.from_dict({"id": "edit", "stages": [document]}).definition().stages[0]
    except DefinitionError as error:
        text = str(error).replace("stages[0].", "")
        raise InputError(f"{place}: {text}") from None
