"""Existing Celery tasks as actions, with workers that know of gostage and such that do not."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import CeleryTask, Retry, Runner, RunResult, RunStatus, Stage, Workflow
from gostage_core.status import ActionStatus
from gostage_workers import LocalCluster
from tests.support import pooled
from tests.support.eventually import eventually
from tests.support.legacy_app import app, sending_to
from tests.support.legacy_worker import LegacyWorker
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def legacy_server() -> Iterator[RedisServer]:
    with RedisServer() as server, sending_to(server.url):
        yield server


@pytest.fixture(scope="module", params=["without install", "with install", "installed elsewhere"])
def runner(
    request: pytest.FixtureRequest, legacy_server: RedisServer, tmp_path_factory: Any
) -> Iterator[Runner]:
    """A runner whose tasks are executed by the project's workers.

    With install they execute its actions, too; elsewhere, those of another namespace.
    """
    url, log = legacy_server.url, tmp_path_factory.mktemp("logs") / "theirs.log"
    namespace = request.param.replace(" ", "-")
    if request.param == "with install":
        queues = ("-c", "2", "-Q", f"celery,special,other,{namespace}")
        with LegacyWorker(url, log, *queues, install=True, namespace=namespace):
            runner = Runner(url, namespace=namespace)
            yield runner
            runner.close()
        return
    installed = request.param == "installed elsewhere"
    queues = ("-c", "1", "-Q", "celery,special,other")
    with (
        LegacyWorker(url, log, *queues, install=installed, namespace="elsewhere"),
        LocalCluster(1, url=url, namespace=namespace, modules=["tests.support.pooled"]) as cluster,
    ):
        yield cluster.runner


def publishes_itself(runner: Runner) -> bool:
    """Tell whether messages go out through the project's own app, which knows its routes."""
    return runner.settings.namespace == "with-install"


def tells_errors(runner: Runner) -> bool:
    return runner.settings.namespace != "without-install"


def execute(runner: Runner, *actions: Any, **options: Any) -> RunResult:
    workflow = Workflow("w")
    workflow.add_stage(Stage("s", actions))
    return runner.execute(workflow, timeout=60, **options)


def test_what_a_task_returns_is_the_value_of_its_action(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.add", args=[20], kwargs={"y": 22}, store_as="sum"))
    assert result.error is None
    assert result.store["sum"] == 42
    assert [(a.name, a.status) for a in result.actions] == [("add", ActionStatus.COMPLETED)]


def test_values_of_the_store_are_given_by_keyword_and_by_position(runner: Runner) -> None:
    task = CeleryTask(
        "legacy.echo",
        args=["last"],
        give={0: "first", 1: ["first", "second"], "named": "price"},
        store_as="seen",
    )
    result = execute(runner, task, store={"first": 1, "second": "two", "price": Decimal("1.5")})
    assert result.store["seen"] == [[1, [1, "two"], "last"], {"named": Decimal("1.5")}]


def test_a_result_that_celery_ignores_arrives_as_its_serializer_wrote_it(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.price", args=[10], store_as="price"))
    assert result.store["price"] == Decimal("2.5")


def test_retries_of_the_task_are_its_own(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.flaky", args=[2], store_as="retries"))
    assert result.error is None
    assert result.store["retries"] == 2
    assert result.actions[0].attempt == 1
    failed = execute(runner, CeleryTask("legacy.flaky", args=[9]))
    assert failed.status is RunStatus.FAILED
    assert failed.actions[0].attempt == 1


def test_a_task_that_replaces_itself_ends_with_what_replaced_it(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.replaced", args=[1], store_as="sum"))
    assert result.store["sum"] == 2


def test_a_task_that_fails_fails_its_action(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.fails", args=["Ana"]).options(name="charge"))
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.path == "s/charge"
    # Where gostage is installed the worker tells the error; elsewhere, its id.
    if tells_errors(runner):
        assert result.error.type == "NoCustomerError"
        assert result.error.message == "no customer Ana"
        assert "raise NoCustomerError" in result.error.traceback
    else:
        assert result.error.type == "TaskError"
        assert "look at its log" in result.error.message


def test_an_action_is_tried_again_by_its_own_policy_and_each_try_is_its_own(
    runner: Runner,
) -> None:
    task = CeleryTask("legacy.fails", args=["Ana"]).options(retry=Retry(max_attempts=3, delay=0))
    result = execute(runner, task)
    assert result.status is RunStatus.FAILED
    assert result.actions[0].attempt == 3


def test_a_result_that_is_not_json_fails_the_action(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.unwritable", store_as="x"))
    assert result.status is RunStatus.FAILED


def test_a_task_whose_process_dies_fails_the_action(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.killed"))
    assert result.status is RunStatus.FAILED
    if tells_errors(runner):
        assert result.error is not None
        assert result.error.type == "WorkerLostError"


def test_a_task_that_vanishes_ends_at_its_timeout(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.add", args=[1], queue="nobody", timeout=0.5))
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"
    assert "task legacy.add" in result.error.message


def test_a_task_that_celery_revokes_tells_nothing_and_ends_at_its_timeout(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.add", args=[1], timeout=2, expires=-1))
    assert result.error is not None
    assert result.error.type == "ActionTimeoutError"


def test_the_queue_of_a_message_can_be_chosen(runner: Runner) -> None:
    result = execute(
        runner, CeleryTask("legacy.place", queue="other", time_limit=77, store_as="place")
    )
    assert result.store["place"]["queue"] == "other"
    assert result.store["place"]["time_limit"] == 77


def test_the_routes_and_options_of_the_project_are_kept(runner: Runner) -> None:
    task = CeleryTask("legacy.routed", store_as="place")
    if not publishes_itself(runner):
        task = CeleryTask("legacy.routed", queue="special", store_as="place")
    place = execute(runner, task).store["place"]
    assert place["queue"] == "special"
    if publishes_itself(runner):
        assert place["time_limit"] == 300


def test_an_argument_that_cannot_be_sent_fails_the_action(runner: Runner) -> None:
    result = execute(runner, CeleryTask("legacy.add", give={0: "set"}), store={"set": {1, 2}})
    assert result.error is not None
    assert "legacy.add" in result.error.message


def test_callbacks_of_its_own_are_called_too(runner: Runner, legacy_server: RedisServer) -> None:
    where = f"heard-{runner.settings.namespace}"
    noting = app.signature("legacy.note", kwargs={"where": where})
    telling = app.signature("legacy.errback", [where])
    execute(
        runner,
        CeleryTask("legacy.add", args=[1], link=noting),
        CeleryTask("legacy.fails", args=["x"], link_error=telling),
    )
    with legacy_server.client() as client:
        eventually(lambda: client.llen(where) == 2)


def test_a_run_that_waits_for_a_task_holds_no_worker(
    legacy_server: RedisServer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    url = legacy_server.url
    modules = ["tests.support.pooled"]
    with (
        LocalCluster(1, url=url, namespace="one-worker", modules=modules) as cluster,
        LegacyWorker(url, tmp_path / "gated.log", "-c", "1", "-Q", "gated"),
    ):
        workflow = Workflow("waits")
        workflow.add_stage("s").add(CeleryTask("legacy.gated", args=[str(gate)], queue="gated"))
        run = cluster.runner.submit(workflow)
        eventually(lambda: run.plan.actions[0].status is ActionStatus.WAITING)
        assert execute(cluster.runner, pooled.which.s()).status is RunStatus.COMPLETED
        assert run.status is not RunStatus.COMPLETED
        gate.touch()
        assert run.wait(60).status is RunStatus.COMPLETED
