"""Other parameters and options for an entry of a plan that has not begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gostage_core.authoring.action import definition_of
from gostage_core.authoring.definition import ActionDefinition
from gostage_core.authoring.json_tree import check_depth, fault_of
from gostage_core.authoring.options import checked_options
from gostage_core.authoring.problems import problem_lines
from gostage_core.authoring.registry import registry
from gostage_core.errors import InvalidActionError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = ActionDefinition.model_fields.keys()


def definition_from(spec: Mapping[str, Any]) -> ActionDefinition:
    """Return what an entry of a plan is, from its text there.

    Raises:
        InvalidActionError: that text is damaged.
    """
    try:
        return ActionDefinition.model_validate(definition_fields(spec))
    except ValidationError as error:
        told = "\n".join(problem_lines(error, f"{spec['name']}."))
        raise InvalidActionError(f"its text in the plan is damaged: {told}") from error


def definition_fields(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry of a plan is, as JSON, from its text there."""
    return {name: value for name, value in spec.items() if name in _FIELDS}


def marks_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the plan keeps of an entry beside its definition."""
    return {name: value for name, value in spec.items() if name not in _FIELDS}


def with_parameters(definition: ActionDefinition, given: Mapping[str, Any]) -> ActionDefinition:
    """Return *definition* with other parameters, checked by its action where it is known here.

    Raises:
        InvalidActionError: they do not fit; for an action that this process does not know: they are
            no JSON values.
    """
    if definition.action in registry:
        params = _checked_by_action(definition, given)
    else:
        params = {**definition.params, **_json(definition, given)}
    return definition.model_copy(update={"params": params})


def with_all_parameters(
    definition: ActionDefinition, params: Mapping[str, Any]
) -> ActionDefinition:
    """Return *definition* with *params*, which are JSON, in place of all that it had.

    Raises:
        InvalidActionError: they do not fit.
    """
    if definition.action in registry:
        params = definition_of(registry.build(definition.action, dict(params))).params
    return definition.model_copy(update={"params": dict(params)})


def with_options(definition: ActionDefinition, given: Mapping[str, Any]) -> ActionDefinition:
    """Return *definition* with other options.

    Raises:
        InvalidActionError: a value that does not fit.
        TypeError: there is no such option.
    """
    chosen = checked_options(given, definition.name)
    return definition.model_copy(update=chosen)


def _checked_by_action(definition: ActionDefinition, given: Mapping[str, Any]) -> dict[str, Any]:
    bound = registry.build(definition.action, definition.params)
    present = {name: getattr(bound, name) for name in bound.model_fields_set}
    return definition_of(type(bound)(**{**present, **given})).params


def _json(definition: ActionDefinition, given: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in given.items():
        try:
            check_depth(value)
            fault = fault_of(value)
        except ValueError as error:
            fault = str(error)
        if fault:
            raise InvalidActionError(f"{definition.name}.{name}: {fault}")
    return given
