"""Says of a run what it waits for, or what became of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gostage_core.damage import readable
from gostage_core.errors import CorruptRunError, RunNotFoundError
from gostage_core.planning.tree import path_of, read_tree
from gostage_core.reasons import Entries, Reason, clock, in_line, one_line
from gostage_core.source import RedisSource
from gostage_core.standing import read_throttled
from gostage_core.status import RunStatus
from gostage_core.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gostage_core.reasons import Places
    from gostage_core.state.operations import State
    from gostage_core.summary import RunSummary

_DEEPEST: Final = 10
"""How far down child runs are followed."""

_LONGEST: Final = 1_000
"""Characters of what is told of a run: messages of errors may be of any length."""

_VERDICTS: Final = {"failed": "failed", "cancelled": "was cancelled"}

_UNDONE: Final = {
    None: "",
    True: "; what it had done is undone",
    False: "; not all that it had done is undone, see 'gostage runs show'",
}


@dataclass(frozen=True, slots=True)
class Why:
    """What a run waits for, or what became of it; ``str()`` says it in one line."""

    run_id: str
    status: RunStatus
    text: str
    """Of the whole run, in one line."""
    reasons: tuple[Reason, ...] = ()
    """Of each entry that lives, the most telling first."""

    def __str__(self) -> str:
        return f"{self.run_id} is {self.status}: {self.text}"


def explain(state: State, run_id: str, places: Places = lambda *_: None, *, depth: int = 0) -> Why:
    """Return why a run stands as it does.

    *places* tells how many messages stand before those of a run in a queue, by entry; ``None``
    where that is not known.

    Raises:
        RunNotFoundError: no such run.
        CorruptRunError: it cannot be read.
    """
    header, fields = RedisSource(state, run_id).plan()
    summary = summary_of(run_id, header)
    below = partial(_child, state, places, depth + 1)
    with readable(run_id, "plan"):
        reasons: tuple[Reason, ...] = ()
        if not summary.status.is_terminal:
            state.inspect(run_id)  # nothing of it goes on that is damaged there
            read_tree(fields, summary.status)
            entries = Entries(state, run_id, fields, places, below, is_paused="paused" in header)
            reasons = tuple(entries.reasons())
        text = one_line(_Teller(state, run_id, header, fields).of_run(summary, reasons))
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    return Why(run_id, summary.status, text, reasons)


def _child(state: State, places: Places, depth: int, child_id: str) -> str:
    """Tell how a child run stands, whatever became of it."""
    if depth > _DEEPEST:
        return f"{child_id}, which waits for others"
    try:
        return str(explain(state, child_id, places, depth=depth))
    except RunNotFoundError:
        return f"{child_id}, which is gone"
    except CorruptRunError as error:
        return f"{child_id}, which cannot be read: {error.detail}"


class _Teller:
    """Tells of one run, as it was read."""

    def __init__(
        self,
        state: State,
        run_id: str,
        header: Mapping[str, bytes],
        fields: Mapping[str, bytes],
    ) -> None:
        self._state = state
        self._run_id = run_id
        self._header = header
        self._fields = fields

    def of_run(self, summary: RunSummary, reasons: tuple[Reason, ...]) -> str:
        if summary.status.is_terminal:
            return self._end(summary)
        if "paused" in self._header:
            return _by(self._json("paused"))
        if "held" in self._header:
            text = self._text("throttle")
            return in_line(read_throttled(self._state, text, f"{self._run_id} 0"))
        if "verdict" in self._header:
            verdict = self._text("verdict")
            doing = f"it {_VERDICTS.get(verdict, verdict)}, and what it had done is undone"
            return f"{doing}; {_first(reasons)}" if reasons else doing
        if "stop" in self._header:
            asked = f"it is to end as {self._text('stop')} {_by(self._json('why'))}"
            return f"{asked}; {_first(reasons)}" if reasons else asked
        return _first(reasons) if reasons else "it is about to go on"

    def _end(self, summary: RunSummary) -> str:
        at = clock(int(self._header["ended"]))
        undone = _UNDONE[summary.compensated]
        if summary.status is RunStatus.FAILED:
            return f"{self._failed(summary)}, at {at}{undone}"
        if summary.status is RunStatus.CANCELLED:
            return f"{_by(self._json('why'))}, at {at}{undone}"
        if summary.status is RunStatus.BAILED:
            return f"ended early on purpose, {summary.bail_reason}, at {at}"
        return f"it has done all there was to do, at {at}"

    def _failed(self, summary: RunSummary) -> str:
        entry = self._text("failed")
        error = summary.error
        path = error.path if error else ""
        if not path and f"s{entry}" in self._fields:
            path = path_of(json.loads(self._fields[f"s{entry}"]))
        what = f"{error.type}: {error.message}" if error else "it failed"
        attempt = f", attempt {error.attempt}" if error and error.attempt > 1 else ""
        return f"{path} failed with {what}{attempt}" if path else what

    def _text(self, name: str) -> str:
        return self._header.get(name, b"").decode("utf-8", "surrogateescape")

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._header.get(name, b"{}"))
        return found


def _by(details: Mapping[str, Any]) -> str:
    """Say by whom and why, or because of which error, or that it was on purpose."""
    if "type" in details:
        return f"with {details['type']}: {details.get('message', '')}"
    who = f"by {details['actor']}" if details.get("actor") else "on purpose"
    return f"{who}: {details['reason']}" if details.get("reason") else who


def _first(reasons: tuple[Reason, ...]) -> str:
    first = reasons[0]
    more = f" (and {len(reasons) - 1:,} more)" if len(reasons) > 1 else ""
    return f"{first.path} {first.text}{more}"
