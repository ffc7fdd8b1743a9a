"""For the tests of people who write actions: a context to call an action with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from gostage_core.authoring.definition import ActionDefinition, StageDefinition
from gostage_core.authoring.waits import NO_ITEM, HookStart, Outcome
from gostage_core.context import ActionContext
from gostage_core.context_port import View
from gostage_core.leaving import AttemptLostError, BailSignal, WaitSignal
from gostage_core.machine import MACHINE
from gostage_core.messages import check_type, payload_text
from gostage_core.middleware.context import HookContext
from gostage_core.planning.planned import planned_tree, running
from gostage_core.settings import Settings
from gostage_core.state.answers import Stored
from gostage_core.store import AttemptStore, encoded_value
from gostage_core.testing.given import GivenResources
from gostage_core.values.codec import encode, to_tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Literal

    from gostage_core.authoring.workflow import Stage
    from gostage_core.middleware.context import HookName
    from gostage_core.planning.tree import Tree


_OWN_ENTRY: Final = "1"
_ADVICE: Final = "give it one: context(resources={{{name!r}: …}})"

__all__ = [
    "AttemptLostError",
    "BailSignal",
    "TrialContext",
    "WaitSignal",
    "context",
    "hook_context",
]


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

    machine = MACHINE

    def __init__(
        self,
        workflow: View,
        stage: View,
        deadline: datetime | None,
        outcome: Outcome,
        plan: Tree,
        signals: Mapping[str, Sequence[object]],
    ) -> None:
        self._views = (workflow, stage)
        self._deadline = deadline
        self._plan = plan
        self._outcome = outcome
        self.messages: list[tuple[str, Any]] = []
        self.published: list[tuple[Any, ...]] = []
        self._signals = {name: list(payloads) for name, payloads in signals.items()}
        self._memory: dict[str, bytes] = {}

    def publish(self, *args: Any, **options: Any) -> None:
        self.published.append((*args, options))

    def describe(self) -> tuple[View, View]:
        return self._views

    def deadline(self) -> datetime | None:
        return self._deadline

    def has_stage(self, stage_id: str) -> bool:
        return any(stage.id == stage_id for stage in self._plan.stages)

    def plan(self) -> Tree:
        return self._plan

    def admit(self, actions: Sequence[ActionDefinition]) -> None:
        """Let everything be added: there are no guard rails."""

    def outcome(self) -> Outcome:
        return self._outcome

    def keeps_result(self) -> bool:
        return True

    def hook_start(self) -> HookStart:
        return HookStart("completed")

    def send(self, type: str, payload: object) -> None:
        kind = check_type(type)
        text = payload_text(kind, payload, Settings().max_message_bytes)
        self.messages.append((kind, json.loads(text)))

    def answer(self, which: int, name: str) -> bytes | None:
        waiting = self._signals.get(name)
        return b"v" + encode(waiting.pop(0)) if waiting else None

    def remembered(self, what: str) -> bytes | None:
        return self._memory.get(what)

    def remember(self, what: str, value: object) -> None:
        self._memory[what] = encode(value)

    def may_go_on(self, progress: str = "") -> bool:
        return True

    def checkpoint(self, store: AttemptStore) -> None:
        """Keep the changes where they are: they are read from there."""


class TrialContext(ActionContext):
    """The context of an attempt that is no run's."""

    def __init__(self, *, port: _NoEngine, **given: Any) -> None:
        super().__init__(port=port, **given)
        self.sent = port.messages
        """What the action has sent: type and payload of each message, in order."""
        self.published = port.published
        """The messages of other Celery tasks that it has published: what it gave, and options."""


def context(
    store: Mapping[Any, Any] | None = None,
    *,
    resources: Mapping[str, object] | None = None,
    run_id: str = "test-run",
    workflow: str = "test",
    stage: str = "test",
    action: str = "test",
    tags: Sequence[str] = (),
    attempt: int = 1,
    deadline: datetime | None = None,
    item: object = NO_ITEM,
    index: int | None = None,
    phase: int = 0,
    outcome: Outcome | None = None,
    plan: Sequence[Stage] = (),
    signals: Mapping[str, Sequence[object]] | None = None,
) -> TrialContext:
    """Return a context to call an action with in a unit test: no server, no worker.

    Values go through the same codec and checks as in a run, so what fails there fails here. What
    the action adds to the plan is in ``context.additions``, what it sends in ``context.sent``;
    ``give_up()`` sets ``cancelled``; ``bail()`` raises :class:`BailSignal`.

    Args:
        store: values that the action finds, by name or by typed key.
        resources: what the action finds in ``ctx.resources``, by name; most often fakes.
        run_id: of the run that it believes to be in.
        workflow: id of its workflow.
        stage: id of its stage.
        action: its name.
        tags: its tags.
        attempt: which try this is.
        deadline: of the run.
        item: of the ``ForEach`` that it believes to be in.
        index: which item, or which pass of a ``Repeat``, from 0.
        phase: how often it has waited for something before.
        outcome: how that went for which it waited.
        signals: what ``wait_for`` returns, by the name of the signal, one after another; where
            nothing is left, it raises :class:`WaitSignal`, as for a signal that has not come.
        plan: the stages that it finds in ``ctx.stages``; in its own one it stands at the front.

    Raises:
        StoreError: a key or a value of *store* is none that a run could have.
    """
    limit = Settings().max_value_bytes
    values = dict(encoded_value(key, value, limit) for key, value in (store or {}).items())
    known = {key: Stored(data) for key, data in values.items()}
    return TrialContext(
        run_id=run_id,
        entry=_OWN_ENTRY,
        stage_id=stage,
        action=View(action, action, "", tuple(tags)),
        attempt=attempt,
        store=AttemptStore(_Values(values), place=f"{stage}:11", value_limit=limit, whole=known),
        port=_NoEngine(
            View(workflow, workflow),
            View(stage, stage),
            deadline,
            outcome or Outcome(),
            _plan(stage, action, plan),
            signals or {},
        ),
        phase=phase,
        item=item if item is NO_ITEM else to_tree(item),
        index=index,
        resources=GivenResources(resources or {}, {}, _ADVICE),
    )


def hook_context(
    ctx: TrialContext | None = None,
    *,
    hook: HookName = "before_stage",
    level: Literal["workflow", "stage"] = "stage",
    scratch: dict[str, Any] | None = None,
) -> HookContext:
    """Return a context to call a hook of a middleware with in a unit test.

    What the hook writes, adds and sends is in *ctx*; whether it skips, in ``skip_reason``. For
    ``after`` hooks there is ``ScopeOutcome("failed", Failure(...))``, whose ``recovered`` tells.

    Args:
        ctx: of :func:`context`; by default one with an empty store.
        hook: which hook it is for: what is not possible in that one raises as in a run.
        level: whether the middleware is used on the workflow or on the stage.
        scratch: what the hook before the scope has left.
    """
    return HookContext(
        ctx or context(), hook, "test", position=0, level=level, scratch=dict(scratch or {})
    )


def _plan(stage_id: str, action: str, stages: Sequence[Stage]) -> Tree:
    """Return a plan in which the action runs."""
    own = ActionDefinition(action="test", name=action)
    given = [stage.definition() for stage in stages]
    ahead = [one for one in given if one.id == stage_id] or [StageDefinition(id=stage_id)]
    mine = ahead[0].model_copy(update={"actions": (own, *ahead[0].actions)})
    planned = [mine if one.id == stage_id else one for one in given]
    return running(
        planned_tree(planned if ahead[0] in given else [mine, *planned], first=2), stage_id
    )
