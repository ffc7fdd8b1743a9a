"""What went wrong in an attempt, as data that outlives the process."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from typing import Any, Final

_MESSAGE_LIMIT: Final = 8_000
_TRACEBACK_LIMIT: Final = 48_000
_CAUSES: Final = 8
_ENCRYPTED: Final = "(encrypted, and this process has no key for it)"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: which action of which stage, what was raised, and why."""

    type: str
    message: str
    path: str = ""
    """``stage/action``; empty where the run failed and no action did."""
    action: str = ""
    attempt: int = 0
    traceback: str = ""
    cause: Failure | None = None

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.type}: {self.message}" if self.message else f"{where}{self.type}"

    def to_json(self) -> str:
        """Return the failure as JSON text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def summary(self) -> str:
        """Return JSON text with what a line of the journal needs: no traceback, no cause."""
        return json.dumps(
            {"attempt": self.attempt, "type": self.type, "message": self.message[:500]},
            separators=(",", ":"),
        )

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Failure:
        """Read what :meth:`to_json` wrote, or what the scripts write of an action that is poison.

        Unknown fields of a later version are left out.
        """
        if data.get("poison"):
            text = f"lost its worker {data['lost']} times; it is not tried again"
            return cls("PoisonedError", text, attempt=data["attempt"])
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known.setdefault("message", _ENCRYPTED)
        if isinstance(known.get("cause"), dict):
            known["cause"] = cls.from_data(known["cause"])
        return cls(**known)


def failure_of(
    error: BaseException, *, path: str = "", action: str = "", attempt: int = 0
) -> Failure:
    """Return *error* as data. Never raises, whatever the exception's own methods do.

    One that carries a failure from below, in its attribute ``failure``, is that failure.
    """
    below = getattr(error, "failure", None)
    if isinstance(below, Failure):
        return below
    text = _safely(lambda: "".join(traceback.format_exception(error)), "traceback not available")
    return Failure(
        type=type(error).__qualname__,
        message=_message(error),
        path=path,
        action=action,
        attempt=attempt,
        traceback=text[-_TRACEBACK_LIMIT:],
        cause=_cause(error, _CAUSES),
    )


def _cause(error: BaseException, depth: int) -> Failure | None:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is None or not depth:
        return None
    return Failure(
        type=type(cause).__qualname__, message=_message(cause), cause=_cause(cause, depth - 1)
    )


def _message(error: BaseException) -> str:
    return _safely(lambda: _noted(error), "message not available")[:_MESSAGE_LIMIT]


def _noted(error: BaseException) -> str:
    """Return the text of *error* with its notes, which say where it comes from."""
    return "; ".join(filter(None, [str(error), *getattr(error, "__notes__", ())]))


def _safely(text: Any, otherwise: str) -> str:
    try:
        return str(text())
    except Exception:  # noqa: BLE001 - an exception's __str__ is user code and may do anything
        return otherwise
