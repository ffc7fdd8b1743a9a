"""Makes the spans of OpenTelemetry; imported only where a provider of tracers is set up."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache, partial
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Span, TracerProvider

    from gostage_core.entry import Entry
    from gostage_core.failure import Failure
    from gostage_core.state.answers import Claim, Origin

_W3C: Final = TraceContextTextMapPropagator()
_OUTCOMES: Final = {"committed": "completed"}
"""How an attempt went, where the word of the server says something else to a reader of traces."""


class End(Protocol):
    """How an attempt went."""

    @property
    def word(self) -> str:
        """What the server answered to its end."""

    @property
    def failure(self) -> Failure | None:
        """What it failed with."""


class Tell(Protocol):
    """Says of a submit what is known at its end."""

    def __call__(self, workflow: str, run_id: str) -> None:
        """Say which run of which workflow it was."""


E = TypeVar("E", bound=End)


@lru_cache(maxsize=1)
def tracer_of(provider: TracerProvider) -> Tracer:
    """Return what makes spans by *provider*."""
    return Tracer(provider)


class Tracer:
    """Makes the spans of submits and attempts. Safe to share between threads."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("gostage", version("gostage"))

    def carrier(self) -> str:
        """Return the span that this thread is in as text; empty where there is none."""
        fields: dict[str, str] = {}
        _W3C.inject(fields)
        return " ".join(fields.values())

    def ids(self) -> tuple[str, str] | None:
        """Return the ids of the trace and the span that this thread is in, as hex digits."""
        at = trace.get_current_span().get_span_context()
        if not at.is_valid:
            return None
        return trace.format_trace_id(at.trace_id), trace.format_span_id(at.span_id)

    @contextmanager
    def below(self, carried: str) -> Iterator[None]:
        """Be in the span that *carried* names."""
        token = attach(_context_of(carried))
        try:
            yield
        finally:
            detach(token)

    @contextmanager
    def submit(self, carried: str) -> Iterator[Tell]:
        """Make a span of a submit."""
        with self._tracer.start_as_current_span(
            "submit",
            context=_context_of(carried) if carried else None,
            kind=SpanKind.PRODUCER,
            links=_links() if carried else (),
        ) as span:
            yield partial(_tell, span)

    def attempt(self, claim: Claim, entry: Entry, origin: Origin, do: Callable[[], E]) -> E:
        """Make a span of an attempt, which *do* makes, and return how that went."""
        with self._tracer.start_as_current_span(
            "/".join(filter(None, (entry.stage, entry.name))),
            context=_context_of(origin.trace) if origin.trace else _context_by(origin.nonce),
            kind=SpanKind.CONSUMER,
            attributes={
                "gostage.run": claim.run_id,
                "gostage.workflow": origin.workflow,
                "gostage.stage": entry.stage,
                "gostage.action": entry.name,
                "gostage.path": entry.path,
                "gostage.attempt": claim.attempt,
                "gostage.outcome": "interrupted",
            },
            links=_links(),
        ) as span:
            ended = do()
            span.set_attribute("gostage.outcome", _OUTCOMES.get(ended.word, ended.word))
            if ended.failure is not None:
                _record(span, ended.failure)
            return ended


def _tell(span: Span, workflow: str, run_id: str) -> None:
    span.update_name(f"submit {workflow}")
    span.set_attributes({"gostage.workflow": workflow, "gostage.run": run_id})


def _record(span: Span, failure: Failure) -> None:
    """Record a failure as OpenTelemetry's conventions have an exception."""
    span.set_status(Status(StatusCode.ERROR, f"{failure.type}: {failure.message}"))
    span.add_event(
        "exception",
        {
            "exception.type": failure.type,
            "exception.message": failure.message,
            "exception.stacktrace": failure.traceback,
        },
    )


def _links() -> tuple[Link, ...]:
    """Return a link to the span that this thread is in, as that of the Celery message is."""
    at = trace.get_current_span().get_span_context()
    return (Link(at),) if at.is_valid else ()


def _context_of(carried: str) -> Context:
    parent, _, state = carried.partition(" ")
    return _W3C.extract({"traceparent": parent, "tracestate": state}, Context())


def _context_by(nonce: str) -> Context:
    """Return a place in a trace for a run whose submit made none: the same for all its attempts."""
    digest = sha256(nonce.encode()).hexdigest()
    at = SpanContext(
        int(digest[:32], 16), int(digest[32:48], 16), True, TraceFlags(TraceFlags.SAMPLED)
    )
    return trace.set_span_in_context(NonRecordingSpan(at), Context())
