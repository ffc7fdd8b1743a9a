"""What the Celery tasks of gostage are called, beside the one whose messages are hints."""

from __future__ import annotations

from typing import Final

RESULT_TASK: Final = "gostage.result"
"""Brings what a task has returned to the action that waits for it."""
FAILED_TASK: Final = "gostage.failed"
"""Tells the action that waits for a task that it failed."""
SUBMIT_TASK: Final = "gostage.submit"
"""Submits a definition."""
RUN_TASK: Final = "gostage.run"
"""Is a link of a canvas that a run takes the place of."""
END_TASK: Final = "gostage.end"
"""Ends that link with what the run has produced, and lets the canvas go on."""

KEPT_TASKS: Final = frozenset({RESULT_TASK, FAILED_TASK, SUBMIT_TASK, RUN_TASK, END_TASK})
"""Messages that nobody sends again: they are acknowledged late, and safe to handle twice."""
