"""Writes the entries of a run's history as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from gostage_workers.cli.tree import first_line, worker_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.journal import JournalEntry
    from gostage_core.run import Run

_KIND_WIDTH: Final = len("action.completed") + 2

_STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "lost": "yellow",
    "retrying": "yellow",
    "released": "yellow",
    "cancelled": "yellow",
    "halting": "yellow",
    "bailed": "yellow",
    "changed": "magenta",
}


class Places:
    """What the entries of a run's plan are called: ``stage``, or ``stage/action``."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._names: dict[str, str] = {}

    def of(self, entries: list[JournalEntry]) -> list[str]:
        """Return the place of each of *entries*; empty where one is about the run.

        The plan is read at most once for a call, and only where an entry of it is new.
        """
        unknown = {one.entry for one in entries if one.entry} - self._names.keys()
        if unknown:
            plan = self._run.plan
            self._names |= dict.fromkeys(unknown, "")
            self._names |= {stage.entry: stage.id for stage in plan.stages.values()}
            self._names |= {one.entry: f"{one.stage}/{one.name}" for one in plan.actions}
        return [self._names.get(one.entry, "") for one in entries]


def history_line(entry: JournalEntry, place: str) -> Text:
    """Return one entry as a line: when, which, what, where, and what else is to be said of it."""
    kind = entry.kind.rpartition(".")[2]
    line = Text(entry.at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim")
    line.append(f" {entry.sequence:>5}  ", "dim")
    line.append(entry.kind, _STYLES.get(kind, "default"))
    if place:
        line.append(" " * max(2, _KIND_WIDTH - len(entry.kind))).append(place, "bold")
    for part in _details(entry):
        line.append(f"  {part}", "default")
    if entry.actor != "engine" and kind != "changed":
        line.append(f"  by {entry.actor}", "default")
    if entry.reason:
        line.append(f"  {entry.reason}", "yellow")
    return line


def _details(entry: JournalEntry) -> Iterator[str]:
    change = dict(entry.change)
    change.pop("entry", None)
    if change.pop("poison", False):
        yield f"lost its worker {change.pop('lost', 0)} times"
    if (attempt := change.pop("attempt", 1)) != 1:
        yield f"attempt {attempt}"
    if worker := change.pop("worker", ""):
        yield f"on {worker_name(worker)}"
    if (fraction := change.pop("fraction", None)) is not None:
        yield f"{fraction:.0%} {change.pop('message', '')}".rstrip()
    if kind := change.pop("type", ""):
        yield f"{kind}: {first_line(change.pop('message', ''))}"
    yield from _additions(change)
    yield from (f"{name}={value}" for name, value in change.items() if value not in ("", None))


def _additions(change: dict[str, Any]) -> Iterator[str]:
    by = change.pop("by", "")
    for noun in ("actions", "stages"):
        if names := change.pop(noun, None):
            listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            yield f"+{len(names)} {noun if len(names) > 1 else noun[:-1]}: {listed}"
    if by:
        yield f"by {by}"
