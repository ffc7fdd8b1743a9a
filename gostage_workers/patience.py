"""Asks a server that is away again, until it answers or the worker is to stop."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

from gostage_core.errors import BackpressureError, UnavailableError
from gostage_workers.identity import stopping

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

logger: Final = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 1.0


def patiently(call: Callable[[], T]) -> T:
    """Return what *call* returns, however long its server is away.

    Raises:
        BackpressureError: the server refuses it for now; waiting for that would hold this worker.
        UnavailableError: the worker is to stop, and there was no answer yet.
    """
    pause = 0.05
    while True:
        try:
            return call()
        except BackpressureError:
            raise
        except UnavailableError as error:
            if stopping():
                raise
            logger.warning("%s; asking again in %.2f s", error, pause)
            time.sleep(pause * (1 + random.random()))  # noqa: S311 - spreads workers, no secret
            pause = min(pause * 2, _LONGEST_PAUSE)
