"""Looking at processes of this machine."""

from __future__ import annotations

import psutil


def is_alive(pid: int) -> bool:
    """Tells whether a process runs; one that has ended and was not reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
