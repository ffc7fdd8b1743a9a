"""Makes a new run out of an old one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gostage_core.damage import readable
from gostage_core.errors import ForkError, HistoryLostError, RunExistsError, RunNotFoundError
from gostage_core.forking.cut import cut_before
from gostage_core.forking.nodes import Nodes
from gostage_core.forking.values import value_arguments, values_at
from gostage_core.journal import JournalEntry
from gostage_core.planning.finding import called
from gostage_core.planning.tree import read_tree
from gostage_core.sealing.texts import header_text
from gostage_core.source import texts_of, workflow_head
from gostage_core.state.answers import Stored
from gostage_core.state.client import our_errors
from gostage_core.state.stored import opened
from gostage_core.status import RunStatus
from gostage_core.store import encoded_value
from gostage_core.tracing.current import carrier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gostage_core.edit import Edit
    from gostage_core.planning.plan_edit import PlanEdit
    from gostage_core.state.answers import Answer
    from gostage_core.state.operations import State

_TRIES: Final = 10
"""How often a run is read that goes on while it is."""


@dataclass(frozen=True, slots=True)
class Original:
    """All that there is of a run, as of one moment."""

    header: dict[str, bytes]
    plan: dict[str, bytes]
    journal: list[JournalEntry]
    past: list[bytes]
    store: dict[str, Stored]


class Fork:
    """One fork of one run."""

    def __init__(self, state: State, run_id: str) -> None:
        self._state = state
        self._run_id = run_id

    def submit(
        self,
        *,
        at: str,
        run_id: str,
        store: Mapping[Any, Any],
        edit: Callable[[PlanEdit], object] | None,
        editor: Edit,
        details: Mapping[str, object],
    ) -> Answer:
        """Create the run *run_id*, which goes on from *at* as this one did."""
        original = self._read()
        with readable(self._run_id, "plan"):
            tree = read_tree(original.plan, RunStatus(original.header["status"].decode()))
            entry, path = self._entry(called(tree, at))
            nodes_of_all = int(original.header["nodes"])
            cut = cut_before(self._run_id, entry, nodes_of_all, original.journal, original.plan)
            if int(original.header.get("past_lost", b"0")) > cut.sequence:
                raise ForkError(
                    self._run_id,
                    f"its store as it was when {path!r} began is not kept any more; raise "
                    f"GOSTAGE_MAX_PAST_BYTES for runs that are to be forked",
                )
            nodes = Nodes(original.plan, cut)
            fields = nodes.written()
            values = self._opened(values_at(cut.sequence, original.store, original.past))
            head = self._head(original, {**details, "at": path})
        limit = self._state.settings.max_value_bytes
        for key, value in store.items():
            name, data = encoded_value(key, value, limit)
            values[name] = Stored(data)
        edits = [0] if edit is None else self._edited(original, fields, edit, editor)
        answer = self._state.fork(
            run_id,
            head=head,
            nodes=nodes.count,
            fields=fields,
            values=value_arguments(values),
            edit_details=editor.details,
            edits=edits,
        )
        if answer.word == "taken":
            raise RunExistsError(run_id)
        if answer.word != "created":
            raise editor.refusal(answer)
        return answer

    def _edited(
        self,
        original: Original,
        fields: Mapping[str, str],
        edit: Callable[[PlanEdit], object],
        editor: Edit,
    ) -> list[object]:
        """Return what *edit* changes in the new plan, before it begins."""
        encoded = {name: text.encode("utf-8", "surrogateescape") for name, text in fields.items()}
        with readable(self._run_id, "plan"):
            tree = read_tree(encoded, RunStatus.RUNNING)
            plan = editor.over(tree, workflow_head(original.header["definition"]), 1)
        edit(plan)
        return editor.arguments(plan)

    def _entry(self, found: list[Any]) -> tuple[str, str]:
        if len(found) > 1:
            paths = ", ".join(f"{one.path} (entry {one.entry})" for one in found[:10])
            raise ForkError(
                self._run_id, f"several actions are called so: {paths}; name one by its entry"
            )
        return found[0].entry, found[0].path

    def _head(self, original: Original, details: Mapping[str, object]) -> list[object]:
        """Return the head of the new run, as the scripts read that of any: without stages."""
        header, bounds = original.header, self._state.settings.bounds
        tags = [tag for tag in json.loads(header["tags"]) if tag]
        definition = header_text(header["definition"].decode())
        limits = (int(header[name]) for name in ("most_actions", "most_stages", "most_children"))
        return [
            *(self._state.machine.token(), "", "join", header["workflow"], definition),
            *(0, bounds.retention_ms, "", header.get("throttle", b""), header.get("group", b"")),
            *limits,
            *(bounds.journal, bounds.store_bytes, bounds.past_bytes, bounds.grace_ms),
            *(json.dumps(details, separators=(",", ":")), "", carrier()),
            *(len(tags), *tags),
            *(0, "", "", "", "", 0),
        ]

    def _read(self) -> Original:
        """Read a run while nothing of it changes.

        Raises:
            RunNotFoundError: no such run.
            HistoryLostError: its journal does not go back to its beginning.
            ForkError: it moves on all the time.
        """
        for _ in range(_TRIES):
            original = self._read_once()
            if original is not None:
                return original
        raise ForkError(self._run_id, "it moves on while it is read; pause it first")

    def _read_once(self) -> Original | None:
        client, keys = self._state.client, self._state.keys
        with our_errors(self._run_id, self._state.settings.redis_url):
            pipeline = client.pipeline(transaction=True)
            for name in ("run", "plan", "store", "meta"):
                pipeline.hgetall(keys.of(name, self._run_id))
            for name in ("journal", "past"):
                pipeline.lrange(keys.of(name, self._run_id), 0, -1)
            header, plan, store, meta, journal, past = pipeline.execute()
            if not header:
                raise RunNotFoundError(self._run_id)
            if b"forgotten" in header:
                raise HistoryLostError(self._run_id, "how it began, and cannot be forked")
            values = self._values(texts_of(store), texts_of(meta))
            length = client.llen(keys.of("journal", self._run_id))
            size = client.hget(keys.of("run", self._run_id), "bytes")
        if length != len(journal) or size != header.get(b"bytes"):
            return None  # checkpoints of a body write no journal
        with readable(self._run_id, "journal"):
            told = partial(self._state.vault.details, self._run_id)
            entries = [JournalEntry.from_text(i, text, told) for i, text in enumerate(journal, 1)]
            fields = {
                name: self._state.vault.whole_field(self._run_id, name, text)
                for name, text in texts_of(plan).items()
            }
        return Original(self._opened_header(texts_of(header)), fields, entries, past, values)

    def _opened_header(self, header: dict[str, bytes]) -> dict[str, bytes]:
        text = self._state.vault.document(self._run_id, header["definition"], must=True)
        return {**header, "definition": text}

    def _opened(self, values: Mapping[str, Stored]) -> dict[str, Stored]:
        """Return values of this run as the new one takes them."""
        opener = partial(self._state.vault.opener, self._run_id)
        return {key: opened(one._replace(opener=opener(key))) for key, one in values.items()}

    def _values(self, store: dict[str, bytes], meta: dict[str, bytes]) -> dict[str, Stored]:
        lists = [name for name, value in store.items() if value.startswith(b"L")]
        pipeline = self._state.client.pipeline(transaction=False)
        for name in lists:
            pipeline.lrange(self._state.keys.of("items", self._run_id, name), 0, -1)
        items = dict(zip(lists, map(tuple, pipeline.execute() if lists else ()), strict=True))
        return {
            name: Stored(value, meta.get(name), items.get(name)) for name, value in store.items()
        }
