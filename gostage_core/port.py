"""The port between a body's context and the engine: one attempt's reads and writes of its run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gostage_core.aftermath import Aftermath
from gostage_core.authoring.definition import Limits
from gostage_core.context import ActionContext
from gostage_core.context_port import View
from gostage_core.errors import (
    MessageLimitError,
    PlanLimitError,
    StoreError,
    StoreFullError,
    StoreTypeError,
)
from gostage_core.leaving import AttemptLostError
from gostage_core.messages import check_type, payload_text
from gostage_core.planning.guard import Guard, refusal_details
from gostage_core.resources import NoResources
from gostage_core.source import RedisSource
from gostage_core.state.answers import Stored
from gostage_core.store import AttemptStore, encoded_result, stored_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gostage_core.authoring.definition import ActionDefinition, WorkflowDefinition
    from gostage_core.authoring.waits import HookStart, Outcome
    from gostage_core.entry import Entry
    from gostage_core.planning.tree import Tree
    from gostage_core.state.answers import Answer, Claim
    from gostage_core.state.operations import State

T = TypeVar("T")

_WANTED: Final = {"i": "a 64-bit integer", "a": "a list"}


class PatientSource:
    """Reads of a run's parts that wait for a server that is away."""

    def __init__(self, source: RedisSource, patiently: Callable[[Callable[[], Any]], Any]) -> None:
        self._source = source
        self._patiently = patiently

    def ask(self, read: Callable[[RedisSource], T]) -> T:
        """Read what *read* reads."""
        found: T = self._patiently(lambda: read(self._source))
        return found

    def read(self, names: Sequence[str]) -> list[Stored]:
        """Read these keys of the store."""
        return self.ask(lambda source: source.read(names))

    def dump(self) -> dict[str, Stored]:
        """Read the whole store."""
        return self.ask(lambda source: source.dump())


class AttemptPort:
    """One attempt, as its context and its executor see it."""

    def __init__(
        self,
        state: State,
        claim: Claim,
        entry: Entry,
        *,
        patiently: Callable[[Callable[[], Any]], Any],
        publish: Callable[..., None],
    ) -> None:
        self._state = state
        self._patiently = patiently
        self._workflow: WorkflowDefinition | None = None
        self.publish = publish
        self.machine = state.machine
        self.claim = claim
        self.entry = entry
        self._aftermath = Aftermath(state, claim.run_id)
        self.source = PatientSource(RedisSource(state, claim.run_id), patiently)
        self.context = ActionContext(
            run_id=claim.run_id,
            entry=claim.entry,
            stage_id=entry.stage,
            action=View(entry.action, entry.name, entry.description, entry.tags),
            attempt=claim.attempt,
            store=AttemptStore(
                self.source,
                place=f"{entry.stage}:{entry.order}",
                value_limit=state.settings.max_value_bytes,
                whole=_small_store(state, claim),
                shared=claim.shared,
            ),
            port=self,
            resources=NoResources(),
            phase=claim.phase,
            item=entry.item,
            index=entry.index,
        )

    def describe(self) -> tuple[View, View]:
        """Read what the workflow and the stage are called."""
        return self.source.ask(lambda source: source.describe(self.entry.stage))

    def deadline(self) -> datetime | None:
        """Read the run's deadline; the entry's own, where that is earlier."""
        ms = self.source.ask(lambda source: source.deadline_ms())
        known = [one for one in (ms, self.claim.due) if one]
        return datetime.fromtimestamp(min(known) / 1000, UTC) if known else None

    def has_stage(self, stage_id: str) -> bool:
        """Ask the plan for a stage of this id."""
        return self.source.ask(lambda source: source.has_stage(stage_id))

    @property
    def entry_id(self) -> str:
        """The id of the entry in the plan."""
        return self.claim.entry

    def plan(self) -> Tree:
        """Read the whole plan."""
        return self.source.ask(lambda source: source.tree())

    def workflow(self) -> WorkflowDefinition:
        """Read what the workflow is, without its stages; once."""
        if self._workflow is None:
            self._workflow = self.source.ask(lambda source: source.workflow())
        return self._workflow

    def admit(self, actions: Sequence[ActionDefinition]) -> None:
        """Refuse actions that may not be added, by the guard rails of the workflow."""
        if not self.entry.limited:
            return
        limits = self.workflow().limits or Limits()
        try:
            Guard(limits, by=self.entry.path, depth=self.entry.depth + 1).check(actions)
        except PlanLimitError as error:
            self.refused(error)
            raise

    def refused(self, error: PlanLimitError) -> None:
        """Note in the run's journal that a change was refused."""
        details = refusal_details(error, by=self.entry.path)
        nonce, claim = self.machine.token(8), self.claim
        self._patiently(
            lambda: self._state.note(
                claim.run_id, nonce=nonce, kind="plan.refused", entry=claim.entry, details=details
            )
        )

    def outcome(self) -> Outcome:
        """Read how that went for which this entry waited."""
        found: Outcome = self._patiently(
            lambda: self._aftermath.outcome(self.claim.entry, self.entry.path)
        )
        return found

    def keeps_result(self) -> bool:
        """Tell whether what the entry returns is kept."""
        return self.entry.store_as is not None or self.entry.collect

    def hook_start(self) -> HookStart:
        """Read how the scope went whose hooks this entry runs."""
        found: HookStart = self._patiently(lambda: self._aftermath.hook_start(self.claim.entry))
        return found

    def send(self, type: str, payload: object) -> None:
        """Keep a message under this attempt's token."""
        kind, settings = check_type(type), self._state.settings
        text = payload_text(kind, payload, settings.max_message_bytes)
        nonce = self.machine.token(8)
        answer = self._patiently(
            lambda: self._state.say(
                self.claim,
                nonce=nonce,
                type=kind,
                payload=text,
                stage=self.entry.stage,
                action=self.entry.name,
            )
        )
        if answer.word == "full":
            raise MessageLimitError(answer.details[0], settings.max_messages)
        if answer.word != "said":
            raise AttemptLostError

    def answer(self, which: int, name: str) -> bytes | None:
        """Read what became of a wait of the entry for a signal."""
        claim = self.claim
        found: bytes | None = self._patiently(
            lambda: self._state.answered(claim.run_id, claim.entry, which, name)
        )
        return found

    def remembered(self, what: str) -> bytes | None:
        """Read what the entry remembers under a name."""
        claim = self.claim
        found: bytes | None = self._patiently(
            lambda: self._state.remembered(claim.run_id, claim.entry, what)
        )
        return found

    def remember(self, what: str, value: object) -> None:
        """Keep a value for later attempts at the entry, under this attempt's token."""
        limit = self._state.settings.max_value_bytes
        text = encoded_result(self.entry.name, value, limit)
        if self._patiently(lambda: self._state.remember(self.claim, what, text)) == "lost":
            raise AttemptLostError

    def may_go_on(self, progress: str = "") -> bool:
        """Ask whether the lease is still ours and the run goes on."""
        return bool(self._patiently(lambda: self._state.control(self.claim, progress)) == "go")

    def checkpoint(self, store: AttemptStore) -> None:
        """Write the store's changes under this attempt's token."""
        nonce = self.machine.token(8)
        changes = store.arguments()
        answer = self._patiently(
            lambda: self._state.checkpoint(self.claim, nonce=nonce, changes=changes)
        )
        if answer.word in ("refused", "full"):
            raise self.misfit(answer)
        if answer.word != "written":
            raise AttemptLostError
        store.settled()

    def misfit(self, answer: Answer) -> StoreError:
        """Return why the server refused a change of the store."""
        if answer.word == "full":
            return StoreFullError(self.claim.run_id, int(answer.details[0]))
        key, kind = answer.details
        return StoreTypeError(key, _WANTED[kind], stored_type(self.source.read([key])[0]))


def _small_store(state: State, claim: Claim) -> dict[str, Stored] | None:
    """Return the store that came along with a claim, whose values are opened when they are read."""
    if claim.store is None:
        return None
    opener = state.vault.opener
    return {
        key: Stored(value, opener=opener(claim.run_id, key)) for key, value in claim.store.items()
    }
