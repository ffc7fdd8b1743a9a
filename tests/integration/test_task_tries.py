"""Tries of an action that waits for a Celery task: each gets the end of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import CeleryTask, Retry, RunStatus, Workflow
from gostage_core.attempt import Moment, Place
from gostage_core.composition.task_end import failed, succeeded, waiting_entry
from gostage_core.status import ActionStatus
from tests.support.bench import Doubting

if TYPE_CHECKING:
    from gostage_core import Run
    from tests.support.bench import Bench

Sent = list[dict[str, Any]]


@pytest.fixture
def sent(bench: Bench) -> Sent:
    """What the workers of the bench publish."""
    messages: Sent = []

    def publish(name: str, args: object, kwargs: object, **options: Any) -> None:
        messages.append({"name": name, "args": args, "kwargs": kwargs, **options})

    for name in ("w", "other"):
        bench._workers[name] = Doubting(
            bench.state, Place(name, publish=publish), reached=bench._reached
        )
    return messages


def submit(bench: Bench, task: CeleryTask) -> Run:
    workflow = Workflow("w")
    workflow.add_stage("s").add(task.options(store_as="came"))
    return bench.submit(workflow)


def bring(bench: Bench, wait: str, text: str) -> str:
    place = waiting_entry(wait)
    assert place is not None
    answer = bench.state.deliver(place.run_id, place.entry, wait, text)
    bench.post.send(place.run_id, answer.next)
    return answer.word


def test_the_end_of_a_task_that_is_faster_than_its_publisher_is_kept(bench: Bench) -> None:
    def publish(*_: object, answer_to: str, **__: object) -> None:
        assert bring(bench, answer_to, succeeded("at once", 1000)) == "delivered"

    bench._workers["w"] = Doubting(bench.state, Place("w", publish=publish))
    run = submit(bench, CeleryTask("t"))
    bench.step()
    assert bench.post.messages, "it does not wait for what is there"
    assert bench.drain(run).store["came"] == "at once"


def test_a_worker_that_dies_after_it_has_published_publishes_the_same_task_again(
    bench: Bench, sent: Sent
) -> None:
    run = submit(bench, CeleryTask("t", args=[1]))
    bench.die_at = Moment.BODY_DONE
    bench.step()
    bench.rescuer.lost("w")
    bench.step("other")
    first, second = sent
    assert first["task_id"] == second["task_id"]
    assert first["args"] == second["args"] == [1]
    assert first["answer_to"] != second["answer_to"]
    assert bring(bench, second["answer_to"], succeeded("second", 1000)) == "delivered"
    # The first one was executed as well, and is late.
    bring(bench, first["answer_to"], failed("ValueError", "late"))
    assert bring(bench, second["answer_to"], failed("ValueError", "again")) == "repeated"
    assert bench.drain(run).store["came"] == "second"


def test_what_comes_late_for_a_try_that_has_failed_takes_nothing_from_the_next(
    bench: Bench, sent: Sent
) -> None:
    run = submit(bench, CeleryTask("t").options(retry=Retry(max_attempts=2, delay=0)))
    bench.step()
    bring(bench, sent[0]["answer_to"], failed("ValueError", "no"))
    while len(sent) < 2:
        bench.pass_time() if not bench.post.messages else bench.step()
    assert sent[0]["task_id"] == sent[1]["task_id"]
    assert bring(bench, sent[0]["answer_to"], failed("ValueError", "no")) == "repeated"
    assert run.plan.actions[0].status is ActionStatus.WAITING
    bring(bench, sent[1]["answer_to"], succeeded("yes", 1000))
    assert bench.drain(run).store["came"] == "yes"


def test_a_late_end_for_a_run_that_has_ended_is_of_no_use_to_anybody(
    bench: Bench, sent: Sent
) -> None:
    run = submit(bench, CeleryTask("t", timeout=60))
    result = bench.drain(run)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"
    assert bring(bench, sent[0]["answer_to"], succeeded(1, 1000)) == "gone"


@pytest.mark.parametrize("wait", [None, 7, "", "x", "a:b", "run:one:1", ":1:1", "run:1"])
def test_what_names_nothing_that_waits_is_told_from_what_does(wait: object) -> None:
    assert waiting_entry(wait) is None
    assert waiting_entry("a:run:7:1") == ("a:run", "7")


def test_a_result_that_the_store_cannot_hold_is_a_failure_that_says_so(
    bench: Bench, sent: Sent
) -> None:
    for result, about in ((object(), "NotStorableError"), ("x" * 2000, "ValueTooLargeError")):
        run = submit(bench, CeleryTask("t"))
        while not sent:
            bench.step()
        bring(bench, sent.pop()["answer_to"], succeeded(result, 1000))
        error = bench.drain(run).error
        assert error is not None
        assert error.type == about
        assert error.path == "s/t"
