"""A canvas gives the same result whether Celery executes it or a run does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import redis
from celery import chain, chord, group

from gostage_core import Runner, RunStatus, Workflow
from tests.support.eventually import eventually
from tests.support.legacy_app import (
    add,
    echo,
    errback,
    fails,
    note,
    place,
    sending_to,
    split,
    total,
)
from tests.support.legacy_worker import LegacyWorker
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "canvas"

CANVASES: dict[str, Any] = {
    "a task": add.s(1, 2),
    "a chain": chain(add.s(1, 2), add.s(3), echo.s("x", named=4)),
    "a chain whose link takes nothing": chain(add.s(1, 2), add.si(5, 5), add.s(1)),
    "a group": group(add.s(1, 1), add.s(2, 2), add.s(3, 3)),
    "a group of one": group(add.s(1, 1)),
    "an empty group": group([]),
    "a chord": chord([add.s(1, 1), add.s(2, 2), add.s(3, 3)], total.s()),
    "a chord with an empty header": chord([], echo.s("x")),
    "a chord whose body takes nothing": chord([add.s(1, 1)], add.si(2, 2)),
    "a chord whose body is a chain": chord([add.s(1, 1)], chain(total.s(), add.s(1))),
    "a chord whose body is a group": chord([add.s(1, 1)], group(total.s(), echo.s("x"))),
    "a chord in a chain": chain(add.s(1, 1), chord([add.s(1), add.s(2)], total.s()), add.s(9)),
    "a chord in a chord": chord([chord([add.s(1, 1)], total.s()), add.s(1, 1)], echo.s()),
    "a chord as the body of a chord": chord([add.s(1, 1)], chord([echo.s("a")], echo.s("b"))),
    "a group in a chain": chain(add.s(1, 1), group(add.s(1), add.s(2)), total.s(), add.s(1)),
    "a group of one in a chain": chain(add.s(1, 1), group(add.s(5)), echo.s()),
    "an empty group in a chain": chain(add.s(1, 1), group([]), echo.s()),
    "a group after a group": chain(group(add.s(1, 1), add.s(2, 2)), group(echo.s("a"), total.s())),
    "a group at the end of a chain": chain(add.s(1, 1), group(add.s(1), add.s(2))),
    "a group in a group": group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)),
    "chains in a group": group(chain(add.s(1, 1), add.s(1)), chain(add.s(2, 2), add.s(2))),
    "chains in a group in a chain": chain(
        add.s(1, 1), group(chain(echo.s("a"), echo.s("b")), echo.s("c")), echo.s("d")
    ),
    "a chain that ends in a group, in a group": group(
        chain(add.s(1, 1), group(add.s(1), add.s(2))), add.s(9, 9)
    ),
    "a chain that ends in a group, in a group of its own": group(
        chain(add.s(1, 1), group(add.s(1), add.s(2)))
    ),
    "a chain that ends in a group, in a chord": chord(
        [chain(add.s(1, 1), group(add.s(1), add.s(2))), add.s(9, 9)], echo.s()
    ),
    "a chain in a chain": chain(add.s(1, 1), chain(add.s(2), add.s(3)), add.s(4)),
    "a map": total.map([[1, 2], [3, 4]]),
    "a starmap in a chain": chain(add.s(1, 1), add.starmap([(1, 2), (3, 4)]), total.s()),
    "chunks": add.chunks([(1, 1), (2, 2), (3, 3)], 2),
    "chunks that are joined": chain(add.chunks([(1, 1), (2, 2), (3, 3)], 2).group(), echo.s()),
    "a list that is passed on": chain(split.s(3), total.s()),
}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: Any) -> Iterator[Runner]:
    queues = f"celery,special,other,{NAMESPACE}"
    log = tmp_path_factory.mktemp("logs") / "all.log"
    with RedisServer() as server, sending_to(server.url):
        worker = LegacyWorker(
            server.url, log, "-c", "2", "-Q", queues, install=True, namespace=NAMESPACE
        )
        with worker:
            runner = Runner(server.url, namespace=NAMESPACE)
            yield runner
            runner.close()


@pytest.mark.parametrize("name", CANVASES)
def test_a_run_gives_the_result_that_celery_gives(runner: Runner, name: str) -> None:
    canvas = CANVASES[name]
    result = runner.execute(Workflow.from_canvas(canvas), timeout=60)
    assert result.error is None
    assert result.store["result"] == canvas.apply_async().get(timeout=60)


def test_the_results_of_a_group_in_a_header_are_in_the_order_of_the_canvas(runner: Runner) -> None:
    canvas = chord([group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)], echo.s())
    result = runner.execute(Workflow.from_canvas(canvas), timeout=60)
    assert result.store["result"] == [[2, 4, 6]]


def test_a_canvas_that_went_through_json_gives_the_same_result(runner: Runner) -> None:
    canvas = json.loads(json.dumps(CANVASES["chains in a group in a chain"]))
    result = runner.execute(Workflow.from_canvas(canvas), timeout=60)
    assert result.store["result"] == [[[[2, "a"], "b"], [2, "c"]], "d"]


def test_results_and_queues_of_single_tasks_are_kept(runner: Runner) -> None:
    canvas = chain(add.s(1, 1), place.si().set(queue="other", time_limit=50))
    result = runner.execute(Workflow.from_canvas(canvas, store_as="where"), timeout=60)
    assert result.store["where"]["queue"] == "other"
    assert result.store["where"]["time_limit"] == 50


def test_a_group_goes_on_when_a_member_fails_and_the_run_then_fails(runner: Runner) -> None:
    where = "beside"
    canvas = chain(group(fails.s("Ana"), note.s(1, where=where), note.s(2, where=where)), echo.s())
    result = runner.execute(Workflow.from_canvas(canvas), timeout=60)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "NoCustomerError"
    assert result.error.path == "1-group/fails"
    assert [action.status for action in result.stages["1-group"].actions[1:]] == ["completed"] * 2
    assert result.stages["2-echo"].status == "pending"


def test_callbacks_and_errbacks_of_the_parts_are_called(runner: Runner) -> None:
    heard, told = "heard", "told"
    good = chain(add.s(1, 1), add.s(2))
    good.link(note.s(where=heard))
    runner.execute(Workflow.from_canvas(good), timeout=60)
    bad = chord([fails.s("Ana"), add.s(1, 1)], total.s().on_error(errback.s(where=told)))
    runner.execute(Workflow.from_canvas(bad), timeout=60)
    with redis.Redis.from_url(runner.settings.redis_url) as client:
        assert eventually(lambda: client.lrange(heard, 0, -1)) == [b"[4]"]
        assert len(eventually(lambda: client.lrange(told, 0, -1))) == 1
