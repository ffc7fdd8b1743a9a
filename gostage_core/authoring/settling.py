"""Actions that stand in documents, as Python would write them: with every option settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gostage_core.authoring.action import definition_of, with_options
from gostage_core.authoring.options import OPTION_NAMES
from gostage_core.authoring.registry import registry

if TYPE_CHECKING:
    from gostage_core.authoring.action import Action
    from gostage_core.authoring.definition import ActionDefinition


def settled(definition: ActionDefinition, where: str) -> ActionDefinition:
    """Return what stands in a document at *where* with every option settled.

    Raises:
        DefinitionError: it cannot be built.
    """
    action = built(definition, where)._gostage_settled(f"{where}.params")
    given = {name: getattr(definition, name) for name in definition.model_fields_set & OPTION_NAMES}
    return definition_of(with_options(action, given))


def built(definition: ActionDefinition, where: str) -> Action:
    """Return the bound action that stands at *where*.

    Raises:
        DefinitionError: it cannot be built.
    """
    registry.get(definition.action, where=f"{where}.action")
    return registry.build(definition.action, definition.params, where=f"{where}.params")
