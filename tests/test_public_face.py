"""What user code may import is spelt out here; a change of it is a change of this list."""

import gostage_core
import gostage_workers

CORE = {
    "AccessRefusedError", "Action", "ActionContext", "ActionFunction", "ActionNotFoundError",
    "ActionResult", "ActionSelection", "ActionStatus", "ActionTimeoutError", "Addition",
    "BackpressureError", "Branch", "BrokerUnavailableError", "CanvasError", "CeleryTask",
    "ChildCancelledError", "Condition", "ConditionTypeError", "ConfigurationError",
    "CorruptRunError", "CorruptScheduleError", "CorruptValueError", "DeadlineExceededError",
    "DefinitionError",
    "DuplicateActionError", "DuplicateStageError", "EditOutcome", "Failure", "ForEach", "ForkError",
    "GostageError", "HistoryLostError", "HookContext", "HookError", "InvalidActionError",
    "InvalidKeyError", "InvalidResourceError", "InvalidScheduleError", "InvalidWorkflowError",
    "JournalEntry", "Key", "KeyConflictError", "KeyNotFoundError", "Limits", "Logging", "Message",
    "MessageContext", "MessageLimitError", "Metadata", "Middleware", "NoRetry", "NotStorableError",
    "Notification", "OutlinedAction", "OutlinedStage", "Plan", "PlanChange", "PlanConflictError",
    "PlanDiff", "PlanEdit", "PlanError", "PlanLimitError", "PlanOutline", "PlannedAction",
    "PlannedStage", "PoisonedError", "PreparedRun", "PreparedRunError", "ProcessDiedError",
    "Reason", "Repeat", "RepeatLimitError", "ResourceError", "ResourceNotFoundError", "Resources",
    "Retry", "RetryAfter", "Revision", "Run", "RunBatch", "RunEdits", "RunError", "RunExistsError",
    "RunFailedError", "RunNotFoundError", "RunOutcome", "RunResult", "RunStateError", "RunStatus",
    "RunSummary", "RunTimeoutError", "RunWorkflow", "Runner", "Schedule", "ScheduleError",
    "ScheduleExistsError", "ScheduleInfo", "ScheduleNotFoundError", "Schedules", "ScopeOutcome",
    "SealedValueError", "ServerUnfitError", "Settings", "SignalLimitError", "SignalTimeoutError",
    "Sleep", "Stage",
    "StageFilter", "StageFinishedError", "StageNotFoundError", "StageResult", "StageSelection",
    "StageView", "StoreError", "StoreFullError", "StoreInjection", "StoreTypeError",
    "StoreUnavailableError", "TamperedValueError", "Throttle", "ThrottleInfo", "Throttles",
    "TimeLimit", "Timing",
    "UnavailableError", "UnknownActionError", "UnknownConditionError", "UnknownMiddlewareError",
    "UnknownTypeError", "ValueTooLargeError", "WaitForSignal", "Why", "Workflow", "action",
    "condition", "otherwise", "quorum", "run_signature", "stored", "when",
}  # fmt: skip
WORKERS = {"JsonFormatter", "LocalCluster", "create_app", "install", "resource"}


def test_the_face_of_the_core_is_what_is_listed() -> None:
    assert set(gostage_core.__all__) == CORE
    assert all(hasattr(gostage_core, name) for name in CORE)


def test_the_face_of_the_workers_is_what_is_listed() -> None:
    assert set(gostage_workers.__all__) == WORKERS
    assert all(hasattr(gostage_workers, name) for name in WORKERS)


def test_every_public_name_is_documented() -> None:
    for module in (gostage_core, gostage_workers):
        for name in module.__all__:
            assert getattr(module, name).__doc__, name


def test_every_error_is_in_the_tree_that_its_module_draws() -> None:
    from gostage_core import errors

    drawn = errors.__doc__ or ""
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    assert all(issubclass(c, errors.GostageError) for c in classes)
    assert [c.__name__ for c in classes if c.__name__ not in drawn] == []
