"""Where a run is cut to be forked: what of its plan had ended when an action first began."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gostage_core.errors import ForkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    waits: int = 0
    """How often it had waited for something."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The history of a run, up to a moment."""

    sequence: int
    """Of the last journal entry before it."""
    last_node: int
    """The highest id of a node that there was."""
    entries: dict[str, Past] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    enabled: frozenset[str] = frozenset()
    """Those that were enabled and not disabled since."""
    removed: frozenset[str] = frozenset()
    replaced: dict[str, str] = field(default_factory=dict)
    """The text that a node had, where it was given another one since."""
    told: frozenset[str] = frozenset()
    """The nodes of which the journal tells, at whatever time."""
    forked_at: int | None = None
    """When the run began as a fork itself, in ms: of what had ended by then its journal tells
    nothing, only the plan."""

    def of(self, node: str) -> Past:
        """Return how a node stood."""
        return self.entries.get(node, _NOTHING)


_NOTHING: Final = Past()


def cut_before(run_id: str, entry: str, nodes: int, journal: Sequence[JournalEntry]) -> Cut:
    """Return how a run with so many *nodes* stood when *entry* first began.

    Raises:
        ForkError: it never did.
    """
    began = (one for one in journal if one.kind == "action.started" and one.entry == entry)
    first = next(began, None)
    if first is None:
        raise ForkError(run_id, "that action has not begun")
    before = [one for one in journal if one.sequence < first.sequence]
    after = [one for one in journal if one.sequence >= first.sequence]
    disabled, enabled, removed = _marks(before)
    return Cut(
        sequence=first.sequence - 1,
        last_node=_last_node(nodes, after),
        entries=_entries(before),
        disabled=disabled,
        enabled=enabled,
        removed=removed,
        replaced=_replaced(after),
        told=_told(journal),
        forked_at=_ms(journal[0]) if "forked" in journal[0].change else None,
    )


def _entries(journal: Iterable[JournalEntry]) -> dict[str, Past]:
    entries: dict[str, Past] = {}
    for one in journal:
        if not one.entry:
            continue
        past = entries.setdefault(one.entry, Past())
        at = _ms(one)
        if one.kind in _FINAL:
            past.state, past.ended = _FINAL[one.kind], at
        elif one.kind in _AGAIN:
            past.began = past.began or at
            past.state, past.ended = "", 0
        elif one.kind in ("action.started", "stage.started"):
            past.began = past.began or at
            past.attempt = one.change.get("attempt", 0)
            past.worker = one.change.get("worker", "")
        elif one.kind == "action.waiting":
            past.waits += 1
    return entries


def _marks(journal: Iterable[JournalEntry]) -> tuple[frozenset[str], ...]:
    disabled: set[str] = set()
    enabled: set[str] = set()
    removed: set[str] = set()
    for word, nodes in _operations(journal):
        if word == "disable":
            disabled.update(nodes)
            enabled.difference_update(nodes)
        elif word == "enable":
            enabled.update(nodes)
            disabled.difference_update(nodes)
        elif word == "remove":
            removed.update(nodes)
    return frozenset(disabled), frozenset(enabled), frozenset(removed)


def _told(journal: Iterable[JournalEntry]) -> frozenset[str]:
    entries = {one.entry for one in journal}
    changed = (
        nodes for word, nodes in _operations(journal) if word in ("disable", "enable", "remove")
    )
    return frozenset(entries.union(*changed))


def _ms(entry: JournalEntry) -> int:
    return round(entry.at.timestamp() * 1000)


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
