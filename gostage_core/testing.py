"""For the tests of people who write actions: a context to call an action with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core.context import ActionContext, AttemptLostError, BailSignal, View
from gostage_core.settings import Settings
from gostage_core.state.operations import Stored
from gostage_core.store import AttemptStore, encoded_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


__all__ = ["AttemptLostError", "BailSignal", "context"]


class _Values:
    """A store's values in memory, encoded as on the server."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._values = dict(values)

    def read(self, names: Sequence[str]) -> list[Stored]:
        return [Stored(self._values.get(name)) for name in names]

    def dump(self) -> dict[str, Stored]:
        return {name: Stored(value) for name, value in self._values.items()}


class _NoEngine:
    """Stands where the engine would: nothing is cancelled, every write is taken."""

    def __init__(self, workflow: View, stage: View, deadline: datetime | None) -> None:
        self._views = (workflow, stage)
        self._deadline = deadline

    def describe(self) -> tuple[View, View]:
        return self._views

    def deadline(self) -> datetime | None:
        return self._deadline

    def has_stage(self, stage_id: str) -> bool:
        return stage_id == self._views[1].id

    def may_go_on(self, progress: str = "") -> bool:
        return True

    def checkpoint(self, store: AttemptStore) -> None:
        """Keep the changes where they are: they are read from there."""


def context(
    store: Mapping[Any, Any] | None = None,
    *,
    run_id: str = "test-run",
    workflow: str = "test",
    stage: str = "test",
    action: str = "test",
    tags: Sequence[str] = (),
    attempt: int = 1,
    deadline: datetime | None = None,
) -> ActionContext:
    """Return a context to call an action with in a unit test: no server, no worker.

    Values go through the same codec and checks as in a run, so what fails there fails here. What
    the action adds to the plan is in ``context.additions``; ``give_up()`` sets ``cancelled``;
    ``bail()`` raises :class:`BailSignal`.

    Args:
        store: values that the action finds, by name or by typed key.
        run_id: of the run that it believes to be in.
        workflow: id of its workflow.
        stage: id of its stage.
        action: its name.
        tags: its tags.
        attempt: which try this is.
        deadline: of the run.

    Raises:
        StoreError: a key or a value of *store* is none that a run could have.
    """
    limit = Settings().max_value_bytes
    values = dict(encoded_value(key, value, limit) for key, value in (store or {}).items())
    return ActionContext(
        run_id=run_id,
        entry="1",
        stage_id=stage,
        action=View(action, action, "", tuple(tags)),
        attempt=attempt,
        store=AttemptStore(_Values(values), place=f"{stage}:11", value_limit=limit, whole=values),
        port=_NoEngine(View(workflow, workflow), View(stage, stage), deadline),
    )
