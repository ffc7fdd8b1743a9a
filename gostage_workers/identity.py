"""What a worker process is: its name, its kind, and whether it is ending."""

from __future__ import annotations

import os
import threading
from typing import Final

from billiard.common import terminate_handler_fired  # type: ignore[attr-defined]  # stubs of 4.2
from billiard.process import current_process

_BOOT: Final = "_GOSTAGE_BOOT"
"""Tells one start of a node from the next; children of a pool inherit it, forked or spawned."""


_ending = threading.Event()


def stopping() -> bool:
    """Tell whether this process is on its way out: nothing should wait for Redis any more."""
    # A pool's child is told by SIGTERM alone. Billiard sets its handler over any that
    # worker_process_init could install, notes that it ran, and raises SystemExit.
    return _ending.is_set() or bool(terminate_handler_fired())


def stop_waiting() -> None:
    """Let :func:`stopping` tell so from now on."""
    _ending.set()


def new_boot() -> None:
    """Begin a new life of this node. Called once in the worker's main process, before its pool."""
    _ending.clear()
    os.environ[_BOOT] = os.urandom(4).hex()


def safe_name(node: str) -> str:
    """Return the name of a node as those of its processes begin."""
    return "".join(c if c.isalnum() or c in "@.-_" else "_" for c in node)


def process_name(node: str, pid: int | None = None) -> str:
    """Return the name of the process *pid* (this one) of the worker called *node*."""
    return f"{safe_name(node)}.{os.environ.get(_BOOT, '0')}.{pid or os.getpid()}"


def in_pool_child() -> bool:
    """Tell whether this process is a child of a prefork pool."""
    return bool(current_process().name != "MainProcess")
