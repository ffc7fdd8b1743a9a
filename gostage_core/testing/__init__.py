"""For the tests of people who write actions and workflows.

:func:`context` gives a context to call an action with, without any server. :class:`MemoryEngine`
executes whole workflows, with a clock that the test holds; :func:`crashes` executes one again and
again while workers die and messages are lost. Where gostage is installed, pytest has the fixtures
``gostage_engine`` and ``gostage_crashes``. ``gostage_core.testing.memory`` has the Redis server in
memory below all that. All but the first need ``pip install 'gostage[testing]'``.
"""

from gostage_core.errors import RunStuckError, TrialError
from gostage_core.testing.crashes import Crashes, Scenario, crashes
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
    "Crashes",
    "MemoryEngine",
    "PublishedTask",
    "RunStuckError",
    "Scenario",
    "TrialContext",
    "TrialError",
    "WaitSignal",
    "context",
    "crashes",
    "hook_context",
]
