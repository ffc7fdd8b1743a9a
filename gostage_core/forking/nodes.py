"""The plan of a fork: the nodes that there were at the cut, numbered anew in plan order."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from gostage_core.plan import entry_texts
from gostage_core.planning.replay import FORKED
from gostage_core.planning.settings import definition_from, marks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gostage_core.forking.cut import Cut

ROOT: Final = "0"
_LINKS_OF_AN_ACTION: Final = 3
_UP, _NEXT, _FIRST, _LAST = range(4)
_HOOKS: Final = (8, 9)
_BY, _ORDER = 10, 11
_OVER: Final = frozenset("csm")
_TOLD, _TOLD_OF_STAGES = frozenset("csfm"), frozenset("csmp")


class Nodes:
    """Reads the plan of a run as of a cut, and writes it as the plan of another one."""

    def __init__(self, fields: Mapping[str, bytes], cut: Cut) -> None:
        self._fields = fields
        self._cut = cut
        self._names: dict[str, str] = {ROOT: ROOT}
        self._members: dict[str, list[str]] = {}
        self._following: dict[str, str] = {}
        self._owned: dict[str, list[str]] = {}
        self._number(ROOT)

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self._names) - 1

    def written(self) -> dict[str, str]:
        """Return the fields of the new plan."""
        fields: dict[str, str] = {f"r{ROOT}": _scope_record("p", 0, 0)}
        for node, name in self._names.items():
            fields[f"l{name}"] = self._links_text(node)
            if node != ROOT:
                fields.update(self._texts(node, name))
            if record := self._record(node):
                fields[f"r{name}"] = record
        fields[FORKED] = _compact(dict(self._letters(fields)))
        for node, scopes in self._owned.items():
            fields[f"n{self._names[node]}"] = ",".join(map(self._names.__getitem__, scopes))
            fields[f"y{self._names[node]}"] = self._collected(node)
        return fields

    def _letters(self, fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield how actions and stages stand that the journal of the new run will not tell of."""
        for node, name in self._names.items():
            letter = fields.get(f"r{name}", "")[:1]
            if self._is_scope(node):
                is_told = self._is_stage(node) and letter in _TOLD_OF_STAGES
            else:
                is_told = letter in _TOLD
            if is_told:
                yield name, letter

    def _number(self, scope: str) -> None:
        """Number what a scope holds: within each scope ids then follow the order of the plan."""
        links = self._links(scope)
        for hook in (links[at] for at in _HOOKS):
            if hook != ROOT:
                self._name(hook)
        members = self._members[scope] = list(self._filtered(links[_FIRST]))
        self._following.update(pairwise(members))
        for node in members:
            self._name(node)
        for node in members:
            if self._is_scope(node):
                self._number(node)
            else:
                self._number_owned(node)

    def _number_owned(self, node: str) -> None:
        owned = [one for one in self._text(f"n{node}").split(",") if one and self._was_there(one)]
        if owned:
            self._owned[node] = owned
        for one in owned:
            self._name(one)
            self._number(one)

    def _name(self, node: str) -> None:
        self._names[node] = str(len(self._names))

    def _filtered(self, first: str) -> Iterator[str]:
        node = first
        while node != ROOT:
            if self._was_there(node):
                yield node
            node = self._links(node)[_NEXT]

    def _was_there(self, node: str) -> bool:
        return int(node) <= self._cut.last_node

    def _is_scope(self, node: str) -> bool:
        return len(self._links(node)) > _LINKS_OF_AN_ACTION

    def _is_stage(self, node: str) -> bool:
        return node != ROOT and self._is_scope(node) and self._links(node)[_UP] == ROOT

    def _links(self, node: str) -> list[str]:
        return self._text(f"l{node}").split(",")

    def _text(self, field: str) -> str:
        return self._fields.get(field, b"").decode("utf-8", "surrogateescape")

    def _links_text(self, node: str) -> str:
        links = self._links(node)
        links[_UP] = self._names[links[_UP]]
        links[_NEXT] = self._names.get(self._following.get(node, ROOT), ROOT)
        if self._is_scope(node):
            members = self._members.get(node, [])
            links[_FIRST] = self._names[members[0]] if members else ROOT
            links[_LAST] = self._names[members[-1]] if members else ROOT
            for at in (*_HOOKS, _BY):
                links[at] = self._names.get(links[at], ROOT)
        elif self._replaced(node) is not None:
            _, _, limits, throttle = self._replaced_texts(node)
            links[-1] = f"{limits}{'T' if throttle else ''}"
        return ",".join(links)

    def _texts(self, node: str, name: str) -> dict[str, str]:
        texts = {letter: self._text(f"{letter}{node}") for letter in ("s", "c", "t", "i")}
        if self._replaced(node) is not None:
            texts["s"], texts["c"], _, texts["t"] = self._replaced_texts(node)
        spec = json.loads(texts["s"])
        off = {"off": 1} if node in self._cut.disabled else {}
        if "of" in spec or off or "off" in spec:
            kept = {key: value for key, value in spec.items() if key != "off"}
            owner = {"of": self._names[spec["of"]]} if "of" in spec else {}
            texts["s"] = _compact({**kept, **owner, **off})
        fields = {f"{letter}{name}": text for letter, text in texts.items() if text}
        if self._is_stage(node):
            fields[f"g{spec['id']}"] = name
        for letter in self._kept(node):
            if text := self._text(f"{letter}{node}"):
                fields[f"{letter}{name}"] = text
        return fields

    def _kept(self, node: str) -> tuple[str, ...]:
        """What is kept of a node that had ended: error, value, handler, what its hooks left."""
        if self._is_scope(node):
            return ("h",)
        return ("e", "v", "b") if self._is_over(node) else ()

    def _replaced(self, node: str) -> str | None:
        return self._cut.replaced.get(node)

    def _replaced_texts(self, node: str) -> tuple[str, str, str, str]:
        spec: dict[str, Any] = json.loads(self._cut.replaced[node])
        return entry_texts(definition_from(spec), marks_of(spec))

    def _is_over(self, node: str) -> bool:
        past = self._cut.of(node)
        return past.state in _OVER or (past.state == "f" and f"b{node}" in self._fields)

    def _record(self, node: str) -> str:
        if node == ROOT:
            return ""
        if self._is_scope(node):
            return self._record_of_scope(node)
        past = self._cut.of(node)
        if self._is_over(node):
            return _record(past.state, past.attempt, past.began, past.ended, past.worker)
        if node in self._cut.removed:
            return _record("m", 0, 0, 0, "")
        if node in self._owned:
            return _record("p", 0, 0, 0, "", phase=self._phase(node))
        return _record("d", 0, 0, 0, "") if node in self._cut.disabled else ""

    def _phase(self, node: str) -> int:
        """Return the phase in which an entry waits for the last of the scopes that it owns."""
        return int(self._links(self._owned[node][-1])[_ORDER])

    def _record_of_scope(self, node: str) -> str:
        past = self._cut.of(node)
        if past.state in _OVER:
            return _scope_record(past.state, past.began, past.ended)
        if node in self._cut.removed:
            return _scope_record("m", 0, 0)
        if past.began:
            return _scope_record("p", past.began, 0)
        if node in self._cut.disabled:
            return _scope_record("d", 0, 0)
        return "" if self._is_stage(node) else self._record_of_nested(node)

    def _record_of_nested(self, node: str) -> str:
        """The journal says nothing of scopes in scopes: what is in them tells."""
        members = self._members[node]
        owner = self._links(node)[_UP]
        siblings = self._owned.get(owner, [])
        if self._is_over(owner) or (node in siblings and node != siblings[-1]):
            return _scope_record("c", 1, 1)
        if members and all(map(self._has_ended, members)):
            return _scope_record("c", 1, 1) if node not in siblings else _scope_record("p", 1, 0)
        begun = node in siblings or any(map(self._has_begun, members))
        return _scope_record("p", 1, 0) if begun else ""

    def _has_ended(self, node: str) -> bool:
        if self._is_scope(node):
            return all(map(self._has_ended, self._members[node]))
        return self._is_over(node)

    def _has_begun(self, node: str) -> bool:
        if self._is_scope(node):
            return any(map(self._has_begun, self._members[node]))
        return bool(self._cut.of(node).began)

    def _collected(self, node: str) -> str:
        """Return the entries of the last group whose values are collected, if they were there."""
        collected = [one for one in self._text(f"y{node}").split(",") if one]
        if not all(one in self._names for one in collected):
            return ""
        return ",".join(self._names[one] for one in collected)


def _record(state: str, attempt: int, began: int, ended: int, worker: str, phase: int = 0) -> str:
    return f"{state}|{attempt}|0|0||0|{began}|{ended}|{worker}|0|{phase}|0"


def _scope_record(state: str, began: int, ended: int) -> str:
    return f"{state}|0|0|0||{began}|{ended}|0|0|0"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
