"""For the tests of people who write actions and workflows.

:func:`context` gives a context to call an action with, without any server.
``gostage_core.testing.memory`` has a Redis server in memory, for whole runs.
"""

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
    "TrialContext",
    "WaitSignal",
    "context",
    "hook_context",
]
