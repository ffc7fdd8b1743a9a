"""Actions of workers that export their spans into the file that ``$TRACES`` names, a line each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from gostage_core import ActionContext, action
from tests.support.gated import held

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["held", "isolated"]


class FileExporter(SpanExporter):
    """Appends to a file; what one process writes at a time stays in one piece."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write each span as one line of JSON."""
        lines = "".join(f"{span.to_json(indent=None)}\n" for span in spans)
        with Path(os.environ["TRACES"]).open("ab", buffering=0) as file:
            file.write(lines.encode())
        return SpanExportResult.SUCCESS


if "TRACES" in os.environ:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(FileExporter()))
    trace.set_tracer_provider(provider)


@action(isolation="process")
def isolated(ctx: ActionContext) -> None:
    """Make a span in a process of its own."""
    with trace.get_tracer("shop").start_as_current_span("inside"):
        ctx.store["pid"] = os.getpid()
