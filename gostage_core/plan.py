"""Turns definitions into the nodes of a plan, as the scripts read them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, TypeAdapter

from gostage_core.authoring.definition import Limits
from gostage_core.authoring.definition_fields import Identifier  # noqa: TC001 — read when used
from gostage_core.authoring.middleware import around_of, has_run_hooks, has_stage_hooks
from gostage_core.authoring.waits import NO_ITEM
from gostage_core.errors import ValueTooLargeError
from gostage_core.order import added_places, place
from gostage_core.sealing.marks import Initial, Undo, Value, compact
from gostage_core.sealing.texts import header_text, spec_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gostage_core.authoring.definition import (
        ActionDefinition,
        MiddlewareUse,
        StageDefinition,
        WorkflowDefinition,
    )
    from gostage_core.authoring.waits import Group, Member
    from gostage_core.bounds import Bounds
    from gostage_core.entry import Entry

HOOK: Final = "gostage.hook"
"""The registry id of what runs the hooks of a scope."""

NO_HOOK: Final = ("", "")
_FIRST: Final = "0"
_LAST: Final = "99"
"""Places before and behind those of any action."""


class Carrier(NamedTuple):
    """What the message of an action needs beside the ids: how it looks and where it goes."""

    name: str
    queue: Identifier | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    def to_text(self) -> str:
        """Return the carrier as JSON, without the end that is empty."""
        parts: list[object] = list(self)
        while parts[-1] is None:
            parts.pop()
        return compact(parts)

    @classmethod
    def from_text(cls, text: bytes) -> Carrier:
        """Read what :meth:`to_text` wrote.

        Of one that is damaged the message has no name and goes to the default queue: it is a hint,
        and nothing more is lost.
        """
        try:
            return _CARRIERS.validate_json(text, strict=True)
        except (ValueError, TypeError):
            return cls("")


_CARRIERS: Final = TypeAdapter(Carrier)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the entries of a plan take from around them."""

    middleware: tuple[MiddlewareUse, ...] = ()
    """Of the run, which wraps its stages and their actions."""
    limited: bool = False
    """Whether the workflow has guard rails of its own."""
    depth: int = 0
    added_by: str = ""

    @classmethod
    def of(cls, definition: WorkflowDefinition) -> Surroundings:
        """Return what the stages of *definition* take from it."""
        return cls(definition.middleware, definition.limits is not None)

    def marks(self) -> dict[str, Any]:
        """Return what each entry keeps of it."""
        marks = {"limited": int(self.limited), "depth": self.depth, "added_by": self.added_by}
        return {name: value for name, value in marks.items() if value}


PLAIN: Final = Surroundings()
"""Nothing around."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is to be created."""

    run_id: str
    nonce: str
    definition: WorkflowDefinition
    details: str
    """JSON for the first entry of its journal."""
    bounds: Bounds
    key: str = ""
    on_conflict: Literal["join", "reject", "replace"] = "join"
    """What happens when a run has the key already."""
    concurrency_key: str = ""
    """What its throttle counts it under, and by what its actions take turns in those of theirs."""
    deadline_ms: int = 0
    """From now; 0 for none, or for that of the run above."""
    parent: str = ""
    """``"run entry"`` that waits for it."""
    reply_to: str = ""
    """The list that gets the result."""
    trace: str = ""
    """The span that it is submitted in, for its attempts to be below it; empty for none."""
    tags: tuple[str, ...] = ()
    values: Mapping[str, bytes] = field(default_factory=dict)

    def arguments(self) -> list[object]:
        """Return it as the scripts read it."""
        definition = self.definition
        limits = definition.limits or Limits()
        before, after = run_hooks(definition.middleware)
        return [
            *(self.nonce, self.key, self.on_conflict, definition.id, workflow_header(definition)),
            *(self.deadline_ms, self.bounds.retention_ms, self.parent),
            *(run_throttle(definition, self.concurrency_key), self.concurrency_key),
            *(limits.max_added_actions, limits.max_added_stages, limits.max_child_depth),
            *(self.bounds.journal, self.bounds.store_bytes, self.bounds.past_bytes),
            *(self.bounds.grace_ms, self.details, self.reply_to, self.trace),
            *(len(self.tags), *self.tags),
            *(len(self.values), *self._values()),
            *before,
            *after,
            *stage_arguments(definition.stages, Surroundings.of(definition)),
        ]

    def _values(self) -> Iterator[object]:
        for key, data in self.values.items():
            yield from (key, Value(data, key))


def submit_details(definition: WorkflowDefinition) -> str:
    """Return what the first entry of a run's journal says, of a run that a producer submits."""
    return json.dumps({"actor": "producer", "workflow": definition.id})


def workflow_header(definition: WorkflowDefinition) -> str:
    """Return a workflow without its stages, as the run's header keeps it."""
    tree = definition.model_dump(mode="json", exclude={"stages"}, exclude_none=True)
    return header_text(compact(tree))


def stage_arguments(
    stages: Sequence[StageDefinition], around: Surroundings = PLAIN
) -> list[object]:
    """Return *stages* as the scripts read them: a count, then each with its actions."""
    parts = [part for stage in stages for part in one_stage_arguments(stage, around)]
    return [len(stages), *parts]


def one_stage_arguments(
    stage: StageDefinition,
    around: Surroundings = PLAIN,
    *,
    state: str = "",
    states: Sequence[str] = (),
) -> list[object]:
    """Return a stage as the scripts read it.

    *state* and *states* (of its actions) are ``"d"`` for what is disabled from the start.
    """
    spec = stage.model_dump(mode="json", exclude={"actions", "initial"}, exclude_defaults=True)
    before, after = stage_hooks(stage, around)
    places = [place(number) for number in range(1, len(stage.actions) + 1)]
    marks = around.marks()
    if wrapped := around_of(around.middleware, stage.middleware):
        marks["around"] = wrapped
    return [
        stage.id,
        spec_text(compact({"id": stage.id, **spec, **marks, **({"off": 1} if state else {})})),
        "p" if stage.parallel else "s",
        stage.max_parallel or FAN_OUT,
        stage.join or 0,
        "w" if stage.on_failure == "wait_all" else "f",
        *before,
        *after,
        _initial(stage),
        state,
        *action_arguments(stage.actions, stage.id, places, marks, states),
    ]


def added_action_arguments(
    actions: Sequence[ActionDefinition], adder: Entry, states: Sequence[str] = ()
) -> list[object]:
    """Return *actions* that *adder* adds right after itself, as the scripts read them."""
    places = added_places(adder.order, adder.is_last, len(actions))
    return action_arguments(actions, adder.stage, places, _added_marks(adder), states)


def action_arguments(
    actions: Sequence[ActionDefinition],
    stage_id: str,
    places: Iterable[str],
    marks: Mapping[str, Any],
    states: Sequence[str] = (),
) -> list[object]:
    """Return *actions* as the scripts read them: a count, then five texts for each.

    *marks* are what each of them takes from around it.
    """
    arguments: list[object] = [len(actions)]
    for number, (action, order) in enumerate(zip(actions, places, strict=True), start=1):
        own = {**marks, "stage": stage_id, "order": order}
        if number == len(actions):
            own["last"] = 1
        state = states[number - 1] if states else ""
        if state:
            own["off"] = 1
        arguments += [*entry_texts(action, own), state]
    return arguments


def entry_texts(action: ActionDefinition, marks: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return what the plan keeps of an action: text, carrier, limits in ms, throttle."""
    spec = action.model_dump(mode="json", exclude_defaults=True)
    spec |= {"name": action.name, **marks}
    timeout = action.timeout
    if timeout is not None and action.isolation is not None:
        timeout += START_SECONDS
    carrier = Carrier(action.name, action.queue, action.priority, timeout)
    throttle = "" if action.throttle is None else action.throttle.text(action.throttle.key)
    limits = str(round((timeout or 0) * 1000))
    if action.deadline is not None:
        limits += f"D{max(1, round(action.deadline * 1000))}"
    return spec_text(compact(spec)), carrier.to_text(), limits, throttle


def run_throttle(definition: WorkflowDefinition, key: str) -> str:
    """Return the throttle of a workflow's runs as the scripts read it, or nothing."""
    throttle = definition.throttle
    if throttle is None:
        return ""
    own = throttle.key or definition.id
    return throttle.text(f"{own}:{key}" if key else own)


START_SECONDS = 30.0
"""How long the process of an isolated action may take until its body begins, whose timeout counts
from then. Only whoever looks from outside of the worker's process has to wait for so long."""


UNDO_STAGE: Final = "gostage.compensation"
"""The id of the stage that undoes what a run has done."""


def undo_stage() -> str:
    """Return the text of that stage."""
    return compact({"id": UNDO_STAGE, "name": "Compensation", "added_by": UNDO_STAGE})


def undo_text(entry: Entry, undo: ActionDefinition) -> str:
    """Return how a completed action is undone, as it is kept until it has to be."""
    marks = _inherited(entry)
    marks.pop("depth", None)
    own = {**marks, "stage": UNDO_STAGE, "order": place(1), "undoes": entry.path}
    return Undo(compact(entry_texts(undo, own)))


def group_arguments(group: Group, owner: Entry, entry_id: str) -> list[object]:
    """Return the entries that *owner* waits for, as the scripts read them."""
    details = compact({"by": owner.path})
    first = group.members[0].label if group.members else ""
    arguments: list[object] = [
        "group",
        details,
        "p" if group.parallel else "s",
        group.limit or FAN_OUT,
        group.quorum or 0,
        "w" if group.on_failure == "wait_all" else "f",
        compact({"of": entry_id, "label": first if len(group.members) == 1 else ""}),
        int(group.collect),
        group.keeps or 0,
        len(group.members),
    ]
    for number, member in enumerate(group.members, start=1):
        arguments += _member_arguments(member, number, group, owner, entry_id)
    return arguments


def _member_arguments(
    member: Member, number: int, group: Group, owner: Entry, entry_id: str
) -> list[object]:
    # By its index where it has one: the passes of a Repeat are members of groups of their own.
    below = place(number if member.index is None else member.index + 1, owner.order)
    marks = _inherited(owner)
    marks["in"] = f"{owner.within}/{owner.name}{member.label}".lstrip("/")
    if member.index is not None:
        marks["index"] = member.index
    if member.item is not NO_ITEM:
        marks["item"] = member.item
    places = [place(step, below) for step in range(1, len(member.actions) + 1)]
    parts = action_arguments(member.actions, owner.stage, places, marks)
    if group.collect and member.actions:
        collected = {**marks, "stage": owner.stage, "order": places[-1], "last": 1, "collect": 1}
        parts[-5:] = [*entry_texts(member.actions[-1], collected), ""]
    return [compact({"of": entry_id, "label": member.label}), *parts]


def _inherited(entry: Entry) -> dict[str, Any]:
    """What an entry hands on to those that it adds, or that are below it."""
    marks: dict[str, Any] = {
        "in": entry.within,
        "depth": entry.depth,
        "limited": int(entry.limited),
        "around": list(entry.around),
    }
    marks = {name: value for name, value in marks.items() if value}
    if entry.index is not None:
        marks["index"] = entry.index
    if entry.item is not NO_ITEM:
        marks["item"] = entry.item
    return marks


def _added_marks(adder: Entry) -> dict[str, Any]:
    return {**_inherited(adder), "depth": adder.depth + 1, "added_by": adder.path}


def stage_hooks(
    stage: StageDefinition, around: Surroundings
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the text and the carrier of a stage's hooks; empty where there is none."""
    uses = (*around.middleware, *stage.middleware)
    before, after = has_stage_hooks(uses)
    outer = len(around.middleware)
    return (
        _hook("before_stage", uses, stage.id, _FIRST, outer) if before else NO_HOOK,
        _hook("after_stage", uses, stage.id, _LAST, outer) if after else NO_HOOK,
    )


def run_hooks(uses: Sequence[MiddlewareUse]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the text and the carrier of a run's hooks; empty where there is none."""
    before, after = has_run_hooks(uses)
    return (
        _hook("before_run", uses, "", _FIRST) if before else NO_HOOK,
        _hook("after_run", uses, "", _LAST) if after else NO_HOOK,
    )


def _hook(
    name: str, uses: Sequence[MiddlewareUse], stage_id: str, order: str, outer: int | None = None
) -> tuple[str, str]:
    params = {"hook": name, "uses": [use.model_dump(mode="json") for use in uses], "outer": outer}
    spec = {"action": HOOK, "params": params, "name": name, "stage": stage_id, "order": order}
    return spec_text(compact(spec)), Carrier(name).to_text()


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
        pairs += [key, compact(tree)]
    return Initial(compact(pairs))
