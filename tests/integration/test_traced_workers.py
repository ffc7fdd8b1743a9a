"""Traces that real workers make: over a death, in other processes, from other languages."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from gostage_core import RunNotFoundError, RunStatus, Stage, Workflow
from gostage_workers import LocalCluster
from tests.support import gated, traced
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gostage_core import Run

Span = dict[str, Any]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("traces") / "spans"
    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACES", str(path))
        yield path


@pytest.fixture(scope="module")
def cluster(file: Path) -> Iterator[LocalCluster]:
    with LocalCluster(2, modules=["tests.support.traced"]) as cluster:
        yield cluster


def spans_of(file: Path, trace_id: str) -> list[Span]:
    spans = [json.loads(line) for line in file.read_text().splitlines()]
    return [span for span in spans if span["context"]["trace_id"] == f"0x{trace_id}"]


def named(file: Path, trace_id: str, name: str) -> list[Span]:
    return [span for span in spans_of(file, trace_id) if span["name"] == name]


def workflow(*actions: Any) -> Workflow:
    made = Workflow("order")
    made.add_stage(Stage("work", actions))
    return made


def submit(cluster: LocalCluster, wanted: Workflow) -> tuple[str, Run]:
    """Submit as a service in another language does that has a trace, and return the trace's id."""
    trace_id, key = uuid.uuid4().hex, uuid.uuid4().hex
    app = Celery("elsewhere", broker=cluster.url, set_as_current=False)
    sent = app.send_task(
        "gostage.submit",
        (json.loads(wanted.to_json()),),
        {"key": key},
        queue="gostage",
        headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
    )
    app.close()

    def found() -> Run | None:
        try:
            return cluster.runner.get(str(sent.id))
        except RunNotFoundError:
            return None

    return trace_id, eventually(found, 90)


def test_a_killed_worker_leaves_the_next_attempt_in_the_trace_of_who_sent_the_message(
    cluster: LocalCluster, file: Path, tmp_path: Path
) -> None:
    gate = gated.Gate(tmp_path)
    trace_id, run = submit(cluster, workflow(traced.held.s(place=gate.place)))
    eventually(lambda: gate.begun, 90)
    worker = run.plan.actions[0].worker
    cluster.kill_worker(
        next(i for i, one in enumerate(cluster.workers) if worker.startswith(f"{one.name}."))
    )
    gate.open()
    assert run.wait(90).status is RunStatus.COMPLETED
    (attempt,) = eventually(lambda: named(file, trace_id, "work/held"), 90)
    assert attempt["attributes"]["gostage.attempt"] == 2
    assert attempt["attributes"]["gostage.outcome"] == "completed"
    (sent,) = named(file, trace_id, "submit order")
    assert attempt["parent_id"] == sent["context"]["span_id"]
    assert sent["parent_id"] == "0x00f067aa0ba902b7"


def test_what_an_isolated_body_does_is_below_its_attempt(cluster: LocalCluster, file: Path) -> None:
    trace_id, run = submit(cluster, workflow(traced.isolated.s()))
    assert run.wait(90).status is RunStatus.COMPLETED
    (attempt,) = eventually(lambda: named(file, trace_id, "work/isolated"), 90)
    (inside,) = named(file, trace_id, "inside")
    assert inside["parent_id"] == attempt["context"]["span_id"]
