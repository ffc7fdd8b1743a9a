"""What a plan consists of, without progress: which stages and actions, and which would run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.secret_parameters import masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NOTHING: Final[tuple[PlanChange, ...]] = ()


@dataclass(frozen=True, slots=True)
class OutlinedAction:
    """One action of a plan as of a revision."""

    entry: str
    path: str
    """``stage/name``; with what it is nested in between."""
    id: str
    """The registry id."""
    enabled: bool = True
    removed: bool = False
    definition: Mapping[str, Any] = field(default_factory=dict)
    """Its parameters (``params``) and its options, as JSON."""

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.definition["name"])


@dataclass(frozen=True, slots=True)
class OutlinedStage:
    """One stage of a plan as of a revision."""

    entry: str
    id: str
    enabled: bool = True
    removed: bool = False
    actions: tuple[OutlinedAction, ...] = ()
    """In plan order; what an action owns comes right after it."""


@dataclass(frozen=True, slots=True)
class PlanOutline:
    """A plan as of a revision."""

    revision: int
    stages: tuple[OutlinedStage, ...]

    @property
    def actions(self) -> tuple[OutlinedAction, ...]:
        """Every action, in plan order."""
        return tuple(action for stage in self.stages for action in stage.actions)


@dataclass(frozen=True, slots=True)
class PlanChange:
    """One thing of a plan that changed."""

    entry: str
    """Its id in the plan; empty for one that is not in it yet."""
    path: str
    """The stage's id, or ``stage/name`` of an action."""
    detail: str = ""
    """Where it was added, or what became of it."""

    def __str__(self) -> str:
        number = f" #{self.entry}" if self.entry else ""
        return f"{self.path}{number}  {self.detail}".rstrip()


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What changed in a plan; ``str()`` is for people, false where nothing did."""

    added_stages: tuple[PlanChange, ...] = _NOTHING
    added_actions: tuple[PlanChange, ...] = _NOTHING
    """Those of added stages too."""
    removed: tuple[PlanChange, ...] = _NOTHING
    disabled: tuple[PlanChange, ...] = _NOTHING
    enabled: tuple[PlanChange, ...] = _NOTHING
    changed: tuple[PlanChange, ...] = _NOTHING
    """Parameters and options."""

    def __bool__(self) -> bool:
        return any(changes for _, changes in self._signed())

    def __str__(self) -> str:
        return "\n".join(
            f"{sign} {change}" for sign, changes in self._signed() for change in changes
        )

    def _signed(self) -> Iterator[tuple[str, tuple[PlanChange, ...]]]:
        yield "+ stage", self.added_stages
        yield "+", self.added_actions
        yield "- remove", self.removed
        yield "- disable", self.disabled
        yield "+ enable", self.enabled
        yield "~", self.changed


def diff_of(first: PlanOutline, second: PlanOutline) -> PlanDiff:
    """Return what changed from one outline of a plan to a later or an earlier one."""
    before = {one.entry: one for one in _everything(first)}
    after = {one.entry: one for one in _everything(second)}
    both = [(before[entry], one) for entry, one in after.items() if entry in before]
    behind = _behind(second)
    return PlanDiff(
        added_stages=tuple(
            PlanChange(one.entry, one.id, behind[one.entry])
            for one in second.stages
            if one.entry not in before
        ),
        added_actions=tuple(
            PlanChange(one.entry, one.path, behind[one.entry])
            for one in second.actions
            if one.entry not in before
        ),
        removed=(
            *(_named(one) for entry, one in before.items() if entry not in after),
            *(_named(one) for was, one in both if one.removed and not was.removed),
        ),
        disabled=tuple(_named(one) for was, one in both if was.enabled and not one.enabled),
        enabled=tuple(_named(one) for was, one in both if one.enabled and not was.enabled),
        changed=tuple(_changed(was, one) for was, one in both if _is_other(was, one)),
    )


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say how two definitions of an action differ: ``amount: 3 → 5, timeout: none → 30``."""
    ours = {**before, **before.get("params", {})}
    theirs = {**after, **after.get("params", {})}
    names = dict.fromkeys([*ours, *theirs])
    return ", ".join(
        f"{name}: {_shown(ours.get(name))} → {_shown(theirs.get(name))}"
        for name in names
        if name != "params" and ours.get(name) != theirs.get(name)
    )


def _everything(outline: PlanOutline) -> Iterator[OutlinedStage | OutlinedAction]:
    for stage in outline.stages:
        yield stage
        yield from stage.actions


def _behind(outline: PlanOutline) -> dict[str, str]:
    """Say of each entry where it stands."""
    behind = {}
    before = ""
    for stage in outline.stages:
        behind[stage.entry] = place_of(before)
        before = stage.id
        behind |= _in_order(stage.actions)
    return behind


def _in_order(actions: Iterable[OutlinedAction]) -> dict[str, str]:
    behind, before = {}, ""
    for action in actions:
        behind[action.entry] = place_of(before)
        before = action.name
    return behind


def place_of(before: str) -> str:
    """Say where something stands by the name of what is ahead of it."""
    return f"behind {before}" if before else "at the front"


def _named(one: OutlinedStage | OutlinedAction) -> PlanChange:
    if isinstance(one, OutlinedStage):
        return PlanChange(one.entry, one.id, "(stage)")
    return PlanChange(one.entry, one.path)


def _is_other(was: OutlinedStage | OutlinedAction, one: OutlinedStage | OutlinedAction) -> bool:
    if isinstance(was, OutlinedAction) and isinstance(one, OutlinedAction):
        return was.definition != one.definition
    return False


def _changed(was: Any, one: Any) -> PlanChange:
    return PlanChange(one.entry, one.path, difference(was.definition, one.definition))


def _shown(value: object) -> str:
    if value is None:
        return "none"
    text = json.dumps(masked(value), ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
