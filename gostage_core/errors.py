"""Every error that gostage raises, in one tree.

::

    GostageError
    ├── DefinitionError                 the author must change the code; raised where it is built
    │   ├── InvalidActionError          parameters, options or a class that cannot be an action
    │   ├── DuplicateActionError        two things under one registry id
    │   ├── UnknownActionError          an id that nothing registered here
    │   │   ├── UnknownConditionError
    │   │   └── UnknownMiddlewareError
    │   ├── InvalidResourceError        a name, a scope or a function that cannot be a resource's
    │   └── InvalidWorkflowError        a stage or a workflow that cannot be built
    │       ├── DuplicateStageError
    │       └── CanvasError             a part of a Celery canvas that no run can do; .path
    ├── StoreError                      one key or one value of a run's store
    │   ├── InvalidKeyError             (also ValueError) a name that no key can have
    │   ├── KeyNotFoundError            (also KeyError)
    │   ├── StoreTypeError              (also TypeError) .key .expected .found
    │   ├── UnknownTypeError            a value of a class that nothing registered here
    │   ├── NotStorableError            (also TypeError) a value that no type of the store can hold
    │   ├── CorruptValueError           bytes that no version of the codec wrote
    │   │   └── TamperedValueError      sealed bytes that were changed, or moved to another place
    │   ├── SealedValueError            sealed with a key that this process does not have; .key_id
    │   ├── KeyConflictError            merge(on_conflict="error") met keys that exist
    │   ├── ValueTooLargeError          .limit .size, and the setting that raises it
    │   └── StoreFullError              a whole store, which may grow no more; .limit
    ├── PlanError                       a change that the plan of a run refuses
    │   ├── ActionNotFoundError
    │   ├── StageNotFoundError
    │   ├── StageFinishedError
    │   ├── PlanLimitError              a guard rail of the workflow; .limit .allowed
    │   └── PlanConflictError           an edit of a run that has moved on; nothing was applied
    ├── RunError                        one run; has .run_id
    │   ├── RunNotFoundError
    │   ├── RunExistsError
    │   ├── RunStateError               not possible in the status the run is in
    │   ├── RunTimeoutError             (also TimeoutError) a wait ended; the run goes on
    │   ├── RunFailedError              what a link of a Celery canvas fails with, whose run did
    │   ├── RunStuckError               in a test: it waits for what does not come by itself
    │   ├── MessageLimitError           it keeps as many messages as a run may
    │   ├── SignalLimitError            it keeps as many signals that nobody waits for as it may
    │   ├── ForkError                   no run can be made of it from there on
    │   ├── HistoryLostError            what is asked for is older than the history that is kept
    │   └── CorruptRunError             its record in Redis is not one of ours
    ├── TrialError                      what a test asks of the test kit, and cannot be
    ├── PreparedRunError                what prepare() returned, and can never be submitted
    ├── DeadlineExceededError           what a run past its deadline failed with
    ├── ActionTimeoutError              what an attempt past its timeout failed with
    ├── SignalTimeoutError              (also TimeoutError) no signal came in time; .signal
    ├── ScheduleError                   one schedule; .name
    │   ├── InvalidScheduleError        (also ValueError) what it says cannot be
    │   ├── ScheduleExistsError
    │   ├── ScheduleNotFoundError
    │   └── CorruptScheduleError        its record in Redis is not one of ours
    ├── ProcessDiedError                what an attempt whose own process died failed with
    ├── PoisonedError                   what an action that loses every worker failed with
    ├── HookError                       what a hook of a middleware cannot do, or leaves behind
    ├── NoItemError                     ctx.item outside of a ForEach
    ├── ConditionTypeError              (also TypeError) a condition said neither True nor False
    ├── RepeatLimitError                a Repeat made all its passes, and its condition never held
    ├── ChildCancelledError             the child run of a RunWorkflow was cancelled
    ├── ResourceError                   a resource that could not be made; .resource, and the cause
    │   └── ResourceNotFoundError       (also AttributeError) this worker has registered none
    ├── ConfigurationError              the operator must change a setting; names it
    │   ├── ServerUnfitError            the preflight refused this Redis server
    │   └── AccessRefusedError          Redis does not take this user or password
    └── UnavailableError                try again later
        ├── BackpressureError           as much is under way as may be; .retry_after in seconds
        ├── StoreUnavailableError       the state's Redis
        └── BrokerUnavailableError      Celery's broker

``NoRetry`` and ``RetryAfter`` (in :mod:`gostage_core.authoring.retry`) are what an action raises to
overrule its retry policy; they are not errors of gostage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class GostageError(Exception):
    """The base of every error that gostage raises."""


class DefinitionError(GostageError):
    """A definition is wrong; its author must change it."""


class InvalidActionError(DefinitionError):
    """An action cannot be built: its class, its parameters or its options are wrong."""


class DuplicateActionError(DefinitionError):
    """A second thing was registered under an id that is taken."""

    def __init__(self, action_id: str, first: str, second: str, noun: str = "action") -> None:
        super().__init__(action_id, first, second, noun)
        self.action_id = action_id
        self.first = first
        self.second = second
        self.noun = noun

    def __str__(self) -> str:
        return (
            f"{self.noun} id {self.action_id!r} is registered by {self.first} already; "
            f"give {self.second} another id"
        )


class UnknownActionError(DefinitionError):
    """Nothing is registered under this id in this process: no action, or what ``noun`` says."""

    def __init__(
        self, action_id: str, where: str = "", noun: str = "action", hint: str = ""
    ) -> None:
        super().__init__(action_id, where, noun, hint)
        self.action_id = action_id
        self.where = where
        self.noun = noun
        self.hint = hint

    def at(self, where: str) -> Self:
        """Return the same error with another place."""
        return type(self)(self.action_id, where, self.noun, self.hint)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"{self.hint} If not," if self.hint else ";"
        return (
            f"{place}no {self.noun} is registered under {self.action_id!r} in this process"
            f"{advice} import the module that defines it first"
        )


class InvalidResourceError(DefinitionError):
    """A name, a scope or a function that no resource can have."""


class UnknownConditionError(UnknownActionError):
    """No condition is registered under this id in this process."""


class UnknownMiddlewareError(UnknownActionError):
    """No middleware is registered under this id in this process."""


class InvalidWorkflowError(DefinitionError):
    """A stage or a workflow cannot be built; the message begins with the place."""


class DuplicateStageError(InvalidWorkflowError):
    """Two stages of one workflow have the same id."""

    def __init__(self, stage_id: str, where: str = "") -> None:
        super().__init__(stage_id, where)
        self.stage_id = stage_id
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}a stage {self.stage_id!r} is in this workflow already; stage ids are unique"


class CanvasError(InvalidWorkflowError):
    """A part of a Celery canvas that a run cannot do as Celery would; nothing was built."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(path, detail)
        self.path = path
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}" if self.path else self.detail


class StoreError(GostageError):
    """Something about one key or one value of a run's store."""


class InvalidKeyError(StoreError, ValueError):
    """A name that no key of the store can have."""


class KeyNotFoundError(StoreError, KeyError):
    """The store has no such key, or its time to live has ended."""

    def __init__(self, key: str, child_id: str = "") -> None:
        super().__init__(key, child_id)
        self.key = key
        self.child_id = child_id

    def __str__(self) -> str:
        if self.child_id:
            return f"no key {self.key!r} in the store of the child run {self.child_id!r} to take"
        return f"no key {self.key!r} in the store; read it with default=… if it may be missing"


class StoreTypeError(StoreError, TypeError):
    """A value in the store is not of the type that was asked for."""

    def __init__(self, key: str, expected: str, found: str, detail: str = "") -> None:
        super().__init__(key, expected, found, detail)
        self.key = key
        self.expected = expected
        self.found = found
        self.detail = detail

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"key {self.key!r} holds {self.found}, not {self.expected}{detail}"


class UnknownTypeError(StoreError):
    """A stored value is of a class that this process has not registered."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"the value is of type {self.name!r}, which is not registered in this process; "
            f"read it with its type, or import the module that defines it"
        )


class NotStorableError(StoreError, TypeError):
    """A value cannot be stored: no type of the store holds it."""


class CorruptValueError(StoreError):
    """Stored bytes that cannot be decoded."""


class TamperedValueError(CorruptValueError):
    """What is sealed was changed, or stands where it was not written."""

    def __init__(self, run_id: str, what: str) -> None:
        super().__init__(run_id, what)
        self.run_id = run_id
        self.what = what

    def __str__(self) -> str:
        return (
            f"{self.what} of run {self.run_id!r} does not open: somebody has changed it, or put "
            f"it there from another run or key; restore it, or write it anew"
        )


class SealedValueError(StoreError):
    """What is asked for is sealed with a key that this process does not have."""

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id

    def __str__(self) -> str:
        return (
            f"it is encrypted with the key {self.key_id!r}, which this process does not have; add "
            f"that key to GOSTAGE_ENCRYPTION_KEYS"
        )


class KeyConflictError(StoreError):
    """``merge(on_conflict="error")`` met keys that exist; nothing was written."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__(keys)
        self.keys = keys

    def __str__(self) -> str:
        return f"keys that exist already: {', '.join(map(repr, self.keys))}; nothing was merged"


class ValueTooLargeError(StoreError):
    """Something is larger than a limit allows; the message names the setting that raises it."""

    def __init__(self, what: str, size: int, limit: int, setting: str) -> None:
        super().__init__(what, size, limit, setting)
        self.what = what
        self.size = size
        self.limit = limit
        self.setting = setting

    def __str__(self) -> str:
        return (
            f"{self.what} is {self.size:,} bytes, more than the limit of {self.limit:,}; "
            f"keep large data elsewhere and store a reference, or raise {self.setting}"
        )


class StoreFullError(StoreError):
    """The store of a run is as large as it may be; nothing of the change was written."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(run_id, limit)
        self.run_id = run_id
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"the store of run {self.run_id!r} would be more than its limit, {self.limit:,} bytes; "
            f"delete what is not needed, keep large data elsewhere, or raise "
            f"GOSTAGE_MAX_STORE_BYTES"
        )


class PlanError(GostageError):
    """A change that the plan of a run refuses; nothing of it was applied."""


class ActionNotFoundError(PlanError):
    """The plan, or a stage of it, has no action of this name, or none that is still to be done."""

    def __init__(self, name: str, stage: str = "", *, is_over: bool = False) -> None:
        super().__init__(name, stage)
        self.name = name
        self.stage = stage
        self.is_over = is_over
        """Whether there is one, which has completed or was left out."""

    def __str__(self) -> str:
        where = f"stage {self.stage!r} of the plan" if self.stage else "the plan"
        left = " is left to be done; it has completed, or was left out" if self.is_over else ""
        return f"no action {self.name!r} in {where}{left}"


class StageNotFoundError(PlanError):
    """The plan has no stage of this id."""

    def __init__(self, stage_id: str) -> None:
        super().__init__(stage_id)
        self.stage_id = stage_id

    def __str__(self) -> str:
        return f"no stage {self.stage_id!r} in the plan"


class StageFinishedError(PlanError):
    """An action was added to a stage that has finished."""

    def __init__(self, stage_id: str) -> None:
        super().__init__(stage_id)
        self.stage_id = stage_id

    def __str__(self) -> str:
        return f"stage {self.stage_id!r} has finished; nothing can be added to it"


class PlanLimitError(PlanError):
    """A change that a guard rail of the workflow forbids; the run's journal has it too."""

    def __init__(self, limit: str, allowed: str, found: str = "") -> None:
        super().__init__(limit, allowed, found)
        self.limit = limit
        self.allowed = allowed
        self.found = found

    def __str__(self) -> str:
        found = f", not {self.found}" if self.found else ""
        return (
            f"the workflow's limit {self.limit} allows {self.allowed}{found}; "
            f"nothing was changed; raise it where the workflow is defined"
        )


class PlanConflictError(PlanError):
    """The run has moved on since its plan was read for an edit; nothing was applied."""

    def __init__(self, run_id: str, detail: str) -> None:
        super().__init__(run_id, detail)
        self.run_id = run_id
        self.detail = detail

    def __str__(self) -> str:
        return (
            f"run {self.run_id!r} has moved on: {self.detail}; nothing was applied, "
            f"look at the plan again and repeat the edit"
        )


class RunError(GostageError):
    """Something about one run."""

    def __init__(self, run_id: str, detail: str = "") -> None:
        super().__init__(run_id, detail)
        self.run_id = run_id
        self.detail = detail


class RunNotFoundError(RunError):
    """No such run: it was never submitted, or its retention has ended."""

    def __str__(self) -> str:
        return f"no run {self.run_id!r}; it was never submitted here, or its retention has ended"


class RunExistsError(RunError):
    """A run of this id exists already; nothing was submitted."""

    def __str__(self) -> str:
        if self.detail:
            return f"run {self.run_id!r} {self.detail} already; nothing was submitted"
        return (
            f"run {self.run_id!r} exists already; leave run_id out for a new id, "
            f"or submit with key=… to get the same run back"
        )


class RunStateError(RunError):
    """The run is in a status in which this is not possible; nothing was changed."""

    def __str__(self) -> str:
        return f"run {self.run_id!r} {self.detail}"


class RunTimeoutError(RunError, TimeoutError):
    """Waiting ended before the run did. The run goes on."""

    def __str__(self) -> str:
        return f"run {self.run_id!r} {self.detail}; it goes on, and can be waited for again"


class MessageLimitError(RunError):
    """The run keeps as many messages as a run may; nothing was sent."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(run_id)
        self.limit = limit
        self.args = (run_id, limit)

    def __str__(self) -> str:
        return (
            f"run {self.run_id!r} keeps {self.limit:,} messages, and no more are taken; "
            f"send fewer and larger ones, or raise GOSTAGE_MAX_MESSAGES"
        )


class SignalLimitError(RunError):
    """The run keeps as many signals that nobody waits for as a run may; nothing was sent."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(run_id)
        self.limit = limit
        self.args = (run_id, limit)

    def __str__(self) -> str:
        return (
            f"run {self.run_id!r} keeps {self.limit:,} signals that nobody waits for, and no more "
            f"are taken; see what it waits for with 'gostage why', or raise GOSTAGE_MAX_SIGNALS"
        )


class ForkError(RunError):
    """No run can be made of this one from there on; nothing was made."""

    def __str__(self) -> str:
        return f"run {self.run_id!r} cannot be forked: {self.detail}"


class HistoryLostError(RunError):
    """What is asked for is older than the history that the run keeps."""

    def __str__(self) -> str:
        return (
            f"run {self.run_id!r} does not know any more {self.detail}; raise GOSTAGE_MAX_JOURNAL "
            f"for runs with long histories"
        )


class RunFailedError(RunError):
    """A run that is a link of a Celery canvas has not completed."""

    def __str__(self) -> str:
        return f"run {self.run_id!r} {self.detail}"


class RunStuckError(RunError):
    """A test waits for a run that nothing will have go on: nothing of it falls due."""

    def __str__(self) -> str:
        return (
            f"run {self.run_id!r} {self.detail}; nothing that falls due in this engine changes "
            f"that. Send the signal, finish the task or resume the run before it is waited for, or "
            f"wait with timeout=…"
        )


class CorruptRunError(RunError):
    """The run's record in Redis cannot be read as one of ours. Nothing was changed."""

    def __str__(self) -> str:
        return f"the record of run {self.run_id!r} is damaged: {self.detail}"


class TrialError(GostageError):
    """A test asks something of the test kit that cannot be; the message says what and why."""


class PreparedRunError(GostageError):
    """A prepared run can never be submitted, however often it is tried; nothing was."""


class DeadlineExceededError(GostageError):
    """A run, or an action in all of its tries, was not done at its deadline."""


class ActionTimeoutError(GostageError):
    """An attempt was not done within its timeout."""


class SignalTimeoutError(GostageError, TimeoutError):
    """A signal that an action waited for did not come in time."""

    def __init__(self, signal: str, seconds: float | None = None, which: int = 0) -> None:
        super().__init__(signal, seconds, which)
        self.signal = signal
        self.seconds = seconds
        self.which = which
        """The number of the wait among those of the action, from 0."""

    def __str__(self) -> str:
        within = "in time" if self.seconds is None else f"within {self.seconds:g} s"
        return f"signal {self.signal!r} did not come {within}"


class ScheduleError(GostageError):
    """One schedule, by its ``name``."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"schedule {self.name!r}: {self.detail}"


class InvalidScheduleError(ScheduleError, ValueError):
    """What a schedule says cannot be; the message says what is wrong and what is allowed."""


class ScheduleExistsError(ScheduleError):
    """There is a schedule of this name already; nothing was changed."""

    def __str__(self) -> str:
        return f"there is a schedule {self.name!r} already; remove it, or say that it is replaced"


class ScheduleNotFoundError(ScheduleError):
    """There is no schedule of this name."""

    def __str__(self) -> str:
        return f"there is no schedule {self.name!r}; see them with 'gostage schedule list'"


class CorruptScheduleError(ScheduleError):
    """The schedule's record in Redis cannot be read as one of ours. Nothing was changed."""

    def __str__(self) -> str:
        return (
            f"the record of schedule {self.name!r} is damaged: {self.detail}; remove it, or put "
            f"another one in its place"
        )


class ProcessDiedError(GostageError):
    """The process that an attempt had of its own died; the message says of what."""


class PoisonedError(GostageError):
    """An action lost its worker at every attempt."""


class HookError(GostageError):
    """A hook of a middleware asked for what is not possible in it, or left what cannot be kept."""


class NoItemError(GostageError):
    """``ctx.item`` was read by an action that belongs to no ``ForEach``."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"action {self.name!r} has no item: it does not stand in a ForEach"


class ConditionTypeError(GostageError, TypeError):
    """A condition returned neither ``True`` nor ``False``."""

    def __init__(self, condition: str, found: str) -> None:
        super().__init__(condition, found)
        self.condition = condition
        self.found = found

    def __str__(self) -> str:
        return (
            f"condition {self.condition!r} returned a value of type {self.found}; "
            f"a condition returns True or False"
        )


class RepeatLimitError(GostageError):
    """A ``Repeat`` made as many passes as it may, and its condition never held."""

    def __init__(self, until: str, max_times: int) -> None:
        super().__init__(until, max_times)
        self.until = until
        self.max_times = max_times

    def __str__(self) -> str:
        times = "once" if self.max_times == 1 else f"{self.max_times:,} times"
        return (
            f"repeated {times}, and the condition {self.until!r} never held; "
            f"raise max_times if more passes are wanted"
        )


class ChildCancelledError(GostageError):
    """The child run of a ``RunWorkflow`` was cancelled."""

    def __init__(self, child_id: str) -> None:
        super().__init__(child_id)
        self.child_id = child_id

    def __str__(self) -> str:
        return f"the child run {self.child_id!r} was cancelled"


class ResourceError(GostageError):
    """A resource could not be made; what its factory raised, if it did, is the cause."""

    def __init__(self, resource: str, detail: str) -> None:
        super().__init__(resource, detail)
        self.resource = resource
        self.detail = detail

    def __str__(self) -> str:
        return f"resource {self.resource!r} {self.detail}"


class ResourceNotFoundError(ResourceError, AttributeError):
    """An action asks for a resource that its worker has not registered."""

    def __init__(self, resource: str, detail: str = "") -> None:
        super().__init__(resource, detail)

    def __str__(self) -> str:
        advice = (
            f"in this worker; register it with @resource({self.resource!r}) in a module that the "
            f"worker imports"
        )
        return f"no resource {self.resource!r} {self.detail or advice}"


class ConfigurationError(GostageError):
    """A setting is wrong; the message names it."""


class ServerUnfitError(ConfigurationError):
    """The Redis server cannot keep the promises; the message names the server's settings."""


class AccessRefusedError(ConfigurationError):
    """The Redis server that keeps the runs refuses this user or password."""


class UnavailableError(GostageError):
    """Something outside this process does not answer; try again later."""


class BackpressureError(UnavailableError):
    """As much is under way as may be, and nothing was submitted; ``retry_after`` in seconds."""

    def __init__(self, what: str, limit: int, setting: str, retry_after: float) -> None:
        super().__init__(what, limit, setting, retry_after)
        self.what = what
        self.limit = limit
        self.setting = setting
        self.retry_after = retry_after

    def __str__(self) -> str:
        return (
            f"{self.what}, and {self.setting} allows {self.limit:,}; "
            f"submit again in {self.retry_after:g} s"
        )


class StoreUnavailableError(UnavailableError):
    """The Redis server that keeps the runs cannot be reached, or refuses us."""


class BrokerUnavailableError(UnavailableError):
    """Celery's broker cannot be reached, or refuses us."""
