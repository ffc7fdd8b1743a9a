"""Every error that gostage raises, in one tree.

::

    GostageError
    ├── DefinitionError                 the author must change the code; raised where it is built
    │   ├── InvalidActionError          parameters, options or a class that cannot be an action
    │   ├── DuplicateActionError        two things under one registry id
    │   ├── UnknownActionError          an id that nothing registered here
    │   └── InvalidWorkflowError        a stage or a workflow that cannot be built
    │       └── DuplicateStageError
    ├── StoreError                      one key or one value of a run's store
    │   ├── InvalidKeyError             (also ValueError) a name that no key can have
    │   ├── KeyNotFoundError            (also KeyError)
    │   ├── StoreTypeError              (also TypeError) .key .expected .found
    │   ├── UnknownTypeError            a value of a class that nothing registered here
    │   ├── NotStorableError            (also TypeError) a value that no type of the store can hold
    │   ├── CorruptValueError           bytes that no version of the codec wrote
    │   ├── KeyConflictError            merge(on_conflict="error") met keys that exist
    │   └── ValueTooLargeError          .limit .size, and the setting that raises it
    ├── PlanError                       a change that the plan of a run refuses
    │   ├── ActionNotFoundError
    │   ├── StageNotFoundError
    │   └── StageFinishedError
    ├── RunError                        one run; has .run_id
    │   ├── RunNotFoundError
    │   ├── RunExistsError
    │   ├── RunStateError               not possible in the status the run is in
    │   ├── RunTimeoutError             (also TimeoutError) a wait ended; the run goes on
    │   └── CorruptRunError             its record in Redis is not one of ours
    ├── DeadlineExceededError           what a run past its deadline failed with
    ├── ActionTimeoutError              what an attempt past its timeout failed with
    ├── PoisonedError                   what an action that loses every worker failed with
    ├── ConfigurationError              the operator must change a setting; names it
    │   ├── ServerUnfitError            the preflight refused this Redis server
    │   └── AccessRefusedError          Redis does not take this user or password
    └── UnavailableError                try again later
        ├── StoreUnavailableError       the state's Redis
        └── BrokerUnavailableError      Celery's broker

``NoRetry`` and ``RetryAfter`` (in :mod:`gostage_core.authoring.retry`) are what an action raises to
overrule its retry policy; they are not errors of gostage.
"""

from __future__ import annotations


class GostageError(Exception):
    """The base of every error that gostage raises."""


class DefinitionError(GostageError):
    """A definition is wrong; its author must change it."""


class InvalidActionError(DefinitionError):
    """An action cannot be built: its class, its parameters or its options are wrong."""


class DuplicateActionError(DefinitionError):
    """A second thing was registered under an id that is taken."""

    def __init__(self, action_id: str, first: str, second: str) -> None:
        super().__init__(action_id, first, second)
        self.action_id = action_id
        self.first = first
        self.second = second

    def __str__(self) -> str:
        return (
            f"action id {self.action_id!r} is registered by {self.first} already; "
            f"give {self.second} another id"
        )


class UnknownActionError(DefinitionError):
    """No action is registered under this id in this process."""

    def __init__(self, action_id: str, where: str = "") -> None:
        super().__init__(action_id, where)
        self.action_id = action_id
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return (
            f"{place}no action is registered under {self.action_id!r} in this process; "
            f"import the module that defines it first"
        )


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


class StoreError(GostageError):
    """Something about one key or one value of a run's store."""


class InvalidKeyError(StoreError, ValueError):
    """A name that no key of the store can have."""


class KeyNotFoundError(StoreError, KeyError):
    """The store has no such key, or its time to live has ended."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
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


class PlanError(GostageError):
    """A change that the plan of a run refuses; nothing of it was applied."""


class ActionNotFoundError(PlanError):
    """The plan has no action of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no action {self.name!r} in the plan"


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


class CorruptRunError(RunError):
    """The run's record in Redis cannot be read as one of ours. Nothing was changed."""

    def __str__(self) -> str:
        return f"the record of run {self.run_id!r} is damaged: {self.detail}"


class DeadlineExceededError(GostageError):
    """A run was not done at its deadline."""


class ActionTimeoutError(GostageError):
    """An attempt was not done within its timeout."""


class PoisonedError(GostageError):
    """An action lost its worker at every attempt."""


class ConfigurationError(GostageError):
    """A setting is wrong; the message names it."""


class ServerUnfitError(ConfigurationError):
    """The Redis server cannot keep the promises; the message names the server's settings."""


class AccessRefusedError(ConfigurationError):
    """The Redis server that keeps the runs refuses this user or password."""


class UnavailableError(GostageError):
    """Something outside this process does not answer; try again later."""


class StoreUnavailableError(UnavailableError):
    """The Redis server that keeps the runs cannot be reached, or refuses us."""


class BrokerUnavailableError(UnavailableError):
    """Celery's broker cannot be reached, or refuses us."""
