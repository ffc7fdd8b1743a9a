"""The runs of one namespace: every atomic operation on them, one method each."""

from __future__ import annotations

from gostage_core.state.attempts import Attempts
from gostage_core.state.controls import Controls
from gostage_core.state.counting import Counting
from gostage_core.state.timetable import Timetable
from gostage_core.state.upkeep import Upkeep


class State(Attempts, Controls, Timetable, Upkeep, Counting):
    """The runs of one namespace in one Redis. Safe to share between threads.

    Every method is one round trip, safe to repeat, and raises
    :class:`~gostage_core.errors.StoreUnavailableError` or
    :class:`~gostage_core.errors.CorruptRunError`.
    """
