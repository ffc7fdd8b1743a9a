"""Reads of a run's parts from Redis that need no atomic operation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from gostage_core.authoring.definition import WorkflowDefinition
from gostage_core.context_port import View
from gostage_core.damage import readable
from gostage_core.errors import RunNotFoundError
from gostage_core.planning.tree import read_tree
from gostage_core.state.answers import Origin, text_of
from gostage_core.state.client import our_errors
from gostage_core.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from gostage_core.planning.tree import Tree
    from gostage_core.state.answers import Stored
    from gostage_core.state.operations import State


class RedisSource:
    """What is read of one run on demand: each method is one round trip."""

    def __init__(self, state: State, run_id: str) -> None:
        self._state = state
        self._run_id = run_id

    def read(self, names: Sequence[str]) -> list[Stored]:
        """Read these keys of the store."""
        return self._state.read(self._run_id, names)

    def dump(self) -> dict[str, Stored]:
        """Read the whole store."""
        with self._errors():
            names = cast("list[bytes]", self._state.client.hkeys(self._key("store")))
        texts = [name.decode("utf-8", "surrogateescape") for name in names]
        if not texts:
            return {}
        pairs = zip(texts, self._state.read(self._run_id, texts), strict=True)
        return {name: stored for name, stored in pairs if stored.value is not None}

    def describe(self, stage_id: str) -> tuple[View, View]:
        """Read what the workflow and the stage are called."""
        client = self._state.client
        with self._errors():
            header = cast("bytes", client.hget(self._key("run"), "definition"))
            node = cast("bytes", client.hget(self._key("plan"), f"g{stage_id}"))
            spec = cast("bytes", client.hget(self._key("plan"), f"s{node.decode()}"))
        return _view(header), _view(spec)

    def plan(self, *, must: bool = False) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Read the run's header and its whole plan, as they are at one moment.

        What is sealed and cannot be opened here is left out, unless it *must* be there.

        Raises:
            RunNotFoundError: no such run.
            SealedValueError: something must be there, and there is no key for it.
        """
        with self._errors():
            pipeline = self._state.client.pipeline(transaction=True)
            pipeline.hgetall(self._key("run"))
            pipeline.hgetall(self._key("plan"))
            header, fields = (texts_of(part) for part in pipeline.execute())
        if not header:
            raise RunNotFoundError(self._run_id)
        vault, run_id = self._state.vault, self._run_id
        return vault.header(run_id, header, must=must), vault.plan(run_id, fields, must=must)

    def check_keys(self) -> None:
        """Check that what ended the run can be read here.

        Raises:
            SealedValueError: it is encrypted with a key that is not here.
        """
        with self._errors():
            why = cast("bytes | None", self._state.client.hget(self._key("run"), "why"))
        if why is not None:
            self._state.vault.document(self._run_id, why, must=True)

    def workflow(self) -> WorkflowDefinition:
        """Read what the run's workflow is, without its stages."""
        with self._errors():
            text = cast("bytes", self._state.client.hget(self._key("run"), "definition"))
        return workflow_head(self._state.vault.document(self._run_id, text, must=True))

    def origin(self) -> Origin:
        """Read where the run comes from, as its trace tells."""
        with self._errors():
            found = self._state.client.hmget(self._key("run"), "workflow", "trace", "nonce")
        return Origin(*(text_of(one or b"") for one in cast("list[bytes | None]", found)))

    def deadline_ms(self) -> int | None:
        """Read the run's deadline by the server's clock."""
        with self._errors():
            value = cast("bytes | None", self._state.client.hget(self._key("run"), "deadline"))
        return None if value is None else round(float(value))

    def tree(self) -> Tree:
        """Read the run's whole plan, to be changed.

        Raises:
            RunNotFoundError: no such run.
            CorruptRunError: it is not one of ours.
            SealedValueError: something of it is sealed with a key that is not here.
        """
        header, fields = self.plan(must=True)
        with readable(self._run_id, "plan"):
            return read_tree(fields, RunStatus(header["status"].decode()))

    def awaited_type(self, signal: str) -> str:
        """Read what is to come by the entry that has waited longest for a signal; empty for any."""
        with self._errors(), readable(self._run_id, "inbox"):
            waiting = cast(
                "bytes | None", self._state.client.hget(self._key("inbox"), f"w{signal}")
            )
            if waiting is None:
                return ""
            entry = waiting.decode().partition(":")[0]
            text = cast("bytes | None", self._state.client.hget(self._key("plan"), f"j{entry}"))
            return "" if text is None else text.decode().partition("\n")[2]

    def has_stage(self, stage_id: str) -> bool:
        """Ask the plan for a stage of this id."""
        with self._errors():
            return bool(self._state.client.hexists(self._key("plan"), f"g{stage_id}"))

    def _key(self, name: str) -> str:
        return self._state.keys.of(name, self._run_id)

    def _errors(self) -> AbstractContextManager[None]:
        return our_errors(self._run_id, self._state.settings.redis_url)


def texts_of(fields: Any) -> dict[str, bytes]:
    """Return the fields of a hash with names as text, whatever they are."""
    return {name.decode("utf-8", "surrogateescape"): value for name, value in fields.items()}


def workflow_head(text: bytes) -> WorkflowDefinition:
    """Return a workflow without its stages, from the text in its run's header."""
    return WorkflowDefinition.model_validate({**json.loads(text), "stages": ()})


def _view(text: bytes) -> View:
    data = json.loads(text)
    return View(
        data["id"],
        data.get("name") or data["id"],
        data.get("description", ""),
        tuple(data.get("tags", ())),
    )
