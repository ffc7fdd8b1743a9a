"""Where a run is cut to be forked: what of its plan had ended when an action first began."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gostage_core.errors import ForkError
from gostage_core.planning.replay import forked_letters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gostage_core.journal import JournalEntry

_FINAL: Final = {
    "action.completed": "c",
    "action.skipped": "s",
    "action.failed": "f",
    "action.removed": "m",
    "stage.completed": "c",
    "stage.skipped": "s",
}
"""What an entry is in the end, by the journal."""

_AGAIN: Final = frozenset({"action.reopened", "stage.reopened"})


_NOT_ENDED: Final = frozenset("pm")
_PARTS_OF_A_SCOPE: Final = 10
"""Of its record; that of an action has more."""


@dataclass(slots=True)
class Past:
    """One entry or stage of the plan, as it stood at the cut."""

    state: str = ""
    """The letter of the record that it had, if it had ended."""
    began: int = 0
    ended: int = 0
    """By the server's clock, in ms."""
    attempt: int = 0
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """The history of a run, up to a moment."""

    sequence: int
    """Of the last journal entry before it."""
    last_node: int
    """The highest id of a node that there was."""
    entries: dict[str, Past] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    replaced: dict[str, str] = field(default_factory=dict)
    """The text that a node had, where it was given another one since."""

    def of(self, node: str) -> Past:
        """Return how a node stood."""
        return self.entries.get(node, _NOTHING)


_NOTHING: Final = Past()


def cut_before(
    run_id: str,
    entry: str,
    nodes: int,
    journal: Sequence[JournalEntry],
    plan: Mapping[str, bytes],
) -> Cut:
    """Return how a run with so many *nodes* in its *plan* stood when *entry* first began.

    Raises:
        ForkError: it never did.
    """
    began = (one for one in journal if one.kind == "action.started" and one.entry == entry)
    first = next(began, None)
    if first is None:
        raise ForkError(run_id, "that action has not begun")
    before = [one for one in journal if one.sequence < first.sequence]
    after = [one for one in journal if one.sequence >= first.sequence]
    forked = forked_letters(plan)
    disabled, removed = _marks(before, plan, forked)
    return Cut(
        sequence=first.sequence - 1,
        last_node=_last_node(nodes, after),
        entries=_entries(before, {n: _first(plan, n, letter) for n, letter in forked.items()}),
        disabled=disabled,
        removed=removed,
        replaced=_replaced(after),
    )


def _first(plan: Mapping[str, bytes], node: str, letter: str) -> Past:
    """Return how a node of a fork stood when that began: its record is still that of then."""
    state = "" if letter in _NOT_ENDED else letter
    text = plan.get(f"r{node}")
    if text is None:  # a hook that is to be done again since the run was opened again
        return Past(state)
    record = text.decode().split("|")
    if len(record) == _PARTS_OF_A_SCOPE:
        return Past(state, int(record[5]), int(record[6]))
    return Past(state, int(record[6]), int(record[7]), int(record[1]), record[8])


def _entries(journal: Iterable[JournalEntry], entries: dict[str, Past]) -> dict[str, Past]:
    for one in journal:
        if not one.entry:
            continue
        past = entries.setdefault(one.entry, Past())
        at = round(one.at.timestamp() * 1000)
        if one.kind in _FINAL:
            past.state, past.ended = _FINAL[one.kind], at
        elif one.kind in _AGAIN:
            past.state, past.ended = "", 0
        elif one.kind in ("action.started", "stage.started"):
            past.began = past.began or at
            past.attempt = one.change.get("attempt", 0)
            past.worker = one.change.get("worker", "")
    return entries


def _marks(
    journal: Iterable[JournalEntry], plan: Mapping[str, bytes], forked: Mapping[str, str]
) -> tuple[frozenset[str], frozenset[str]]:
    disabled = {name[1:] for name, text in plan.items() if name[0] == "s" and _is_off(text)}
    removed = {node for node, letter in forked.items() if letter == "m"}
    for word, nodes in _operations(journal):
        if word == "disable":
            disabled.update(nodes)
        elif word == "enable":
            disabled.difference_update(nodes)
        elif word == "remove":
            removed.update(nodes)
    return frozenset(disabled), frozenset(removed)


def _is_off(spec: bytes) -> bool:
    """Tell whether a node was disabled from the start."""
    return b'"off"' in spec and bool(json.loads(spec).get("off"))


def _last_node(nodes: int, after: Iterable[JournalEntry]) -> int:
    """Ids only grow: what was added after the cut has higher ones than what was there."""
    firsts = [nodes + 1]
    for word, parts in _operations(after):
        if word == "add":
            firsts.append(int(parts[2]))
        elif word == "stage":
            firsts.append(int(parts[0]))
        elif word == "open":
            firsts.append(int(parts[1]))
    return min(firsts) - 1


def _replaced(after: Iterable[JournalEntry]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for word, parts in _operations(after):
        if word == "set":
            texts.setdefault(parts[0], parts[1])
    return texts


def _operations(journal: Iterable[JournalEntry]) -> Iterable[tuple[str, list[str]]]:
    for one in journal:
        for word, *parts in one.change.get("ops", ()):
            yield word, parts
