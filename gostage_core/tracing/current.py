"""Finds out whether this process makes traces; where it does not, nothing is imported or done."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.tracing.spans import Tell, Tracer

_API: Final = "opentelemetry.trace"


def tracer() -> Tracer | None:
    """Return what makes spans here; ``None`` where no provider of tracers is set up.

    Whoever sets one up has imported OpenTelemetry, so nothing is imported to find that out.
    """
    api = sys.modules.get(_API)
    # Another thread may be in the middle of that import.
    look = getattr(api, "get_tracer_provider", None)
    if api is None or look is None:
        return None
    provider = look()
    if isinstance(provider, api.ProxyTracerProvider):
        return None
    from gostage_core.tracing.spans import tracer_of

    return tracer_of(provider)


def carrier() -> str:
    """Return the span that this thread is in, as a run keeps it; empty where there is none."""
    found = tracer()
    return "" if found is None else found.carrier()


def trace_ids() -> tuple[str, str] | None:
    """Return the ids of the trace and the span that this thread is in, as hex digits."""
    found = tracer()
    return None if found is None else found.ids()


@contextmanager
def submitting(carried: str = "") -> Iterator[Tell]:
    """Make a span of a submit, below the span of *carried* where that names one."""
    found = tracer()
    if found is None:
        yield _tell_nobody
        return
    with found.submit(carried) as tell:
        yield tell


@contextmanager
def continuing(carried: str) -> Iterator[None]:
    """Be in the span that *carried* names, unless this thread is in one already."""
    found = tracer()
    if found is None or not carried or found.carrier():
        yield
        return
    with found.below(carried):
        yield


def _tell_nobody(workflow: str, run_id: str) -> None:
    pass
