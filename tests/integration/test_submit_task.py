"""Definitions that come as Celery messages, from producers that have no gostage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from gostage_core import Runner, RunNotFoundError, RunStatus
from gostage_workers import LocalCluster
from tests.support.eventually import eventually
from tests.support.links import leave, refuse, triple, workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RedisServer

NAMESPACE = "submitted"


@pytest.fixture(scope="module")
def runner(server: RedisServer) -> Iterator[Runner]:
    with LocalCluster(
        1, url=server.url, namespace=NAMESPACE, modules=["tests.support.links"]
    ) as cluster:
        yield cluster.runner


@pytest.fixture(scope="module")
def producer(server: RedisServer) -> Iterator[Celery]:
    """A Celery app that knows nothing of gostage, as any producer of Celery's messages is."""
    app = Celery("elsewhere", broker=server.url, set_as_current=False)
    yield app
    app.close()


def submit(producer: Celery, *args: Any, **kwargs: Any) -> str:
    sent = producer.send_task("gostage.submit", args, kwargs, queue=NAMESPACE)
    assert sent.id is not None
    return sent.id


def ended(runner: Runner, run_id: str) -> Any:
    def shows() -> bool:
        try:
            return runner.get(run_id).status.is_terminal
        except RunNotFoundError:
            return False

    eventually(shows)
    return runner.get(run_id).result()


def reply(server: RedisServer, where: str) -> Any:
    with server.client() as client:
        found = eventually(lambda: client.lpop(where))
        assert client.llen(where) == 0
    return json.loads(found)


def definition(*actions: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(workflow(*actions).to_json())
    return found


def test_a_definition_is_submitted_and_the_id_of_its_message_is_that_of_the_run(
    runner: Runner, producer: Celery
) -> None:
    task_id = submit(producer, definition(triple.s()), store={"input": 14}, tags=["elsewhere"])
    result = ended(runner, task_id)
    assert result.store["output"] == 42
    assert [found.run_id for found in runner.list(tag="elsewhere")] == [task_id]


def test_a_definition_may_come_as_text_and_its_values_with_the_tags_of_the_store(
    runner: Runner, producer: Celery
) -> None:
    price = {"$": "Decimal", "v": "1.50"}
    text = json.dumps(definition(triple.s()))
    submit(producer, text, run_id="as-text", store={"price": price, "plain": {"a": [1]}})
    store = ended(runner, "as-text").store
    assert str(store["price"]) == "1.50"
    assert store["plain"] == {"a": [1]}


def test_a_message_that_comes_twice_submits_once(runner: Runner, producer: Celery) -> None:
    for _ in range(2):
        producer.send_task(
            "gostage.submit",
            [definition(triple.s())],
            {"tags": ["twice"], "reply_to": "answers-0"},
            queue=NAMESPACE,
            task_id="the-same",
        )
    ended(runner, "the-same")
    ended(runner, submit(producer, definition(triple.s())))
    assert len(runner.list(tag="twice")) == 1


def test_a_key_makes_it_safe_to_repeat(
    runner: Runner, producer: Celery, server: RedisServer
) -> None:
    for _ in range(2):
        submit(producer, definition(triple.s()), key="event-1", tags=["once"], reply_to="answers-1")
    assert reply_of_both(server, "answers-1") == {"completed"}
    assert len(runner.list(tag="once")) == 1


def reply_of_both(server: RedisServer, where: str) -> set[str]:
    """Return the statuses in what came: once, and again where the repeat came after the end."""
    with server.client() as client:
        texts = eventually(lambda: client.lrange(where, 0, -1))
    return {json.loads(text)["status"] for text in texts}


def test_the_result_is_put_onto_the_list_that_was_named(
    runner: Runner, producer: Celery, server: RedisServer
) -> None:
    task_id = submit(producer, definition(triple.s()), store={"input": 2}, reply_to="answers-2")
    assert reply(server, "answers-2") == {
        "run_id": task_id,
        "status": "completed",
        "error": None,
        "bail_reason": None,
        "store": {"input": 2, "output": 6},
    }


def test_a_run_that_fails_is_cancelled_or_ends_early_is_replied_to_as_well(
    runner: Runner, producer: Celery, server: RedisServer
) -> None:
    submit(producer, definition(refuse.s(word="never")), reply_to="answers-3")
    failed = reply(server, "answers-3")
    assert failed["status"] == "failed"
    assert failed["error"]["type"] == "LookupError"
    assert failed["error"]["text"] == "s/refuse: LookupError: never"
    submit(producer, definition(leave.s()), reply_to="answers-4")
    early = reply(server, "answers-4")
    assert (early["status"], early["bail_reason"]) == ("bailed", "enough")
    nowhere = triple.s().options(queue="nobody-takes-this")
    task_id = submit(producer, definition(nowhere), reply_to="answers-5")
    eventually(lambda: runner.list(workflow="link", status="pending"))
    runner.get(task_id).cancel("not wanted")
    assert reply(server, "answers-5")["status"] == "cancelled"


@pytest.mark.parametrize(
    ("sent", "about"),
    [
        ({"definition": {"id": "x", "stages": [{"id": "s", "actions": [{"action": "os:system"}]}]}},
         "os:system"),
        ({"definition": "{"}, "JSON"),
        ({"definition": None}, "submit() takes"),
        ({"definition": 7}, "submit() takes"),
        ({"store": [1]}, "store is an object"),
        ({"tags": "one"}, "tags"),
        ({"deadline": "soon"}, "soon"),
        ({"run_id": "no spaces"}, "run_id"),
        ({"priority": 1}, "priority"),
        ({"store": {"x": {"$": "model", "t": "nobody:Knows", "v": {}}}}, "nobody:Knows"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_and_harms_no_worker(
    runner: Runner, producer: Celery, server: RedisServer, sent: dict[str, Any], about: str
) -> None:
    wanted = {"definition": definition(triple.s()), "reply_to": "answers-6", **sent}
    submit(producer, **wanted)
    told = reply(server, "answers-6")
    assert told["status"] == "refused"
    assert about in told["error"]["message"]
    assert runner.execute(workflow(triple.s()), timeout=60).status is RunStatus.COMPLETED


def test_a_list_that_is_no_list_or_one_of_gostage_harms_nobody(
    runner: Runner, producer: Celery, server: RedisServer
) -> None:
    with server.client() as client:
        client.set("taken", "text")
        before = client.keys(f"*{NAMESPACE}*")
        for reply_to in ("taken", f"{{{NAMESPACE}}}:runs", NAMESPACE, 7, ""):
            task_id = submit(producer, definition(triple.s()), reply_to=reply_to)
        ended(runner, submit(producer, definition(triple.s())))
        assert client.get("taken") == b"text"
        assert client.type(f"{{{NAMESPACE}}}:runs") == b"zset"
        assert before
        assert task_id


def test_an_id_that_is_taken_is_refused(
    runner: Runner, producer: Celery, server: RedisServer
) -> None:
    submit(producer, definition(triple.s()), run_id="mine")
    ended(runner, "mine")
    submit(producer, definition(triple.s()), run_id="mine", reply_to="answers-7")
    assert reply(server, "answers-7")["error"]["type"] == "RunExistsError"


def test_a_producer_in_python_may_name_a_list_too(runner: Runner, server: RedisServer) -> None:
    run = runner.submit(workflow(triple.s()), reply_to="answers-8")
    assert reply(server, "answers-8")["run_id"] == run.run_id
