"""Malformed queue items: the worker lives, what follows them runs, and they are kept to look at."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from gostage_core.broker.quarantine import MAX_ENTRIES, MAX_ITEM_BYTES, quarantine_key
from tests.support.eventually import eventually
from tests.support.plain_worker import PlainWorker
from tests.support.queue_items import MALFORMED, ODD, REFUSED, item, with_body
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

POOLS = {"solo": ["-P", "solo"], "prefork": ["-P", "prefork", "-c", "1"]}


class Consumed:
    """A broker and one worker that takes from its queue ``celery`` and must outlive all of it."""

    def __init__(self, client: redis.Redis, worker: PlainWorker) -> None:
        self.client = client
        self.worker = worker
        self.pid = worker.pid

    def take(self, *items: bytes) -> list[bytes]:
        """Push items and a good one after them; return what was done when the good one was."""
        good = uuid4().hex.encode()
        self.client.delete("done", quarantine_key("celery"))
        self.client.lpush("celery", *items, item(good.decode(), task="plain.early"))
        eventually(lambda: good in self.done() or not self.worker.alive)
        assert self.worker.alive
        assert self.worker.pid == self.pid
        return [marker for marker in self.done() if marker != good]

    def done(self) -> list[bytes]:
        return cast("list[bytes]", self.client.lrange("done", 0, -1))

    def kept(self, queue: str = "celery") -> list[dict[str, Any]]:
        return [json.loads(entry) for entry in self.client.lrange(quarantine_key(queue), 0, -1)]


@pytest.fixture(scope="module")
def broker() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module", params=POOLS)
def consumed(
    request: pytest.FixtureRequest, broker: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Consumed]:
    log = tmp_path_factory.mktemp("worker") / "w.log"
    with broker.client() as client:
        client.flushall()
        with PlainWorker(broker.url, log, *POOLS[request.param]) as worker:
            yield Consumed(client, worker)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_item_is_kept_aside_and_the_next_one_runs(
    consumed: Consumed, name: str
) -> None:
    assert consumed.take(MALFORMED[name]) == []

    [kept] = consumed.kept()
    assert base64.b64decode(kept["item"]) == MALFORMED[name][:MAX_ITEM_BYTES]
    assert kept["size"] == len(MALFORMED[name])
    assert kept["reason"]
    assert kept["at"].startswith("20")


@pytest.mark.parametrize("name", REFUSED)
def test_what_celery_refuses_is_left_to_celery(consumed: Consumed, name: str) -> None:
    assert consumed.take(REFUSED[name]) == []
    assert consumed.kept() == []


@pytest.mark.parametrize("name", ODD)
def test_what_celery_executes_is_not_kept_from_it(consumed: Consumed, name: str) -> None:
    assert consumed.take(ODD[name]) == [b"changed"]
    assert consumed.kept() == []


def test_nothing_malformed_is_given_back_to_kill_the_next_worker(consumed: Consumed) -> None:
    consumed.take(*MALFORMED.values())

    assert consumed.client.llen("celery") == 0
    assert consumed.client.hlen("unacked") == 0
    assert len(consumed.kept()) == len(MALFORMED)


def test_the_log_names_queue_and_reason_once_and_never_the_content(consumed: Consumed) -> None:
    secret = uuid4().hex
    before = len(consumed.worker.output)

    consumed.take(f'{{"{secret}": '.encode(), with_body(f'[["{secret}"], 5, 5]'))

    written = consumed.worker.output[before:]
    assert secret not in written
    lines = [line for line in written.splitlines() if "malformed" in line]
    assert len(lines) == 2
    assert all("WARNING" in line and "queue 'celery'" in line for line in lines)
    assert "it is not JSON" in lines[0]
    assert "its body is not [args, kwargs, embed]" in lines[1]


def test_the_quarantine_is_bounded_and_so_is_each_entry(consumed: Consumed) -> None:
    huge = os.urandom(2 * MAX_ITEM_BYTES)

    consumed.take(*(b"%d" % number for number in range(MAX_ENTRIES + 50)), huge)

    kept = consumed.kept()
    assert len(kept) == MAX_ENTRIES
    assert kept[0]["size"] == len(huge)
    assert base64.b64decode(kept[0]["item"]) == huge[:MAX_ITEM_BYTES]
    assert base64.b64decode(kept[-1]["item"]) == b"51"


def test_a_message_of_megabytes_is_executed(consumed: Consumed) -> None:
    consumed.take(item("x" * (4 * 2**20), task="plain.early"))
    assert consumed.kept() == []


def test_a_key_prefix_counts_for_the_quarantine_too(broker: RedisServer, tmp_path: Any) -> None:
    options = {"global_keyprefix": "mine:"}
    with broker.client() as client:
        client.flushall()
        with PlainWorker(broker.url, tmp_path / "w.log", "-P", "solo", options=options):
            for number in range(MAX_ENTRIES + 1):
                client.lpush("mine:celery", number)
            client.lpush("mine:celery", item("good"))
            eventually(lambda: client.lrange("done", 0, -1) == [b"good"])
        assert client.llen("mine:celery.quarantine") == MAX_ENTRIES
        assert not client.exists("celery.quarantine")
