"""What one body may use of the machine: limits that hold while it runs, and no longer."""

from __future__ import annotations

import math
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MIB: Final = 1024 * 1024


@contextmanager
def limited(memory_mb: int | None, cpu_seconds: int | None) -> Iterator[None]:
    """Limit the memory of this process in all, and the processor time of the block.

    Beyond the memory there is none: most often a :class:`MemoryError`. Beyond the time the kernel
    ends the process with SIGXCPU. Not for a process that does anything else at the same time.

    Raises:
        MemoryError: the process has more than *memory_mb* already, or the block ran out of it.
    """
    before = {limit: resource.getrlimit(limit) for limit in (_MEMORY, resource.RLIMIT_CPU)}
    try:
        if cpu_seconds is not None:
            _lower(resource.RLIMIT_CPU, math.ceil(_cpu_used()) + cpu_seconds)
        if memory_mb is not None:
            _check_room(memory_mb)
            _lower(_MEMORY, memory_mb * _MIB)
        yield
    except MemoryError as error:
        if memory_mb is not None and not error.args:
            error.args = (f"out of memory (memory_mb={memory_mb})",)
        raise
    finally:
        # What ends the attempt is the engine's own, and must not fail for what the body left.
        for limit, soft_and_hard in before.items():
            resource.setrlimit(limit, soft_and_hard)


_MEMORY: Final = resource.RLIMIT_DATA
"""Private writable memory. The address space would count what is mapped and never used: libraries,
files, and what allocators reserve, which may be gigabytes."""


def _lower(limit: int, value: int) -> None:
    """Lower the soft limit, which can be lifted again."""
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _cpu_used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _check_room(memory_mb: int) -> None:
    taken = _memory_taken()
    if taken > memory_mb * _MIB:
        raise MemoryError(
            f"memory_mb={memory_mb} is less than the {math.ceil(taken / _MIB)} MiB that the "
            f"process has before the body begins; allow more"
        )


def _memory_taken() -> int:
    """Return what the kernel holds against the limit, in bytes; 0 where it does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines())
    return next((int(line[1]) * 1024 for line in lines if line[:1] == ["VmData:"]), 0)
