"""Guard rails: what may be added to a plan by whom, and how deep additions may nest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.definition import ActionDefinition
from gostage_core.errors import PlanLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gostage_core.authoring.definition import Limits

_FIELDS: Final = ActionDefinition.model_fields.keys()


@dataclass(frozen=True, slots=True)
class Guard:
    """The guard rails of a workflow, for one who adds to its plan."""

    limits: Limits
    by: str
    """``stage/action``, or ``operator:name``."""
    depth: int
    """How deep what is added would be nested in additions."""

    def check(self, actions: Iterable[ActionDefinition]) -> None:
        """Check that these may be added, with every action in their parameters.

        Raises:
            PlanLimitError: they may not; names the limit.
        """
        every = list(actions)
        if every and self.depth > self.limits.max_depth:
            raise PlanLimitError("max_depth", str(self.limits.max_depth), str(self.depth))
        if self.limits.may_add is not None:
            self._check_ids(dict.fromkeys(id for action in every for id in ids_in(action)))

    def _check_ids(self, ids: Iterable[str]) -> None:
        patterns = [
            pattern
            for rule in self.limits.may_add or ()
            if any(fnmatchcase(self.by, by) for by in rule.by)
            for pattern in rule.ids
        ]
        for id in ids:
            if not any(fnmatchcase(id, pattern) for pattern in patterns):
                allowed = ", ".join(patterns) or "nothing"
                raise PlanLimitError("may_add", f"{self.by} to add {allowed}", id)


def refusal_details(error: PlanLimitError, **who: str) -> str:
    """Return what the journal keeps of a change that a guard rail refused, as JSON."""
    details = {**who, "reason": str(error)[:2000], "limit": error.limit}
    return json.dumps(details, separators=(",", ":"))


def ids_in(action: ActionDefinition) -> Iterator[str]:
    """Yield the registry ids of an action and of those in its parameters, at any depth.

    What looks like an action in the parameters is taken for one: a guard rail that lets nothing
    through is better than one that can be walked around.
    """
    yield action.action
    for value in action.params.values():
        yield from _ids_below(value)


def _ids_below(value: Any) -> Iterator[str]:
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            id = part.get("action")
            if isinstance(id, str) and part.keys() <= _FIELDS:
                yield id
            parts += part.values()
