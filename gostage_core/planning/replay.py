"""Makes a plan again from its first nodes and the operations of its journal."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.secret_parameters import masked
from gostage_core.planning.outline import (
    OutlinedAction,
    OutlinedStage,
    PlanChange,
    PlanDiff,
    PlanOutline,
    difference,
    place_of,
)
from gostage_core.planning.settings import definition_fields
from gostage_core.planning.tree import path_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Operation = list[str]
"""``[word, …]`` as the journal keeps it; see :meth:`Replay.apply`."""

_ROOT = "0"

FORKED: Final = "o"
"""The field of a plan that says how the nodes of a fork stood when it began: id to letter."""


class Replay:
    """A plan that is made again, revision by revision.

    What a node is (its text, and the scope that holds it) never changes but by ``set``, and is
    taken from the plan as it is now. Which nodes there are, in which order, and which of them would
    run is what the operations say. Passes of a ``Repeat`` that the plan keeps no more are left out.
    """

    def __init__(
        self, fields: Mapping[str, bytes], planned: int, operations: Iterable[Operation]
    ) -> None:
        """Begin with the first *planned* nodes of a plan with these *fields*.

        *operations* are all that were ever applied to it.
        """
        self._fields = fields
        self._revision = 1
        self._first: dict[str, str] = {}
        self._last: dict[str, str] = {}
        self._next: dict[str, str] = {}
        self._owned: dict[str, list[str]] = defaultdict(list)
        self._off: set[str] = set()
        self._removed = {node for node, letter in forked_letters(fields).items() if letter == "m"}
        self._specs: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, deque[str]] = defaultdict(deque)
        for word, entry, *rest in operations:
            if word == "set":
                self._settings[entry].append(rest[0])
        self._grow(1, planned)

    def apply(self, revision: int, operations: Iterable[Operation]) -> PlanDiff:
        """Make one revision; return what it changes.

        Operations: ``add scope after first last``, ``stage node after first last``, ``open owner
        scope first last``, ``disable node…``, ``enable node…``, ``remove node…``, ``set node
        old_text``.
        """
        self._revision = revision
        changes: dict[str, list[PlanChange]] = defaultdict(list)
        for word, *rest in operations:
            for what, change in getattr(self, f"_do_{word}")(*rest):
                changes[what].append(change)
        return PlanDiff(**{what: tuple(some) for what, some in changes.items()})

    def outline(self) -> PlanOutline:
        """Return the plan as it is now."""
        return PlanOutline(self._revision, tuple(map(self._stage, self._members(_ROOT))))

    def _do_add(self, scope: str, after: str, first: str, last: str) -> Iterator[_Told]:
        nodes = [str(number) for number in range(int(first), int(last) + 1)]
        if not all(map(self._is_kept, nodes)):
            return
        self._link(scope, after, nodes)
        before = "" if after == _ROOT else self._name(after)
        for node in nodes:
            self._appear(node)
            yield "added_actions", self._told(node, place_of(before))
            before = self._name(node)

    def _do_stage(self, node: str, after: str, first: str, last: str) -> Iterator[_Told]:
        self._link(_ROOT, after, [node])
        self._appear(node)
        before = "" if after == _ROOT else self._spec(after)["id"]
        yield "added_stages", PlanChange(node, self._spec(node)["id"], place_of(before))
        if first != "0":
            yield from self._do_add(node, _ROOT, first, last)

    def _do_open(self, owner: str, scope: str, first: str, last: str) -> Iterator[_Told]:
        if not self._is_kept(scope):
            return
        self._owned[owner].append(scope)
        self._grow(int(first), int(last))
        for node in self._actions_in(scope):
            yield "added_actions", self._told(node)

    def _do_disable(self, *nodes: str) -> Iterator[_Told]:
        self._off.update(nodes)
        yield from (("disabled", self._told(node)) for node in filter(self._is_kept, nodes))

    def _do_enable(self, *nodes: str) -> Iterator[_Told]:
        self._off.difference_update(nodes)
        yield from (("enabled", self._told(node)) for node in filter(self._is_kept, nodes))

    def _do_remove(self, *nodes: str) -> Iterator[_Told]:
        self._removed.update(nodes)
        yield from (("removed", self._told(node)) for node in filter(self._is_kept, nodes))

    def _do_set(self, node: str, old: str) -> Iterator[_Told]:
        self._settings[node].popleft()
        self._specs.pop(node, None)
        if not self._is_kept(node):
            return
        before, after = definition_fields(json.loads(old)), definition_fields(self._spec(node))
        yield "changed", self._told(node, difference(before, after))

    def _grow(self, first: int, last: int) -> None:
        """Put new nodes into the scopes that hold them, in the order of their ids."""
        for number in range(first, last + 1):
            node = str(number)
            if not self._is_kept(node):
                continue
            scope = self._links(node)[0]
            if node in self._links(scope)[8:10]:  # a hook is no member
                continue
            if scope != _ROOT and "action" in self._spec(scope):
                self._owned[scope].append(node)  # of an action that waited when the run was forked
            else:
                self._link(scope, self._last.get(scope, _ROOT), [node])
            self._appear(node)

    def _link(self, scope: str, after: str, nodes: list[str]) -> None:
        following = self._first.get(scope, _ROOT) if after == _ROOT else self._next[after]
        for node, next_ in zip(nodes, [*nodes[1:], following], strict=True):
            self._next[node] = next_
        if after == _ROOT:
            self._first[scope] = nodes[0]
        else:
            self._next[after] = nodes[0]
        if following == _ROOT:
            self._last[scope] = nodes[-1]

    def _appear(self, node: str) -> None:
        if self._spec(node).get("off"):
            self._off.add(node)

    def _members(self, scope: str) -> Iterator[str]:
        node = self._first.get(scope, _ROOT)
        while node != _ROOT:
            yield node
            node = self._next[node]

    def _actions_in(self, scope: str) -> Iterator[str]:
        """Yield the actions of a scope, each with what it owns right after it."""
        for node in self._members(scope):
            if "action" not in self._spec(node):  # a scope in a scope
                yield from self._actions_in(node)
                continue
            yield node
            for owned in self._owned.get(node, ()):
                yield from self._actions_in(owned)

    def _stage(self, node: str) -> OutlinedStage:
        return OutlinedStage(
            entry=node,
            id=self._spec(node)["id"],
            enabled=node not in self._off,
            removed=node in self._removed,
            actions=tuple(map(self._action, self._actions_in(node))),
        )

    def _action(self, node: str) -> OutlinedAction:
        spec = self._spec(node)
        return OutlinedAction(
            entry=node,
            path=path_of(spec),
            id=spec["action"],
            enabled=node not in self._off,
            removed=node in self._removed,
            definition=masked(definition_fields(spec)),
        )

    def _told(self, node: str, detail: str = "") -> PlanChange:
        spec = self._spec(node)
        if "action" in spec:
            return PlanChange(node, path_of(spec), detail)
        return PlanChange(node, spec["id"], detail or "(stage)")

    def _name(self, node: str) -> str:
        return str(self._spec(node).get("name", ""))

    def _spec(self, node: str) -> dict[str, Any]:
        if node not in self._specs:
            older = self._settings.get(node)
            self._specs[node] = json.loads(older[0] if older else self._fields[f"s{node}"])
        return self._specs[node]

    def _is_kept(self, node: str) -> bool:
        return f"l{node}" in self._fields

    def _links(self, node: str) -> list[str]:
        return self._fields[f"l{node}"].decode().split(",")


def forked_letters(fields: Mapping[str, bytes]) -> dict[str, str]:
    """Return how the nodes of a plan stood with which a fork began; none of a run that is none."""
    letters: dict[str, str] = json.loads(fields.get(FORKED, b"{}"))
    return letters


_Told = tuple[str, PlanChange]
