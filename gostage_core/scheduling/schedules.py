"""The schedules of one namespace, as a producer or an operator sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gostage_core.errors import ScheduleNotFoundError
from gostage_core.naming import check_name
from gostage_core.scheduling.making import make_schedule
from gostage_core.scheduling.schedule import OPERATOR, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gostage_core.authoring.definition import WorkflowDefinition
    from gostage_core.authoring.workflow import Workflow
    from gostage_core.duration import Duration
    from gostage_core.run import Run
    from gostage_core.scheduling.plan import CatchUp, Overlap
    from gostage_core.state.answers import Answer
    from gostage_core.state.operations import State

    Prepare = Callable[
        [Workflow | Mapping[str, Any] | str, Mapping[Any, Any]],
        tuple[WorkflowDefinition, dict[str, bytes]],
    ]


class Schedules:
    """The schedules of one namespace: kept in Redis, and kept to by every worker; no beat process.

    Of each time there is one run, however many workers there are, and whichever of them dies.
    """

    def __init__(
        self, state: State, prepare: Prepare, submitted: Callable[[str, Answer], Run]
    ) -> None:
        self._state = state
        self._prepare = prepare
        self._submitted = submitted

    def add(
        self,
        name: str,
        workflow: Workflow | Mapping[str, Any] | str,
        *,
        cron: str | None = None,
        every: Duration | None = None,
        timezone: str = "UTC",
        overlap: Overlap = "skip",
        catch_up: CatchUp = "last",
        window: Duration = "1d",
        store: Mapping[Any, Any] | None = None,
        tags: Iterable[str] = (),
        deadline: Duration | None = None,
        concurrency_key: str | None = None,
        paused: bool = False,
        replace: bool = False,
        actor: str = OPERATOR,
    ) -> Schedule:
        """Have *workflow* submitted at certain times from now on, and return the schedule.

        Runs have the id ``name-20261128T030000Z``, by the time for which they are, and the tag
        ``schedule:name``. The workflow is kept as it is now. Safe to repeat with *replace*.

        Args:
            name: of the schedule: 1 to 100 of ``A-Z a-z 0-9 _ . : -``.
            workflow: a workflow, or a definition as a dict or JSON text.
            cron: minute, hour, day of month, month, day of week; or ``@daily`` and the like. Read
                as Debian's cron reads it, in *timezone*, over changes to and from summer time too.
            every: in place of *cron*: the time between two runs, at least a second, counted from
                now.
            timezone: an IANA name such as ``Europe/Berlin``.
            overlap: while the last run of the schedule goes on: ``"skip"`` leaves the time out,
                ``"queue"`` puts it off until that has ended (one at most), ``"allow"`` submits all
                the same, ``"cancel"`` cancels that run.
            catch_up: of the times at which no worker was there for more than a minute: ``"last"``
                submits the last of them, ``"all"`` each, one after another and as *overlap* says,
                ``"none"`` none that is more than a minute ago.
            window: what was missed longer ago is left out, but for the last minute.
            store: first values of each run's store, as they are now.
            tags: further tags of each run.
            deadline: of each run, from when it is submitted.
            concurrency_key: of each run.
            paused: whether it is paused from the start.
            replace: whether it takes the place of one that is called so. That one's runs count as
                its own; where it is paused so is this one, and where it has the same times they go
                on.
            actor: who makes it.

        Raises:
            InvalidScheduleError: something of it cannot be; the message names it.
            ScheduleExistsError: there is one of this name, which is not to be replaced.
            InvalidWorkflowError: the definition is not valid.
            StoreError: a value of *store* cannot be stored, or the workflow is larger than
                ``GOSTAGE_MAX_PLAN_BYTES``.
            StoreUnavailableError: Redis does not answer.
        """
        definition, values = self._prepare(workflow, store or {})
        make_schedule(
            self._state,
            name,
            definition,
            timing={"cron": cron, "every": every, "timezone": timezone},
            policy={"overlap": overlap, "catch_up": catch_up, "window": window},
            options={
                "values": {key: data.decode("ascii") for key, data in values.items()},
                "tags": tags,
                "deadline": deadline,
                "concurrency_key": "" if concurrency_key is None else check_name(concurrency_key),
            },
            paused=paused,
            replace=replace,
            actor=actor,
        )
        return Schedule(self._state, name, self._submitted)

    def __getitem__(self, name: str) -> Schedule:
        if name not in self:
            raise ScheduleNotFoundError(name)
        return Schedule(self._state, name, self._submitted)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._state.scheduled(name))

    def __iter__(self) -> Iterator[Schedule]:
        for name in self._state.schedule_names():
            yield Schedule(self._state, name, self._submitted)
