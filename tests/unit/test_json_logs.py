"""Log records as JSON, for whoever reads logs by program."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from gostage_core import ActionContext, Retry, Workflow, action
from gostage_core.testing import MemoryEngine
from gostage_workers import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Lines = Callable[[], list[dict[str, Any]]]

library = logging.getLogger("tests.library")


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged so far, read as a program reads it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line, parse_constant=refuse) for line in _lines_of(stream)]
    root.removeHandler(handler)
    root.setLevel(level)


def _lines_of(stream: io.StringIO) -> list[str]:
    *lines, rest = stream.getvalue().split("\n")
    assert rest == ""
    return lines


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@action(retry=Retry(2, delay=0))
async def charge(ctx: ActionContext) -> None:
    ctx.log.info("charging %s", "ana", extra={"order": 7})
    library.warning("slow bank")
    if ctx.attempt == 1:
        raise ConnectionError("away")


def execute(engine: MemoryEngine) -> None:
    workflow = Workflow("order")
    workflow.add_stage("pay").add(charge.s())
    engine.submit(workflow, run_id="run-1").wait()


def test_what_a_body_logs_and_what_it_calls_tells_the_attempt(
    lines: Lines, fresh_registry: None
) -> None:
    with MemoryEngine() as engine:
        execute(engine)
    first, second, *later = [line for line in lines() if "attempt" in line]
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "INFO",
        "logger": "gostage.action",
        "message": "charging ana",
        "run": "run-1",
        "stage": "pay",
        "action": "charge",
        "attempt": 1,
        "order": 7,
    }
    assert second["logger"] == "tests.library"
    assert (second["run"], second["stage"], second["action"]) == ("run-1", "pay", "charge")
    assert [line["attempt"] for line in later] == [2, 2]


def test_outside_of_an_attempt_a_record_tells_of_none(lines: Lines) -> None:
    library.warning("alone")
    assert lines()[0].keys() == {"time", "level", "logger", "message"}


def test_an_exception_comes_as_text_on_the_same_line(lines: Lines) -> None:
    try:
        raise LookupError("no such\naccount")
    except LookupError:
        library.exception("refused")
    (line,) = lines()
    assert line["level"] == "ERROR"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("LookupError: no such\naccount")


def test_where_it_was_logged_comes_along_when_that_is_asked_for(lines: Lines) -> None:
    library.warning("here", stack_info=True)
    assert "test_json_logs.py" in lines()[0]["stack"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({1, 2}, "{1, 2}"),
        (float("nan"), "nan"),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        ("\ud800", "\ud800"),
        ({"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_whatever_is_logged_the_line_is_json(lines: Lines, value: object, written: object) -> None:
    library.warning("odd", extra={"value": value})
    assert lines()[0]["value"] == written


def test_what_holds_itself_is_logged_too(lines: Lines) -> None:
    ring: list[object] = []
    ring.append(ring)
    library.warning("odd", extra={"ring": ring})
    assert lines()[0]["ring"] == "[[...]]"


def test_nothing_that_a_caller_gives_hides_what_every_record_has(lines: Lines) -> None:
    library.warning("real", extra={"level": "none", "time": "never"})
    (line,) = lines()
    assert line["level"] == "WARNING"
    assert line["time"] != "never"


def test_arguments_of_tasks_are_not_logged_which_celery_puts_into_its_records(lines: Lines) -> None:
    library.warning("Task received", extra={"data": {"args": "('secret',)"}})
    assert "secret" not in json.dumps(lines())


def test_a_record_within_a_span_tells_its_trace(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())
    with trace.get_tracer("shop").start_as_current_span("POST /orders") as span:
        library.warning("within")
    library.warning("outside")
    within, outside = lines()
    at = span.get_span_context()
    assert within["trace_id"] == f"{at.trace_id:032x}"
    assert within["span_id"] == f"{at.span_id:016x}"
    assert "trace_id" not in outside
