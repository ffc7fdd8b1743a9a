"""Documents that describe a workflow, checked against the actions that this process knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from gostage_core.authoring.action import definition_of, with_options
from gostage_core.authoring.definition import (
    ActionDefinition,
    Addition,
    Limits,
    MiddlewareUse,
    StageDefinition,
    WorkflowDefinition,
    check_counts,
)
from gostage_core.authoring.json_tree import (
    DEEPEST_DOCUMENT,
    MOST_BYTES,
    check_depth,
    expanded_size,
    fault_of,
)
from gostage_core.authoring.middleware import middlewares, use_of
from gostage_core.authoring.options import OPTION_NAMES
from gostage_core.authoring.problems import listing, problem_lines, step
from gostage_core.authoring.registry import registry
from gostage_core.authoring.retry import Retry
from gostage_core.authoring.settling import settled
from gostage_core.authoring.throttle import Throttle
from gostage_core.errors import (
    DefinitionError,
    DuplicateStageError,
    InvalidActionError,
    InvalidWorkflowError,
    StoreError,
    UnknownActionError,
)
from gostage_core.values.codec import from_tree, to_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.authoring.action import Action
    from gostage_core.authoring.registry import ModelRegistry

ModelT = TypeVar("ModelT", bound=BaseModel)

Place = str
"""Where something stands in a document: ``stages[1].actions[0]``."""

Uses = tuple[MiddlewareUse, ...]

Object = dict[str, Any]
"""An object of a document that may be wrong in any way."""

_OPTION: Final = re.compile(r"\w+: option (\w+)")

_KNOWN: Final = {
    "": WorkflowDefinition.model_fields.keys(),
    "stages": StageDefinition.model_fields.keys(),
    "actions": ActionDefinition.model_fields.keys(),
    "retry": Retry.model_fields.keys(),
    "throttle": Throttle.model_fields.keys(),
    "compensate": ActionDefinition.model_fields.keys(),
    "middleware": MiddlewareUse.model_fields.keys(),
    "limits": Limits.model_fields.keys(),
    "may_add": Addition.model_fields.keys(),
}


class Checked(NamedTuple):
    """A document that passed: its definition, and the bound actions of each stage."""

    definition: WorkflowDefinition
    actions: list[list[Action]]


def parse_json(text: str | bytes) -> object:
    """Return what *text* holds.

    Raises:
        InvalidWorkflowError: it is not JSON, or too long.
    """
    if not isinstance(text, str | bytes):
        raise InvalidWorkflowError(f"JSON is text, not {type(text).__name__}")
    try:
        data = text.encode() if isinstance(text, str) else text
        if len(data) > MOST_BYTES:
            raise _too_long()
        return from_json(data.removeprefix(b"\xef\xbb\xbf"), allow_inf_nan=False)
    except ValueError as error:
        complaint = str(error).replace("recursion limit exceeded", "nested too deeply")
        raise InvalidWorkflowError(f"not JSON: {complaint}") from error


def check_document(document: object) -> Checked:
    """Return *document*, which is made of JSON values, as a definition and bound actions.

    An error's message has every problem that was found, on a line that begins with its place.

    Raises:
        InvalidWorkflowError: it is not a workflow, or has problems of several kinds.
        InvalidActionError: parameters that their actions do not take.
        UnknownActionError: actions that nothing registered here.
        DuplicateStageError: a stage id that is there twice.
    """
    top = _bounded(document)
    stages = list(_objects(top.get("stages"), "stages"))
    entries = [list(_objects(stage.get("actions"), f"{at}.actions")) for at, stage in stages]
    check_counts(len(stages), sum(map(len, entries)))
    faults: list[DefinitionError] = []
    if top.get("stages") in ([], ()):
        faults.append(InvalidWorkflowError("stages: the workflow has no stages"))
    definition = _structure(top, faults)
    _note_repeats(stages, faults)
    bound = [[_action(*entry, faults) for entry in stage] for stage in entries]
    around = [_middleware(at, holder, faults) for at, holder in [("", top), *stages]]
    trees = [_initial(at, stage, faults) for at, stage in stages]
    if definition is None or faults:
        raise _joined(faults)
    return Checked(_normal(definition, trees, around), _with_options(bound, definition))


def unwritable(actions: Sequence[Sequence[Action]]) -> InvalidActionError:
    """Return the error for *actions*, by stage, of which some cannot be written as they are."""
    lines: list[str] = []
    for i, stage in enumerate(actions):
        for j, action in enumerate(stage):
            try:
                definition_of(action)
            except InvalidActionError as error:
                option = _OPTION.match(str(error))
                place = f"stages[{i}].actions[{j}].{option[1] if option else 'params'}"
                lines += str(_below(place, error)).splitlines()
    return InvalidActionError(listing(lines))


def _bounded(document: object) -> Object:
    if not isinstance(document, dict):
        raise InvalidWorkflowError(
            f"a workflow is an object with an id and stages, not {type(document).__name__}"
        )
    try:
        check_depth(document, DEEPEST_DOCUMENT)
    except ValueError as error:
        raise InvalidWorkflowError(f"not a workflow: {error}") from None
    if expanded_size(document) > MOST_BYTES:
        raise _too_long()
    # Editors are told by this name which schema a file follows.
    return {name: value for name, value in document.items() if name != "$schema"}


def _too_long() -> InvalidWorkflowError:
    return InvalidWorkflowError(
        f"the workflow is longer than the limit of {MOST_BYTES:,} bytes of JSON; "
        f"keep large data elsewhere and pass a reference"
    )


def _objects(value: object, place: Place) -> Iterator[tuple[Place, Object]]:
    """Yield the objects of a list with their places; what is of another form is told elsewhere."""
    for index, one in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(one, dict):
            yield f"{place}[{index}]", one


def _structure(top: Object, faults: list[DefinitionError]) -> WorkflowDefinition | None:
    try:
        return WorkflowDefinition.model_validate(top)
    except ValidationError as error:
        faults += [InvalidWorkflowError(line) for line in problem_lines(error, known=_KNOWN)]
        return None


def _note_repeats(stages: Sequence[tuple[Place, Object]], faults: list[DefinitionError]) -> None:
    seen = set()
    for place, stage in stages:
        stage_id = stage.get("id")
        if isinstance(stage_id, str) and stage_id in seen:
            faults.append(DuplicateStageError(stage_id, f"{place}.id"))
        elif isinstance(stage_id, str):
            seen.add(stage_id)


def _built(
    things: ModelRegistry[ModelT],
    name: str,
    place: Place,
    entry: Object,
    faults: list[DefinitionError],
) -> ModelT | None:
    """Return what *entry* describes: the field *name* says which of *things* it is."""
    id, params = entry.get(name), entry.get("params", {})
    if not isinstance(id, str) or not isinstance(params, dict):
        return None
    try:
        things.get(id, where=f"{place}.{name}")
        return things.build(id, params, where=f"{place}.params")
    except UnknownActionError as error:
        faults.append(error)
    except InvalidActionError as error:
        faults.append(_below(f"{place}.params", error))
    return None


def _action(place: Place, entry: Object, faults: list[DefinitionError]) -> Action | None:
    """Return what *entry* describes, with the options of what is inside of it settled too."""
    action = _built(registry, "action", place, entry, faults)
    if isinstance(undo := entry.get("compensate"), dict):
        _action(f"{place}.compensate", undo, faults)
    try:
        return action._gostage_settled(f"{place}.params") if action is not None else None
    except InvalidActionError as error:
        faults.append(_below(f"{place}.params", error))
    except DefinitionError as error:
        faults.append(error)
    return None


def _below(place: Place, error: InvalidActionError) -> InvalidActionError:
    """Return *error* with the place in each line, which a validator of the user's leaves out."""
    lines = str(error).splitlines()
    return InvalidActionError(
        "\n".join(line if line.startswith(place) else f"{place}: {line}" for line in lines)
    )


def _middleware(place: Place, holder: Object, faults: list[DefinitionError]) -> Uses:
    """Return what wraps a workflow or a stage, as Python would write it."""
    uses = []
    for at, entry in _objects(holder.get("middleware"), f"{place}.middleware".removeprefix(".")):
        built = _built(middlewares, "use", at, entry, faults)
        try:
            uses += [] if built is None else [use_of(built)]
        except InvalidActionError as error:
            faults.append(_below(f"{at}.params", error))
    return tuple(uses)


def _initial(place: Place, stage: Object, faults: list[DefinitionError]) -> Object:
    """Return the first values of a stage as the codec writes them, whoever wrote them here."""
    trees = {}
    initial = stage.get("initial", {})
    for key, tree in initial.items() if isinstance(initial, dict) else ():
        fault = fault_of(tree)
        try:
            trees[key] = None if fault else to_tree(from_tree(tree))
        except StoreError as error:
            fault = str(error)
        if fault:
            faults.append(InvalidWorkflowError(f"{place}.initial{step(str(key))}: {fault}"))
    return trees


def _normal(
    definition: WorkflowDefinition, initial: Sequence[Object], middleware: Sequence[Uses]
) -> WorkflowDefinition:
    """Return *definition* with what it holds as data as Python would write it.

    *initial* is by stage; *middleware* is the workflow's first, and then that of each stage.
    """
    outer, *inner = middleware
    stages = tuple(
        stage.model_copy(update={"initial": values, "middleware": uses})
        for stage, values, uses in zip(definition.stages, initial, inner, strict=True)
    )
    return definition.model_copy(update={"middleware": outer, "stages": stages})


def _with_options(
    bound: Sequence[Sequence[Action | None]], definition: WorkflowDefinition
) -> list[list[Action]]:
    return [
        [
            with_options(
                action,
                _given_options(entry),
            )
            for action, entry in zip(actions, stage.actions, strict=True)
            if action is not None
        ]
        for actions, stage in zip(bound, definition.stages, strict=True)
    ]


def _given_options(entry: ActionDefinition) -> dict[str, Any]:
    given = {name: getattr(entry, name) for name in entry.model_fields_set & OPTION_NAMES}
    if entry.compensate is not None:
        given["compensate"] = settled(entry.compensate, "compensate")
    return given


def _joined(faults: Sequence[DefinitionError]) -> DefinitionError:
    """Return one error for all of them, of their class if they have one in common."""
    if len(faults) == 1:
        return faults[0]
    lines = [line for fault in faults for line in str(fault).splitlines()]
    last = faults[-1]
    if all(isinstance(fault, InvalidActionError) for fault in faults):
        return InvalidActionError(listing(lines))
    if all(isinstance(fault, UnknownActionError) for fault in faults) and isinstance(
        last, UnknownActionError
    ):
        # Its message goes on behind the place of the last one.
        return last.at("\n".join([listing(lines[:-1]), last.where.splitlines()[-1]]))
    return InvalidWorkflowError(listing(lines))
