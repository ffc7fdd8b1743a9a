"""Traces of whole runs: one for each, whatever becomes of its attempts."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gostage_core import (
    ActionContext,
    HookContext,
    Middleware,
    Retry,
    RunStatus,
    RunWorkflow,
    ScopeOutcome,
    Stage,
    WaitForSignal,
    Workflow,
    action,
)
from gostage_core.attempt import Moment
from gostage_core.testing import MemoryEngine
from gostage_core.tracing.current import carrier, continuing, trace_ids, tracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.bench import Bench


class Traces:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (found,) = self.named(name)
        return found

    def tree(self) -> dict[str, set[str]]:
        """The names below each name."""
        names = {span.context.span_id: span.name for span in self}
        found = defaultdict(set)
        for span in self:
            found[names.get(span.parent.span_id, "?") if span.parent else ""].add(span.name)
        return dict(found)

    def trace_ids(self) -> set[int]:
        return {span.context.trace_id for span in self}


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Traces:
    """A provider of tracers for one test: OpenTelemetry lets a process set one up only once."""
    traces = Traces()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", traces.provider)
    return traces


@pytest.fixture
def engine(fresh_registry: None) -> Iterator[MemoryEngine]:
    with MemoryEngine() as engine:
        yield engine


@action
def pack(ctx: ActionContext) -> None:
    with trace.get_tracer("shop").start_as_current_span("wrap"):
        ctx.store.append("packed", ctx.attempt)


@action
async def ship(ctx: ActionContext) -> None:
    with trace.get_tracer("shop").start_as_current_span("hand over"):
        ctx.store["shipped"] = True


@action(retry=Retry(3, delay=60))
def charge(ctx: ActionContext) -> None:
    if ctx.attempt < 2:
        raise ConnectionError("the bank does not answer")


@action
def remember(ctx: ActionContext) -> None:
    ctx.store["ids"] = list(trace_ids() or ())


def workflow(*actions: Any, parallel: bool = False) -> Workflow:
    made = Workflow("order")
    made.add_stage(Stage("work", actions, parallel=parallel))
    return made


def attributes(span: ReadableSpan) -> dict[str, object]:
    return {name.removeprefix("gostage."): value for name, value in (span.attributes or {}).items()}


def at(span: ReadableSpan) -> int:
    return span.context.span_id


def above(*spans: ReadableSpan) -> set[int | None]:
    """The spans right above these."""
    return {span.parent.span_id if span.parent else None for span in spans}


def test_a_run_is_one_trace_from_the_span_of_its_producer_to_the_last_action(
    engine: MemoryEngine, traces: Traces
) -> None:
    with trace.get_tracer("shop").start_as_current_span("POST /orders"):
        run = engine.submit(workflow(pack.s(), ship.s()), run_id="run-1")
    assert engine.runner.get(run.run_id).wait().status is RunStatus.COMPLETED
    assert traces.tree() == {
        "": {"POST /orders"},
        "POST /orders": {"submit order"},
        "submit order": {"work/pack", "work/ship"},
        "work/pack": {"wrap"},
        "work/ship": {"hand over"},
    }
    assert len(traces.trace_ids()) == 1
    assert attributes(traces.one("submit order")) == {"workflow": "order", "run": "run-1"}
    assert attributes(traces.one("work/pack")) == {
        "workflow": "order",
        "run": "run-1",
        "stage": "work",
        "action": "pack",
        "path": "work/pack",
        "attempt": 1,
        "outcome": "completed",
    }
    assert traces.one("submit order").kind is SpanKind.PRODUCER
    assert traces.one("work/pack").kind is SpanKind.CONSUMER


def test_each_try_is_a_span_and_one_that_failed_has_its_exception(
    engine: MemoryEngine, traces: Traces
) -> None:
    engine.execute(workflow(charge.s()))
    first, second = traces.named("work/charge")
    assert above(first, second) == {at(traces.one("submit order"))}
    assert [attributes(one)["attempt"] for one in (first, second)] == [1, 2]
    assert [attributes(one)["outcome"] for one in (first, second)] == ["retrying", "completed"]
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "ConnectionError: the bank does not answer"
    (event,) = first.events
    told = event.attributes or {}
    assert event.name == "exception"
    assert told["exception.type"] == "ConnectionError"
    assert "in charge" in str(told["exception.stacktrace"])
    assert second.status.status_code is StatusCode.UNSET


def test_actions_side_by_side_are_siblings(engine: MemoryEngine, traces: Traces) -> None:
    engine.execute(workflow(pack.s(), pack.s(), ship.s(), parallel=True))
    siblings = [*traces.named("work/pack"), *traces.named("work/ship")]
    assert len(siblings) == 3
    assert above(*siblings) == {at(traces.one("submit order"))}


def test_what_a_child_run_does_is_below_the_entry_that_waits_for_it(
    engine: MemoryEngine, traces: Traces
) -> None:
    child = Workflow("billing")
    child.add_stage(Stage("bill", [charge.s()]))
    engine.execute(workflow(RunWorkflow(child), pack.s()))
    began, went_on = traces.named("work/RunWorkflow")
    assert [attributes(one)["outcome"] for one in (began, went_on)] == ["waiting", "completed"]
    tries = traces.named("bill/charge")
    assert len(tries) == 2
    assert above(*tries) == {at(began)}
    assert {attributes(one)["workflow"] for one in tries} == {"billing"}
    assert len(traces.trace_ids()) == 1


def test_the_attempt_after_a_crash_is_in_the_same_trace_at_the_same_place(
    memory_bench: Bench, traces: Traces
) -> None:
    run = memory_bench.submit(workflow(pack.s(), ship.s()))
    memory_bench.die_at = Moment.BODY_DONE
    assert memory_bench.step("first") is None
    assert memory_bench.drain(run).status is RunStatus.COMPLETED
    died, again = traces.named("work/pack")
    assert attributes(died)["outcome"] == "interrupted"
    assert attributes(again)["outcome"] == "completed"
    assert attributes(again)["attempt"] == 2
    assert above(died, again, traces.one("work/ship")) == {at(traces.one("submit order"))}


class Audit(Middleware):
    """Have hooks of the run and of its stages."""

    def before_run(self, ctx: HookContext) -> None:
        """Begin."""

    def after_stage(self, ctx: HookContext, outcome: ScopeOutcome) -> None:
        """End."""


def test_hooks_are_spans_of_the_stage_or_of_the_run(engine: MemoryEngine, traces: Traces) -> None:
    wanted = workflow(pack.s())
    wanted.use(Audit())
    engine.execute(wanted)
    below = traces.tree()["submit order"]
    assert "work/pack" in below
    assert len(below) > 2
    assert all(name.strip("/") == name for name in below)


def test_a_wait_of_days_leaves_the_run_in_its_trace(engine: MemoryEngine, traces: Traces) -> None:
    run = engine.submit(workflow(WaitForSignal("approval", bool), pack.s()))
    engine.settle()
    engine.advance("3d")
    run.signal("approval", True)
    engine.settle()
    assert run.status is RunStatus.COMPLETED
    assert above(traces.one("work/pack")) == {at(traces.one("submit order"))}


def test_a_run_whose_producer_makes_no_traces_is_one_trace_all_the_same(
    engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [engine.submit(workflow(pack.s(), ship.s())) for _ in range(2)]
    traces = Traces()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", traces.provider)
    for run in runs:
        run.wait()
    assert len(traces.named("work/ship")) == 2
    assert len(traces.trace_ids()) == 2
    for run in runs:
        own = [one for one in traces if attributes(one).get("run") == run.run_id]
        assert len({one.context.trace_id for one in own}) == 1
        assert len(above(*own)) == 1


def test_a_prepared_run_goes_on_with_the_trace_of_the_transaction_that_wants_it(
    engine: MemoryEngine, traces: Traces
) -> None:
    with trace.get_tracer("shop").start_as_current_span("POST /orders"):
        prepared = engine.runner.prepare(workflow(pack.s()))
    with trace.get_tracer("shop").start_as_current_span("relay"):
        engine.runner.submit_prepared(prepared.text)
    engine.settle()
    submit = traces.one("submit order")
    assert above(submit) == {at(traces.one("POST /orders"))}
    assert [link.context for link in submit.links] == [traces.one("relay").context]
    assert above(traces.one("work/pack")) == {at(submit)}


def test_a_prepared_run_keeps_its_trace_where_the_relay_makes_none(
    engine: MemoryEngine, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trace.get_tracer("shop").start_as_current_span("POST /orders"):
        prepared = engine.runner.prepare(workflow(pack.s()))
    with monkeypatch.context() as untraced:
        untraced.setattr(trace, "_TRACER_PROVIDER", None)
        engine.runner.submit_prepared(prepared.text)
    engine.settle()
    assert above(traces.one("work/pack")) == {at(traces.one("POST /orders"))}


def test_a_fork_and_a_triggered_schedule_are_in_the_trace_of_who_asks_for_them(
    engine: MemoryEngine, traces: Traces
) -> None:
    first = engine.submit(workflow(pack.s()))
    first.wait()
    engine.runner.schedules.add("nightly", workflow(ship.s()), every="1d")
    with trace.get_tracer("shop").start_as_current_span("operator"):
        first.fork(at="pack")
        engine.runner.schedules["nightly"].trigger()
    engine.settle()
    asked_for = (traces.named("work/pack")[1], traces.one("work/ship"))
    assert above(*asked_for) == {at(traces.one("operator"))}


def test_an_attempt_is_linked_to_the_span_in_which_its_message_is_worked_on(
    memory_bench: Bench, traces: Traces
) -> None:
    memory_bench.submit(workflow(pack.s()))
    with trace.get_tracer("celery").start_as_current_span("run/gostage.action"):
        memory_bench.step()
    attempt = traces.one("work/pack")
    assert [link.context for link in attempt.links] == [traces.one("run/gostage.action").context]
    assert above(attempt) == {at(traces.one("submit order"))}


def test_who_is_in_a_span_already_stays_in_it(traces: Traces) -> None:
    elsewhere = "00-11111111111111111111111111111111-2222222222222222-01 vendor=value"
    with continuing(elsewhere):
        assert carrier() == elsewhere
        assert trace_ids() == ("1" * 32, "2" * 16)
    with traces.provider.get_tracer("shop").start_as_current_span("own"):
        own = carrier()
        with continuing(elsewhere):
            assert carrier() == own


def test_the_ids_of_its_span_are_known_within_a_body(engine: MemoryEngine, traces: Traces) -> None:
    result = engine.execute(workflow(remember.s()))
    own = traces.one("work/remember").context
    assert result.store["ids"] == [f"{own.trace_id:032x}", f"{own.span_id:016x}"]


def test_without_a_provider_nothing_is_made_and_no_run_knows_of_a_trace(
    engine: MemoryEngine,
) -> None:
    assert tracer() is None
    assert trace_ids() is None
    run = engine.submit(workflow(remember.s()))
    assert run.wait().store["ids"] == []
    client, keys = engine.world.state.client, engine.world.state.keys
    assert client.hget(keys.of("run", run.run_id), "trace") is None


def test_nothing_of_opentelemetry_is_needed_or_imported() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from gostage_core import Workflow, action\n"
        "from gostage_core.testing import MemoryEngine\n"
        "@action\n"
        "def hello(ctx): ctx.store['said'] = 'hello'\n"
        "workflow = Workflow('w')\n"
        "workflow.add_stage('s').add(hello.s())\n"
        "print(MemoryEngine().execute(workflow).store['said'])\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.')])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.stdout == "hello\n[]\n", ran.stderr
