"""What of the product is left to chance or to real time, and what stands in for it here.

====================================  ==========================================
nonces of attempts, checkpoints       ``os.urandom`` in ``port``
nonces of operators and submits       ``uuid.uuid4`` in ``new_runs``, ``run``, ``edit``, ``fork``,
                                      ``firing`` and ``making``
the jitter of retries                 ``random.random`` in ``verdict``
pauses while the server is away       ``random.random`` and ``time.sleep`` in ``attempt``
whom a rescuer calls dead, and when   ``time.monotonic`` in ``rescuer``
when a body asks whether to go on     ``time.monotonic`` in ``context``
the slot of a thread                  ``threading.get_ident`` in ``attempt``
====================================  ==========================================

Ids of runs are given. Everything else that decides is the server's clock, which the loop moves, or
the order in which fibers come to the server, which the loop decides.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import patch

from gostage_core import attempt, context, edit, new_runs, port, rescuer, run, verdict
from gostage_core.forking import fork
from gostage_core.scheduling import firing, making

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.simulation.loop import Loop

_WITH_IDS = (new_runs, run, edit, fork, firing, making)


@contextmanager
def seeded(loop: Loop, chance: Random) -> Iterator[None]:
    """Let the product have its chance from *chance* and its time from *loop*."""
    ids = SimpleNamespace(uuid4=lambda: uuid.UUID(int=chance.getrandbits(128), version=4))
    time = SimpleNamespace(monotonic=lambda: loop.now, sleep=loop.sleep)
    threading = SimpleNamespace(get_ident=lambda: loop.current.ident if loop.current else 0)
    with ExitStack() as stack:
        for module in _WITH_IDS:
            stack.enter_context(patch.object(module, "uuid", ids))
        for module in (attempt, context, rescuer):
            stack.enter_context(patch.object(module, "time", time))
        for module in (attempt, verdict):
            stack.enter_context(patch.object(module, "random", chance))
        stack.enter_context(patch.object(attempt, "threading", threading))
        stack.enter_context(patch.object(port, "os", SimpleNamespace(urandom=chance.randbytes)))
        yield
