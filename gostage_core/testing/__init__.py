"""For the tests of people who write actions and workflows.

:func:`context` gives a context to call an action with, without any server. :class:`MemoryEngine`
executes whole workflows, with a clock that the test holds. ``gostage_core.testing.memory`` has the
Redis server in memory below it. All but the first need ``pip install 'gostage[testing]'``.
"""

from gostage_core.errors import RunStuckError, TrialError
from gostage_core.testing.engine import MemoryEngine, PublishedTask
from gostage_core.testing.trial import (
    AttemptLostError,
    BailSignal,
    TrialContext,
    WaitSignal,
    context,
    hook_context,
)

__all__ = [
    "AttemptLostError",
    "BailSignal",
    "MemoryEngine",
    "PublishedTask",
    "RunStuckError",
    "TrialContext",
    "TrialError",
    "WaitSignal",
    "context",
    "hook_context",
]
