"""Producers in another language: a script for Node that knows nothing but Celery's messages."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from gostage_workers import LocalCluster
from tests.support.links import refuse, triple, workflow
from tests.support.node import SCRIPTS, Node, NoNodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RedisServer

NAMESPACE = "produced"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    try:
        return Node(tmp_path_factory.mktemp("node"))
    except NoNodeError as error:
        pytest.skip(f"no producer in another language can be run: {error}")


@pytest.fixture(scope="module")
def cluster(node: Node, server: RedisServer) -> Iterator[LocalCluster]:
    modules = ["tests.support.links"]
    with LocalCluster(1, url=server.url, namespace=NAMESPACE, modules=modules) as cluster:
        yield cluster


def submit(cluster: LocalCluster, node: Node, *actions: Any, **environment: str) -> Any:
    said = node.run(
        "celery_message.mjs",
        workflow(*actions).to_json(),
        REDIS_URL=cluster.url,
        GOSTAGE_NAMESPACE=NAMESPACE,
        **environment,
    )
    return json.loads(said)


def test_a_script_for_node_submits_by_a_celery_message_and_reads_the_result(
    cluster: LocalCluster, node: Node
) -> None:
    told = submit(cluster, node, triple.s(), STORE='{"input": 14}', KEY="event-1")
    assert told["status"] == "completed"
    assert told["store"] == {"input": 14, "output": 42}
    again = submit(cluster, node, triple.s(), STORE='{"input": 14}', KEY="event-1")
    assert again["run_id"] == told["run_id"]
    assert [run.run_id for run in cluster.runner.list()] == [told["run_id"]]


def test_it_is_told_what_a_run_failed_with(cluster: LocalCluster, node: Node) -> None:
    told = submit(cluster, node, refuse.s(word="never"))
    assert told["status"] == "failed"
    assert told["error"]["text"] == "s/refuse: LookupError: never"


def test_what_is_installed_is_named_by_its_digest_and_by_no_registry() -> None:
    text = (SCRIPTS / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    needed = {path: one for path, one in packages.items() if path}
    assert all(one["integrity"].startswith("sha512-") for one in needed.values())
    assert re.findall(r"https?://", text) == []
