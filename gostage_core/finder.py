"""Finds runs: one by its id, those that answer conditions, and many to do something to."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from gostage_core.bulk import RunBatch, RunEdits
from gostage_core.edit import OPERATOR, Edit
from gostage_core.errors import RunNotFoundError
from gostage_core.query import RunQuery, matching
from gostage_core.run import Run
from gostage_core.state.keys import RUN_ID
from gostage_core.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gostage_core.edit import Send
    from gostage_core.state.operations import State
    from gostage_core.summary import RunSummary


class RunFinder:
    """The runs of one namespace."""

    def __init__(self, state: State, send: Send) -> None:
        self._state = state
        self._send = send

    def get(self, run_id: str) -> Run:
        """Return the handle of a run.

        Raises:
            RunNotFoundError: no such run.
        """
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
            raise RunNotFoundError(run_id)
        run = Run(self._state, run_id, self._send)
        run.status  # noqa: B018 - reading it is the check
        return run

    def list(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> list[RunSummary]:
        """Return runs that answer every condition, the youngest first.

        For the next page give the last ``run_id`` of this one as *cursor*.

        Raises:
            RunNotFoundError: the run of *cursor* is not there any more.
        """
        query = RunQuery(status, workflow, tag, since)
        return [*islice(matching(self._state, query, cursor), limit)]

    def edit(
        self,
        *,
        reason: str,
        actor: str = OPERATOR,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
    ) -> RunEdits:
        """Find the runs under way that answer every condition, to change the plan of each.

        ``len()`` of what this returns is how many there are; its ``apply(change)`` edits them::

            edits = runner.edit(workflow="order", reason="the notifier is down", actor="ana")
            edits.apply(lambda plan: plan.actions["notify"].disable())

        Raises:
            ValueError: there is no *reason*.
        """

        def edit_of(run_id: str) -> Edit:
            return Edit(self._state, self._send, run_id, reason=reason, actor=actor)

        edit_of("")  # a reason that is none shows before anything is read
        found = matching(self._state, RunQuery(status, workflow, tag, since))
        return RunEdits([one.run_id for one in found if not one.status.is_terminal], edit_of)

    def retry(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        store: Mapping[Any, Any] | None = None,
        skip: Iterable[str] = (),
        reason: str = "",
        actor: str = OPERATOR,
    ) -> RunBatch:
        """Find the runs that failed or were cancelled and answer every condition, to retry each.

        ``len()`` of what this returns is how many there are; its ``apply()`` retries them, as
        :meth:`Run.retry` does. Left out are child runs, which go on with the run above them, and
        runs that were compensated, of which nothing is left to go on with.
        """
        values, skipped = dict(store or {}), list(skip)

        def retried(run_id: str) -> None:
            self.get(run_id).retry(store=values, skip=skipped, reason=reason, actor=actor)

        found = matching(self._state, RunQuery(status, workflow, tag, since))
        return RunBatch([one.run_id for one in found if _is_retried(one)], retried)

    def purge(
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        before: datetime | None = None,
        actor: str = OPERATOR,
    ) -> RunBatch:
        """Find the runs that have ended and answer every condition, to forget each now.

        ``len()`` of what this returns is how many there are; its ``apply()`` forgets them, with
        their child runs, before their retention has ended.

        Args:
            status: that they ended with.
            workflow: id of theirs.
            tag: of theirs.
            before: they were submitted earlier than that.
            actor: who does it.
        """

        def forgotten(run_id: str) -> None:
            Run(self._state, run_id, self._send).delete(actor=actor)

        found = matching(self._state, RunQuery(status, workflow, tag, before=before))
        return RunBatch([one.run_id for one in found if one.status.is_terminal], forgotten)


def _is_retried(run: RunSummary) -> bool:
    has_ended = run.status in (RunStatus.FAILED, RunStatus.CANCELLED)
    return has_ended and not run.parent and not run.compensated
