"""For people who write actions and submit workflows."""

from gostage_core.authoring.action import Action, ActionFunction, action
from gostage_core.authoring.conditions import Condition, condition
from gostage_core.authoring.definition import Addition, Limits
from gostage_core.authoring.middleware import Middleware
from gostage_core.authoring.retry import NoRetry, Retry, RetryAfter
from gostage_core.authoring.stage import quorum
from gostage_core.authoring.throttle import Throttle
from gostage_core.authoring.workflow import Stage, Workflow
from gostage_core.bulk import EditOutcome, RunBatch, RunEdits, RunOutcome
from gostage_core.canvas.link import run_signature
from gostage_core.composition.branch import Branch, otherwise, when
from gostage_core.composition.canvas_parts import Gather as _Gather  # noqa: F401 - registers it
from gostage_core.composition.celery_task import CeleryTask
from gostage_core.composition.for_each import ForEach
from gostage_core.composition.repeat import Repeat
from gostage_core.composition.run_workflow import RunWorkflow
from gostage_core.composition.sleep import Sleep
from gostage_core.composition.wait_for_signal import WaitForSignal
from gostage_core.context import ActionContext
from gostage_core.errors import (
    AccessRefusedError,
    ActionNotFoundError,
    ActionTimeoutError,
    BackpressureError,
    BrokerUnavailableError,
    CanvasError,
    ChildCancelledError,
    ConditionTypeError,
    ConfigurationError,
    CorruptRunError,
    CorruptScheduleError,
    CorruptValueError,
    DeadlineExceededError,
    DefinitionError,
    DuplicateActionError,
    DuplicateStageError,
    ForkError,
    GostageError,
    HistoryLostError,
    HookError,
    InvalidActionError,
    InvalidKeyError,
    InvalidResourceError,
    InvalidScheduleError,
    InvalidWorkflowError,
    KeyConflictError,
    KeyNotFoundError,
    MessageLimitError,
    NotStorableError,
    PlanConflictError,
    PlanError,
    PlanLimitError,
    PoisonedError,
    PreparedRunError,
    ProcessDiedError,
    RepeatLimitError,
    ResourceError,
    ResourceNotFoundError,
    RunError,
    RunExistsError,
    RunFailedError,
    RunNotFoundError,
    RunStateError,
    RunTimeoutError,
    ScheduleError,
    ScheduleExistsError,
    ScheduleNotFoundError,
    SealedValueError,
    ServerUnfitError,
    SignalLimitError,
    SignalTimeoutError,
    StageFinishedError,
    StageNotFoundError,
    StoreError,
    StoreFullError,
    StoreTypeError,
    StoreUnavailableError,
    TamperedValueError,
    UnavailableError,
    UnknownActionError,
    UnknownConditionError,
    UnknownMiddlewareError,
    UnknownTypeError,
    ValueTooLargeError,
)
from gostage_core.failure import Failure
from gostage_core.journal import JournalEntry
from gostage_core.ledger import Revision
from gostage_core.messages import Message, MessageContext
from gostage_core.middleware.builtin import (
    Logging,
    Notification,
    StageFilter,
    StoreInjection,
    TimeLimit,
    Timing,
)
from gostage_core.middleware.context import HookContext, ScopeOutcome
from gostage_core.middleware.hooks import Hook as _Hook  # noqa: F401 - registers it
from gostage_core.planning.action_selection import ActionSelection, PlannedAction
from gostage_core.planning.outline import (
    OutlinedAction,
    OutlinedStage,
    PlanChange,
    PlanDiff,
    PlanOutline,
)
from gostage_core.planning.plan_edit import PlanEdit
from gostage_core.planning.stage_selection import PlannedStage, StageSelection, StageView
from gostage_core.prepared import PreparedRun
from gostage_core.reasons import Reason
from gostage_core.resources import Resources
from gostage_core.result import ActionResult, Plan, RunResult, StageResult
from gostage_core.run import Run
from gostage_core.runner import Runner
from gostage_core.scheduling.schedule import Schedule, ScheduleInfo
from gostage_core.scheduling.schedules import Schedules
from gostage_core.settings import Settings
from gostage_core.status import ActionStatus, RunStatus
from gostage_core.store import Metadata
from gostage_core.summary import RunSummary
from gostage_core.throttles import ThrottleInfo, Throttles
from gostage_core.values.key import Key
from gostage_core.values.types import stored
from gostage_core.why import Why

__all__ = [
    "AccessRefusedError",
    "Action",
    "ActionContext",
    "ActionFunction",
    "ActionNotFoundError",
    "ActionResult",
    "ActionSelection",
    "ActionStatus",
    "ActionTimeoutError",
    "Addition",
    "BackpressureError",
    "Branch",
    "BrokerUnavailableError",
    "CanvasError",
    "CeleryTask",
    "ChildCancelledError",
    "Condition",
    "ConditionTypeError",
    "ConfigurationError",
    "CorruptRunError",
    "CorruptScheduleError",
    "CorruptValueError",
    "DeadlineExceededError",
    "DefinitionError",
    "DuplicateActionError",
    "DuplicateStageError",
    "EditOutcome",
    "Failure",
    "ForEach",
    "ForkError",
    "GostageError",
    "HistoryLostError",
    "HookContext",
    "HookError",
    "InvalidActionError",
    "InvalidKeyError",
    "InvalidResourceError",
    "InvalidScheduleError",
    "InvalidWorkflowError",
    "JournalEntry",
    "Key",
    "KeyConflictError",
    "KeyNotFoundError",
    "Limits",
    "Logging",
    "Message",
    "MessageContext",
    "MessageLimitError",
    "Metadata",
    "Middleware",
    "NoRetry",
    "NotStorableError",
    "Notification",
    "OutlinedAction",
    "OutlinedStage",
    "Plan",
    "PlanChange",
    "PlanConflictError",
    "PlanDiff",
    "PlanEdit",
    "PlanError",
    "PlanLimitError",
    "PlanOutline",
    "PlannedAction",
    "PlannedStage",
    "PoisonedError",
    "PreparedRun",
    "PreparedRunError",
    "ProcessDiedError",
    "Reason",
    "Repeat",
    "RepeatLimitError",
    "ResourceError",
    "ResourceNotFoundError",
    "Resources",
    "Retry",
    "RetryAfter",
    "Revision",
    "Run",
    "RunBatch",
    "RunEdits",
    "RunError",
    "RunExistsError",
    "RunFailedError",
    "RunNotFoundError",
    "RunOutcome",
    "RunResult",
    "RunStateError",
    "RunStatus",
    "RunSummary",
    "RunTimeoutError",
    "RunWorkflow",
    "Runner",
    "Schedule",
    "ScheduleError",
    "ScheduleExistsError",
    "ScheduleInfo",
    "ScheduleNotFoundError",
    "Schedules",
    "ScopeOutcome",
    "SealedValueError",
    "ServerUnfitError",
    "Settings",
    "SignalLimitError",
    "SignalTimeoutError",
    "Sleep",
    "Stage",
    "StageFilter",
    "StageFinishedError",
    "StageNotFoundError",
    "StageResult",
    "StageSelection",
    "StageView",
    "StoreError",
    "StoreFullError",
    "StoreInjection",
    "StoreTypeError",
    "StoreUnavailableError",
    "TamperedValueError",
    "Throttle",
    "ThrottleInfo",
    "Throttles",
    "TimeLimit",
    "Timing",
    "UnavailableError",
    "UnknownActionError",
    "UnknownConditionError",
    "UnknownMiddlewareError",
    "UnknownTypeError",
    "ValueTooLargeError",
    "WaitForSignal",
    "Why",
    "Workflow",
    "action",
    "condition",
    "otherwise",
    "quorum",
    "run_signature",
    "stored",
    "when",
]
