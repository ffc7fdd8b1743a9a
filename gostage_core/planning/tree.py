"""Reads the plan of a run: the fields of its hash as frozen nodes, in plan order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from gostage_core.status import ActionStatus, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACTION_STATES: Final = {
    "r": ActionStatus.PENDING,
    "x": ActionStatus.RUNNING,
    "z": ActionStatus.SLEEPING,
    "w": ActionStatus.WAITING,
    "o": ActionStatus.WAITING,
    "h": ActionStatus.WAITING,
    "p": ActionStatus.PENDING,
    "c": ActionStatus.COMPLETED,
    "f": ActionStatus.FAILED,
    "s": ActionStatus.SKIPPED,
    "d": ActionStatus.SKIPPED,
    "m": ActionStatus.REMOVED,
    "k": ActionStatus.CANCELLED,
}
"""The letters of the records in Redis, and what they are called."""

_SCOPE_STATES: Final = {
    "c": ActionStatus.COMPLETED,
    "s": ActionStatus.SKIPPED,
    "d": ActionStatus.SKIPPED,
    "m": ActionStatus.REMOVED,
    "k": ActionStatus.CANCELLED,
}

_LEFT_OUT: Final = {
    "c": ActionStatus.SKIPPED,
    "s": ActionStatus.SKIPPED,
    "d": ActionStatus.SKIPPED,
    "m": ActionStatus.REMOVED,
}
"""What an entry that never began is, by the state of the scope that holds it."""

_OPEN_SCOPES: Final = frozenset({"", "x", "d", "p"})

_TEXTS_OF_AN_ACTION: Final = ("action", "name", "stage", "order")
"""What the text of every action has."""

_LINKS_OF_AN_ACTION: Final = 3
_LINKS: Final = re.compile(
    r"(\d+,\d+,\d+,\d+,[sp],\d+,\d+,[fw],\d+,\d+,\d+,\d*)|(\d+,\d+,\d+(?:D\d+)?T?)"
)
"""Of a scope, and of an action, as the scripts read them."""

_NO_RECORD: Final = ("", "0", "0", "0", "", "0", "0", "0", "", "0", "0", "0")
_NO_SCOPE: Final = ("", "0", "0", "0", "", "0", "0", "0", "0", "0")


@dataclass(frozen=True, slots=True)
class ActionNode:
    """One action of a plan, or a hook."""

    entry: str
    spec: Mapping[str, Any]
    status: ActionStatus
    scope: str
    """The scope that holds it: its stage, or one that another action owns."""
    parent: str = ""
    """The action that owns that scope; empty in a stage."""
    level: int = 0
    """How many actions it lies below."""
    is_open: bool = True
    """Whether it has not begun, and its turn may still come."""
    record: tuple[str, ...] = field(default=_NO_RECORD, repr=False)

    @property
    def path(self) -> str:
        """``stage/name``; with what it lies in between, where an action owns it."""
        return path_of(self.spec)

    @property
    def state(self) -> str:
        """Its letter in the record; empty without one."""
        return self.record[0]

    @property
    def attempt(self) -> int:
        """The number of its last attempt; 0 before the first.

        One that waits goes on as the same attempt, which is counted again when it does.
        """
        return max(int(self.record[1]), int(self.record[4].partition(":")[0] or 0))

    @property
    def phase(self) -> int:
        """How often it has waited for something."""
        return int(self.record[10]) if len(self.record) > 10 else 0


@dataclass(frozen=True, slots=True)
class StageNode:
    """One stage of a plan."""

    entry: str
    spec: Mapping[str, Any]
    status: ActionStatus
    parallel: bool
    by: str
    """The stage whose action added it; ``0`` where none did."""
    order: str
    """The place of that action in its stage."""
    actions: tuple[ActionNode, ...]
    """Everything in it, depth first: what an action owns comes right after it."""
    record: tuple[str, ...] = field(default=_NO_SCOPE, repr=False)

    @property
    def id(self) -> str:
        """The stage's id."""
        return str(self.spec["id"])

    @property
    def state(self) -> str:
        """Its letter in the record; empty without one."""
        return self.record[0]

    @property
    def is_added(self) -> bool:
        """Whether it was added at run time."""
        return self.by != "0" or bool(self.spec.get("added_by"))

    @property
    def failed(self) -> str:
        """The entry of its first failure; empty where there is none."""
        entry = self.record[9] if len(self.record) > 9 else "0"
        return "" if entry == "0" else entry


@dataclass(frozen=True, slots=True)
class Tree:
    """A plan: its stages in order, and the hooks of the run and of the stages."""

    stages: tuple[StageNode, ...]
    hooks: tuple[ActionNode, ...] = ()


def path_of(spec: Mapping[str, Any]) -> str:
    """Return where an action stands, by its text in the plan: ``ship/pack-all[3]/wrap``."""
    return "/".join(filter(None, (spec["stage"], spec.get("in", ""), spec["name"])))


def read_tree(fields: Mapping[str, bytes], run: RunStatus) -> Tree:
    """Read the plan of a run that stands so.

    What is damaged raises what reading it raises: LookupError, ValueError, TypeError,
    AttributeError or RecursionError.
    """
    return _Reader(fields, run).tree()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a scope lies: what holds for every entry of it."""

    scope: str
    parent: str
    level: int
    left_out: ActionStatus
    is_open: bool


class _Reader:
    def __init__(self, fields: Mapping[str, bytes], run: RunStatus) -> None:
        self._fields = fields
        self._run = run
        self._hooks: list[ActionNode] = []
        self._visited = 0

    def tree(self) -> Tree:
        root = self._links("0")
        self._note_hooks(root, "0")
        stages = tuple(map(self._stage, self._siblings(root[2])))
        return Tree(stages, tuple(self._hooks))

    def _stage(self, node: str) -> StageNode:
        links, record = self._links(node), self._record(node, _NO_SCOPE)
        spec = self._spec(node, ("id",))
        self._note_hooks(links, node)
        is_open = record[0] in _OPEN_SCOPES
        left_out = _LEFT_OUT.get(record[0], ActionStatus.PENDING)
        place = _Place(node, "", 0, left_out, is_open)
        actions = tuple(self._members(links[2], place))
        return StageNode(
            entry=node,
            spec=spec,
            status=self._stage_status(record, actions),
            parallel=links[4] == "p",
            by=links[-2],
            order=links[-1],
            actions=actions,
            record=record,
        )

    def _members(self, first: str, place: _Place) -> Iterator[ActionNode]:
        for node in self._siblings(first):
            if len(self._links(node)) > _LINKS_OF_AN_ACTION:
                yield from self._scope(node, place)
                continue
            one = self._action(node, place)
            yield one
            if owned := self._fields.get(f"n{node}"):
                below = _below(one, place)
                for scope in filter(None, owned.decode().split(",")):
                    yield from self._scope(scope, below)

    def _scope(self, node: str, place: _Place) -> Iterator[ActionNode]:
        """Yield what lies in a scope that an action owns: actions, or scopes again."""
        state = self._record(node, _NO_SCOPE)[0]
        inner = replace(
            place,
            scope=node,
            left_out=_LEFT_OUT.get(state, place.left_out),
            is_open=place.is_open and state in _OPEN_SCOPES,
        )
        return self._members(self._links(node)[2], inner)

    def _action(self, node: str, place: _Place) -> ActionNode:
        record = self._record(node, _NO_RECORD)
        state = record[0]
        return ActionNode(
            entry=node,
            spec=self._spec(node, _TEXTS_OF_AN_ACTION),
            status=ACTION_STATES[state] if state else place.left_out,
            scope=place.scope,
            parent=place.parent,
            level=place.level,
            is_open=place.is_open and _is_waiting_its_turn(record),
            record=record,
        )

    def _note_hooks(self, links: list[str], scope: str) -> None:
        for node in links[8:10]:
            if node != "0":
                place = _Place(scope, "", 0, ActionStatus.PENDING, is_open=False)
                self._hooks.append(self._action(node, place))

    def _stage_status(
        self, record: tuple[str, ...], actions: tuple[ActionNode, ...]
    ) -> ActionStatus:
        state, run = record[0], self._run
        if state in ("", "p"):
            return ActionStatus.PENDING
        if state == "k" and run is RunStatus.BAILED:
            return ActionStatus.COMPLETED  # on purpose
        if state in _SCOPE_STATES:
            return _SCOPE_STATES[state]
        if state == "f" and record[9] != "0":
            return ActionStatus.FAILED
        if not run.is_terminal:
            return ActionStatus.RUNNING
        if any(action.state == "f" for action in actions):
            return ActionStatus.FAILED
        return ActionStatus.COMPLETED if run is RunStatus.BAILED else ActionStatus.CANCELLED

    def _siblings(self, first: str) -> Iterator[str]:
        node = first
        while node != "0":
            self._visited += 1
            if self._visited > len(self._fields):
                raise ValueError("the plan's links run in a circle")
            yield node
            node = self._links(node)[1]

    def _spec(self, node: str, texts: tuple[str, ...]) -> dict[str, Any]:
        """Return what a node is. Whoever is handed it finds *texts* in it, and need not look."""
        spec: dict[str, Any] = from_json(self._fields[f"s{node}"])
        for name in texts:
            if not isinstance(spec[name], str):
                raise TypeError(f"{name} of node {node} is no text")
        return spec

    def _links(self, node: str) -> list[str]:
        text = self._fields[f"l{node}"].decode()
        if not _LINKS.fullmatch(text):
            raise ValueError(f"links l{node}")
        return text.split(",")

    def _record(self, node: str, without: tuple[str, ...]) -> tuple[str, ...]:
        text = self._fields.get(f"r{node}")
        if text is None:
            return without
        record = tuple(text.decode().split("|"))
        if len(record) < len(without):
            raise ValueError(f"record r{node}")
        return record


def _below(owner: ActionNode, place: _Place) -> _Place:
    """Return what holds for what *owner*, which lies at *place*, owns."""
    is_done = owner.status in (ActionStatus.COMPLETED, ActionStatus.SKIPPED)
    return _Place(
        scope="",
        parent=owner.entry,
        level=place.level + 1,
        left_out=ActionStatus.SKIPPED if is_done else place.left_out,
        is_open=place.is_open and not owner.status.is_terminal,
    )


def _is_waiting_its_turn(record: tuple[str, ...]) -> bool:
    """Whether nobody has begun an entry: a message may be on its way."""
    return record[0] in ("", "d") or (record[0] in ("r", "h", "p") and record[6] == "0")
