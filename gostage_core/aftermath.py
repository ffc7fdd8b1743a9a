"""Reads how that went for which an entry waited, and how a scope went whose hooks are to run."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from gostage_core.authoring.waits import HookStart, Outcome
from gostage_core.errors import CorruptRunError
from gostage_core.failure import Failure
from gostage_core.source import RedisSource
from gostage_core.state.client import our_errors
from gostage_core.state.stored import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gostage_core.state.operations import State

_SCOPE_STATUS: Final = {"f": "failed", "s": "skipped"}


class Aftermath:
    """What is read of a run when an entry goes on, or a hook begins."""

    def __init__(self, state: State, run_id: str) -> None:
        self._state = state
        self._run_id = run_id

    def outcome(self, entry: str, path: str) -> Outcome:
        """Return how that went for which *entry* waited.

        Raises:
            CorruptRunError: it cannot be read.
        """
        with self._reading():
            scopes, collected, child, awaited, signal = self._plan(
                *(one + entry for one in "nyuqj")
            )
            if child:
                return self._of_child(child.decode(), path)
            if awaited:
                return Outcome(delivered=self._delivered(entry, awaited.decode(), signal))
            if scopes:
                return self._of_group(scopes.decode().rpartition(",")[2], collected or b"")
        return Outcome()

    def hook_start(self, entry: str) -> HookStart:
        """Return how the scope went whose hook *entry* is.

        Raises:
            CorruptRunError: it cannot be read.
        """
        with self._reading():
            scope = _text(self._plan(f"l{entry}")[0]).split(",")[0]
            record, scratch = self._plan(f"r{scope}", f"h{scope}")
            stop, why = self._header("stop", "why")
            kept = json.loads(scratch) if scratch else {}
            status, error = self._status(_text(record).split("|"), stop, why)
            return HookStart(
                status, error, scratch=kept.get("scratch", ""), entered=kept.get("entered", 0)
            )

    def _status(
        self, record: Sequence[str], stop: bytes | None, why: bytes | None
    ) -> tuple[str, Failure | None]:
        state, failed = record[0], record[9]
        if state == "f" and failed != "0":
            return "failed", self._failure(failed)
        if stop:
            error = Failure.from_data(json.loads(why or b"{}")) if stop == b"failed" else None
            return stop.decode(), error
        return _SCOPE_STATUS.get(state, "completed"), None

    def _of_group(self, scope: str, collected: bytes) -> Outcome:
        record = _text(self._plan(f"r{scope}")[0]).split("|")
        failed = record[9]
        if record[0] == "f":
            return Outcome(failure=self._failure(failed))
        entries = collected.decode().split(",") if collected else []
        return Outcome(results=tuple(self._plan(*(f"v{n}" for n in entries)) if entries else ()))

    def _of_child(self, child_id: str, path: str) -> Outcome:
        child = Aftermath(self._state, child_id)
        status, why, failed = child._header("status", "why", "failed")
        if status is None:
            return Outcome(child_id=child_id, child_status="cancelled")
        failure = None
        if status == b"failed":
            below = child._failure(failed.decode()) if failed else None
            failure = below or Failure.from_data(json.loads(why or b"{}"))
            failure = replace(failure, path="/".join(p for p in (path, failure.path) if p))
        ended_well = status in (b"completed", b"bailed")
        stored = RedisSource(self._state, child_id).dump() if ended_well else {}
        return Outcome(
            failure=failure,
            child_id=child_id,
            child_status=status.decode(),
            child_values={name: whole(one) for name, one in stored.items()},
        )

    def _delivered(self, entry: str, awaited: str, signal: bytes | None) -> bytes | None:
        which = awaited.removeprefix("s")
        if which.isdecimal() and signal is not None:
            name = signal.decode().partition("\n")[0]
            return self._state.answered(self._run_id, entry, int(which), name)
        found = self._plan(f"d{entry} {awaited}")[0]
        what = f"what was brought to entry {entry}"
        vault = self._state.vault
        return found and vault.whole(self._run_id, found, "delivery", entry, awaited, what=what)

    def _failure(self, entry: str) -> Failure:
        """Return the failure of an entry with its place, which the scripts do not write."""
        text, spec = self._plan(f"e{entry}", f"s{entry}")
        failure = Failure.from_data(json.loads(text or b"{}"))
        if failure.path or not spec:
            return failure
        node = json.loads(spec)
        parts = (node["stage"], node.get("in", ""), node["name"])
        return replace(failure, path="/".join(filter(None, parts)), action=node["action"])

    def _plan(self, *names: str) -> list[bytes | None]:
        opened = self._state.vault.whole_field
        found = zip(names, self._fields("plan", names), strict=True)
        return [None if text is None else opened(self._run_id, name, text) for name, text in found]

    def _header(self, *names: str) -> list[bytes | None]:
        opened = self._state.vault.document
        found = self._fields("run", names)
        return [None if text is None else opened(self._run_id, text) for text in found]

    def _fields(self, key: str, names: Sequence[str]) -> list[bytes | None]:
        with our_errors(self._run_id, self._state.settings.redis_url):
            found = self._state.client.hmget(self._state.keys.of(key, self._run_id), list(names))
        return cast("list[bytes | None]", found)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            detail = f"how an entry of its plan went cannot be read ({error!r:.200})"
            raise CorruptRunError(self._run_id, detail) from error


def _text(value: bytes | None) -> str:
    if value is None:
        raise LookupError("a field of the plan is not there")
    return value.decode()
