"""Writes the entries of a run's history as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from gostage_core.moments import moment
from gostage_workers.cli.output import count
from gostage_workers.cli.plan_lines import first_line, worker_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gostage_core.journal import JournalEntry
    from gostage_core.run import Run

_KIND_WIDTH: Final = len("action.completed") + 2

_ADDING: Final = {"add": "action", "open": "action", "stage": "stage"}

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

    @property
    def names(self) -> Mapping[str, str]:
        """What is known so far, by entry."""
        return self._names

    def of(self, entries: list[JournalEntry]) -> list[str]:
        """Return the place of each of *entries*; empty where one is about the run.

        The plan is read at most once for a call, and only where an entry of it is new.
        """
        unknown = {one.entry for one in entries if one.entry}
        unknown |= {node for one in entries for op in _ops(one) for node in _nodes(op)}
        unknown |= {node for one in entries for node in _skipped(one)}
        unknown -= self._names.keys()
        if unknown:
            plan = self._run.plan
            self._names |= dict.fromkeys(unknown, "")
            self._names |= {stage.entry: stage.id for stage in plan.stages.values()}
            self._names |= {one.entry: one.path for one in (*plan.actions, *plan.hooks)}
        return [self._names.get(one.entry, "") for one in entries]


def history_line(entry: JournalEntry, place: str, names: Mapping[str, str]) -> Text:
    """Return one entry as a line: when, which, what, where, and what else is to be said of it.

    *names* are what the entries of the plan are called.
    """
    kind = entry.kind.rpartition(".")[2]
    line = Text(entry.at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim")
    line.append(f" {entry.sequence:>5}  ", "dim")
    line.append(entry.kind, _STYLES.get(kind, "default"))
    if place:
        line.append(" " * max(2, _KIND_WIDTH - len(entry.kind))).append(place, "bold")
    for part in (*_details(entry), *_left_out(entry, names), *_plan_changes(entry, names)):
        line.append(f"  {part}", "default")
    if entry.actor != "engine":
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
    if what := change.pop("for", ""):
        yield f"for {what} {change.pop(what, '')}".rstrip()
    if until := moment(change.pop("until", 0)):
        yield f"until {until.astimezone():%Y-%m-%d %H:%M:%S}"
    if change.pop("forced", False):
        yield "by force"
    for name in ("ops", "by", "skipped"):
        change.pop(name, None)
    yield from (f"{name}={value}" for name, value in change.items() if value not in ("", None))


def _plan_changes(entry: JournalEntry, names: Mapping[str, str]) -> Iterator[str]:
    """Say what a change of the plan was: ``+2: ship/a, ship/b``, ``disabled notify``."""
    for op in _ops(entry):
        nodes = [name for node in _nodes(op) if (name := names.get(node))]
        listed = ", ".join(nodes[:5]) + (", …" if len(nodes) > 5 else "")
        if op[0] in _ADDING:
            yield f"+{count(len(nodes), _ADDING[op[0]])}: {listed}"
        else:
            yield f"{op[0]} {listed}"


def _left_out(entry: JournalEntry, names: Mapping[str, str]) -> Iterator[str]:
    """Say which actions a retry leaves out."""
    if skipped := _skipped(entry):
        yield f"without {', '.join(names.get(node) or f'#{node}' for node in skipped)}"


def _skipped(entry: JournalEntry) -> list[str]:
    found = entry.change.get("skipped")
    return list(map(str, found)) if isinstance(found, list) else []


def _ops(entry: JournalEntry) -> list[list[str]]:
    ops = entry.change.get("ops")
    return [op for op in ops if op] if isinstance(ops, list) else []


def _nodes(op: list[str]) -> list[str]:
    """Return the entries that an operation on the plan is about."""
    word, *rest = op
    match word:
        case "stage":
            return rest[:1]
        case "add" | "open" if all(map(str.isdecimal, rest)):
            return [str(node) for node in range(int(rest[-2]), int(rest[-1]) + 1)]
        case "set":
            return rest[:1]
    return rest
