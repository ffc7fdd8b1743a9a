"""Turns definitions into the nodes of a plan, and a node's text back into what a worker needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gostage_core.errors import ValueTooLargeError
from gostage_core.order import added_places, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gostage_core.authoring.definition import (
        ActionDefinition,
        StageDefinition,
        WorkflowDefinition,
    )


class Carrier(NamedTuple):
    """What the message of an action needs beside the ids: how it looks and where it goes."""

    name: str
    queue: str | None = None
    priority: int | None = None
    timeout: float | None = None

    def to_text(self) -> str:
        """Return the carrier as JSON, without the end that is empty."""
        parts: list[object] = list(self)
        while parts[-1] is None:
            parts.pop()
        return _compact(parts)

    @classmethod
    def from_text(cls, text: bytes) -> Carrier:
        """Read what :meth:`to_text` wrote."""
        return cls(*json.loads(text))


@dataclass(frozen=True, slots=True)
class Entry:
    """One action of a plan, as the worker that claims it reads it."""

    action: str
    params: dict[str, Any]
    name: str
    description: str
    tags: tuple[str, ...]
    retry: dict[str, Any] | None
    timeout: float | None
    on_error: str
    store_as: str | None
    stage: str
    order: str
    is_last: bool

    @classmethod
    def from_spec(cls, spec: bytes) -> Entry:
        """Read the text of a plan's node."""
        node = json.loads(spec)
        return cls(
            action=node["action"],
            params=node.get("params", {}),
            name=node["name"],
            description=node.get("description", ""),
            tags=tuple(node.get("tags", ())),
            retry=node.get("retry"),
            timeout=node.get("timeout"),
            on_error=node.get("on_error", "fail"),
            store_as=node.get("store_as"),
            stage=node["stage"],
            order=node["order"],
            is_last=bool(node.get("last")),
        )


def workflow_header(definition: WorkflowDefinition) -> str:
    """Return a workflow without its stages, as the run's header keeps it."""
    return _compact(definition.model_dump(mode="json", exclude={"stages"}, exclude_none=True))


def stage_arguments(stages: Sequence[StageDefinition]) -> list[object]:
    """Return *stages* as the scripts read them: a count, then each with its actions."""
    arguments: list[object] = [len(stages)]
    for stage in stages:
        spec = stage.model_dump(mode="json", exclude={"actions", "initial"}, exclude_defaults=True)
        arguments += [
            stage.id,
            _compact({"id": stage.id, **spec}),
            "p" if stage.parallel else "s",
            stage.max_parallel or FAN_OUT,
            _initial(stage),
        ]
        places = [place(number) for number in range(1, len(stage.actions) + 1)]
        arguments += action_arguments(stage.actions, stage.id, places)
    return arguments


def added_action_arguments(actions: Sequence[ActionDefinition], adder: Entry) -> list[object]:
    """Return *actions* that *adder* adds right after itself, as the scripts read them."""
    places = added_places(adder.order, adder.is_last, len(actions))
    return action_arguments(actions, adder.stage, places, f"{adder.stage}/{adder.name}")


def action_arguments(
    actions: Sequence[ActionDefinition], stage_id: str, places: Iterable[str], added_by: str = ""
) -> list[object]:
    """Return *actions* as the scripts read them: a count, then three texts for each."""
    arguments: list[object] = [len(actions)]
    for number, (action, order) in enumerate(zip(actions, places, strict=True), start=1):
        spec = action.model_dump(mode="json", exclude_defaults=True)
        spec |= {"name": action.name, "stage": stage_id, "order": order}
        if number == len(actions):
            spec["last"] = 1
        if added_by:
            spec["added_by"] = added_by
        carrier = Carrier(action.name, action.queue, action.priority, action.timeout)
        arguments += [_compact(spec), carrier.to_text(), round((action.timeout or 0) * 1000)]
    return arguments


def check_plan_size(what: str, arguments: Iterable[object], limit: int) -> None:
    """Check how many bytes the parts of a plan are, as the scripts read them.

    Raises:
        ValueTooLargeError: more than *limit*.
    """
    size = sum(len(part) for part in arguments if isinstance(part, str))
    if size > limit:
        raise ValueTooLargeError(what, size, limit, "GOSTAGE_MAX_PLAN_BYTES")


FAN_OUT = 1_000
"""How many actions of a parallel stage are handed out at once where the stage sets no limit.

More than any pool runs side by side; a stage of 100,000 is not pushed through Redis in one breath.
"""


def _initial(stage: StageDefinition) -> str:
    if not stage.initial:
        return ""
    pairs: list[str] = []
    for key, tree in stage.initial.items():
        pairs += [key, _compact(tree)]
    return _compact(pairs)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
