"""Runs as links of a Celery canvas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import redis
from celery import chain, chord, group

from gostage_core import Runner, RunStatus, Workflow, run_signature
from tests.support.eventually import eventually
from tests.support.legacy_app import add, app, echo, errback, note, sending_to, total
from tests.support.legacy_worker import LegacyWorker
from tests.support.links import leave, odd, refuse, triple, workflow
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery.canvas import Signature

NAMESPACE = "links"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: Any) -> Iterator[Runner]:
    log = tmp_path_factory.mktemp("logs") / "links.log"
    queues = ("-c", "1", "-Q", f"celery,{NAMESPACE}")
    with (
        RedisServer() as server,
        sending_to(server.url),
        LegacyWorker(
            server.url,
            log,
            *queues,
            install=True,
            namespace=NAMESPACE,
            modules="tests.support.links",
        ),
    ):
        runner = Runner(server.url, namespace=NAMESPACE)
        yield runner
        runner.close()


def link(made: Workflow, **options: Any) -> Signature:
    return run_signature(made, queue=NAMESPACE, app=app, **options)


TRIPLE = workflow(triple.s())


@pytest.mark.parametrize(
    ("canvas", "result"),
    [
        (chain(add.s(1, 1), link(TRIPLE, give="input", take="output"), add.s(1)), 7),
        (link(TRIPLE, store={"input": 5}, take="output"), 15),
        (chain(link(TRIPLE, take="output"), add.s(1)), 4),
        (chain(add.s(1, 1), link(TRIPLE, take="output"), echo.s("end")), [3, "end"]),
        (chain(add.s(1, 1), link(TRIPLE, give="input", take="output")), 6),
        (
            chord(
                [link(TRIPLE, store={"input": 2}, take="output"), add.s(1, 1)],
                total.s(),
            ),
            8,
        ),
        (chord([add.s(1, 1), add.s(2, 2)], link(workflow(), give="all", take="all")), [2, 4]),
        (
            chain(
                add.s(1, 1),
                group(link(TRIPLE, give="input", take="output"), add.s(5)),
                total.s(),
                link(TRIPLE, give="input", take="output"),
                add.s(1),
            ),
            40,
        ),
        (chain(link(workflow(leave.s()), take="output"), echo.s()), ["early"]),
    ],
    ids=[
        "between two tasks", "alone", "first", "without what comes before", "last", "in a header",
        "as a body", "in all places", "one that ends early",
    ],
)  # fmt: skip
def test_a_run_is_a_link_of_a_canvas(runner: Runner, canvas: Signature, result: Any) -> None:
    assert canvas.apply_async().get(timeout=60) == result


def test_the_link_is_found_as_a_run_by_its_id(runner: Runner) -> None:
    linked = link(TRIPLE, tags=["found"]).apply_async()
    assert linked.get(timeout=60) == linked.id
    assert runner.get(linked.id).status is RunStatus.COMPLETED
    assert [run.run_id for run in runner.list(tag="found")] == [linked.id]


@pytest.mark.parametrize(
    ("made", "take", "about"),
    [
        (workflow(refuse.s(word="never")), None, "s/refuse: LookupError: never"),
        (workflow(triple.s()), "nothing", "nothing"),
        (workflow(odd.s()), "output", "output"),
    ],
    ids=["a run that fails", "a result that is not there", "a result that no message carries"],
)
def test_a_failure_ends_the_canvas_and_is_told(
    runner: Runner, made: Workflow, take: str | None, about: str, request: Any
) -> None:
    told = f"told-{request.node.callspec.id}"
    canvas = chain(
        add.s(1, 1), link(made, take=take).on_error(errback.s(where=told)), note.s(where="never")
    )
    result = canvas.apply_async()
    with pytest.raises(Exception, match=about):
        result.parent.get(timeout=60)
    with redis.Redis.from_url(runner.settings.redis_url) as client:
        heard = eventually(lambda: client.lrange(told, 0, -1))
        assert [json.loads(one) for one in heard] == [result.parent.id]
        assert client.llen("never") == 0


def test_a_run_that_is_cancelled_ends_the_canvas(runner: Runner) -> None:
    made = Workflow("waits")
    made.add_stage("s").add(triple.s().options(queue="nobody-takes-this"))
    result = chain(link(made), add.s(1)).apply_async()
    eventually(lambda: runner.list(workflow="waits"))
    runner.get(result.parent.id).cancel("not wanted")
    with pytest.raises(Exception, match="cancelled"):
        result.parent.get(timeout=60)


def test_what_cannot_be_a_run_fails_its_link(runner: Runner) -> None:
    bad = app.signature("gostage.run", kwargs={"definition": {"id": "x"}}, queue=NAMESPACE)
    with pytest.raises(Exception, match="stages"):
        bad.apply_async().get(timeout=60)


def test_a_link_whose_message_comes_twice_is_one_run(runner: Runner) -> None:
    for _ in range(2):
        link(TRIPLE, tags=["once"]).apply_async(task_id="linked-once")
    assert app.AsyncResult("linked-once").get(timeout=60) == "linked-once"
    assert len(runner.list(tag="once")) == 1


def test_a_link_holds_no_worker_while_its_run_goes_on(runner: Runner) -> None:
    made = Workflow("slow")
    made.add_stage("s").add(triple.s().options(queue="nobody-takes-this"))
    waiting = link(made).apply_async()
    eventually(lambda: runner.list(workflow="slow"))
    assert add.s(1, 1).apply_async().get(timeout=60) == 2
    assert not waiting.ready()
    runner.get(waiting.id).cancel()
