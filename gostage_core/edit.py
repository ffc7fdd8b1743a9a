"""An operator's edit of a run: its plan is read, changed in memory, and applied as a whole."""

from __future__ import annotations

import json
import logging
import re
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

from gostage_core.damage import readable
from gostage_core.errors import (
    BrokerUnavailableError,
    DuplicateStageError,
    PlanConflictError,
    PlanLimitError,
    RunNotFoundError,
    RunStateError,
    StageFinishedError,
)
from gostage_core.plan import Surroundings, check_plan_size
from gostage_core.planning.edits import edit_arguments, edits_of
from gostage_core.planning.guard import Guard, refusal_details
from gostage_core.planning.plan_edit import PlanEdit
from gostage_core.planning.tree import Tree, read_tree
from gostage_core.source import RedisSource, workflow_head
from gostage_core.summary import status_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gostage_core.authoring.definition import ActionDefinition, WorkflowDefinition
    from gostage_core.state.answers import Answer, Next
    from gostage_core.state.operations import State

logger: Final = logging.getLogger(__name__)

OPERATOR: Final = "operator"
_ENTRY: Final = re.compile(r"\b(entry|stage) (\d+)\b")


class Send(Protocol):
    """What sends the messages of what became ready."""

    def __call__(self, run_id: str, following: Next) -> None:
        """Publish what a run goes on with."""


def left_to_workers(run_id: str, following: Next) -> None:
    """Send nothing: a worker finds after a second that the messages are missing."""


class Edit:
    """One edit of one run, by one operator, for one reason."""

    def __init__(self, state: State, send: Send, run_id: str, *, reason: str, actor: str) -> None:
        """Read nothing yet.

        Raises:
            ValueError: there is no *reason*.
        """
        if not reason.strip():
            raise ValueError("an edit needs a reason: the run's journal keeps it")
        self._state = state
        self._send = send
        self._run_id = run_id
        self._reason = reason[:2000]
        self._actor = (actor.strip() or OPERATOR)[:200]
        self._workflow: WorkflowDefinition
        self._tree: Tree

    @contextmanager
    def block(self) -> Iterator[PlanEdit]:
        """Hand out the plan, and apply what was changed when the block ends well."""
        plan = self.read()
        yield plan
        self.apply(plan)

    def read(self) -> PlanEdit:
        """Read the plan of the run, to be changed.

        Raises:
            RunNotFoundError: no such run.
            RunStateError: it has ended, or is about to.
            SealedValueError: something of it is encrypted with a key that is not here.
        """
        header, fields = RedisSource(self._state, self._run_id).plan(must=True)
        with readable(self._run_id, "header"):
            status = status_of(self._run_id, header["status"], header["schema"])
            stop = header.get("stop", b"").decode()
        if status.is_terminal or stop:
            raise self._over(stop or status.value)
        with readable(self._run_id, "plan"):
            self._workflow = workflow_head(header["definition"])
            self._tree = read_tree(fields, status)
            revision = int(header["revision"])
        return PlanEdit(self._run_id, self._tree, revision, admit=self._admit)

    def over(self, tree: Tree, workflow: WorkflowDefinition, revision: int) -> PlanEdit:
        """Return the plan *tree* of a run of *workflow*, to be changed, that is at hand already."""
        self._tree, self._workflow = tree, workflow
        return PlanEdit(self._run_id, tree, revision, admit=self._admit)

    @property
    def details(self) -> str:
        """Who edits, and why, as the JSON that is kept."""
        return _compact({"actor": self._actor, "reason": self._reason})

    def arguments(self, plan: PlanEdit) -> list[object]:
        """Return what was changed in *plan* as the scripts read it.

        Raises:
            ValueTooLargeError: more is added than ``GOSTAGE_MAX_PLAN_BYTES``.
        """
        edits = edit_arguments(
            edits_of(
                plan.additions, cache(self._around), marks={"added_by": f"operator:{self._actor}"}
            )
        )
        limit = self._state.settings.max_plan_bytes
        check_plan_size("what the edit adds to the plan", edits, limit)
        return edits

    def apply(self, plan: PlanEdit) -> None:
        """Apply what was changed in *plan*, all of it or nothing; no change does nothing.

        Raises:
            PlanConflictError: the run has moved on since it was read.
            StageFinishedError: actions were added to a stage that has ended.
            DuplicateStageError: the plan has a stage of the same id meanwhile.
            PlanLimitError: a guard rail of the workflow forbids it.
            RunStateError: the run has ended.
            ValueTooLargeError: more is added than ``GOSTAGE_MAX_PLAN_BYTES``.
        """
        if not plan.additions:
            return
        answer = self._state.edit(
            self._run_id,
            nonce=self._state.machine.token(),
            revision=plan.revision,
            details=self.details,
            edits=self.arguments(plan),
        )
        if answer.word != "applied":
            raise self.refusal(answer)
        self._go_on(answer.next)

    def _go_on(self, following: Next) -> None:
        try:
            self._send(self._run_id, following)
        except BrokerUnavailableError as error:
            logger.warning(
                "run %s is changed; what is next is sent by a worker: %s", self._run_id, error
            )

    def _around(self) -> Surroundings:
        return Surroundings(
            middleware=self._workflow.middleware,
            limited=self._workflow.limits is not None,
            added_by=f"operator:{self._actor}",
        )

    def _admit(self, actions: Sequence[ActionDefinition]) -> None:
        if self._workflow.limits is not None:
            guard = Guard(self._workflow.limits, by=f"operator:{self._actor}", depth=0)
            try:
                guard.check(actions)
            except PlanLimitError as error:
                self._note(error)
                raise

    def _note(self, error: PlanLimitError) -> None:
        """Keep in the journal that a guard rail refused a change."""
        self._state.note(
            self._run_id,
            nonce=self._state.machine.token(),
            kind="plan.refused",
            entry="0",
            details=refusal_details(error, actor=self._actor),
        )

    def refusal(self, answer: Answer) -> Exception:
        """Return why an answer of the server refuses the edit."""
        detail = answer.details[0] if answer.details else ""
        match answer.word:
            case "gone":
                return RunNotFoundError(self._run_id)
            case "ended":
                return self._over(detail)
            case "duplicate":
                return DuplicateStageError(detail)
            case "finished":
                return StageFinishedError(_names(self._tree).get(detail, detail))
            case "limit":
                error = PlanLimitError(*answer.details)
                self._note(error)
                return error
        names = _names(self._tree)
        told = _ENTRY.sub(lambda found: repr(names.get(found[2], found[0])), detail)
        return PlanConflictError(self._run_id, told)

    def _over(self, status: str) -> RunStateError:
        return RunStateError(self._run_id, f"is {status} already; its plan cannot be changed")


def _names(tree: Tree) -> Mapping[str, str]:
    """Return what the entries of a plan are called."""
    names = {stage.entry: stage.id for stage in tree.stages}
    return names | {action.entry: action.path for stage in tree.stages for action in stage.actions}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
