"""Messages of our tasks that none of ours has sent: refused or nothing, and no run changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery

from gostage_core import Stage, Workflow
from gostage_core.broker.hints import HINT_TASK
from gostage_core.broker.task_names import FAILED_TASK, RESULT_TASK, RUN_TASK, SUBMIT_TASK
from gostage_workers.installation import attach
from gostage_workers.tasks import register
from tests.support import standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gostage_core.settings import Settings
    from tests.support.bench import Bench
    from tests.support.server import RedisServer

IDS: list[Any] = [
    "never", "", "a b", "*", "}:run:x", "\ud800", "x" * 100_000, None, 5, -1, 10**30, True, [], {},
    b"x", float("nan"),
]  # fmt: skip


@pytest.fixture
def app(server: RedisServer, settings: Settings) -> Iterator[Celery]:
    app = Celery("forged", broker=server.url, set_as_current=False)
    register(app, attach(app, settings))
    yield app
    app.close()


def dump(bench: Bench) -> dict[bytes, bytes]:
    """Everything of the namespace, as the server would write it to a file."""
    client = bench.state.client
    names = list(client.scan_iter(f"{bench.state.keys.prefix}*"))
    return {name: client.dump(name) for name in names}  # type: ignore[misc]


def submitted(bench: Bench) -> Any:
    made = Workflow("w")
    made.add_stage(Stage("s", [standing.trace("one"), standing.trace("two")]))
    return bench.submit(made)


def told(app: Celery, task: str, *args: Any, **kwargs: Any) -> BaseException | None:
    """Execute a task as a worker would: the error that it ends with, if any."""
    result: Any = app.tasks[task].apply(args, kwargs)
    return result.result if isinstance(result.result, BaseException) else None


@pytest.mark.parametrize("forged", IDS, ids=lambda one: f"{one!r:.20}")
def test_a_forged_message_of_any_task_changes_no_run(
    bench: Bench, app: Celery, forged: Any
) -> None:
    run = submitted(bench)
    before = dump(bench)
    assert told(app, HINT_TASK, forged, "2") is None
    assert told(app, HINT_TASK, run.run_id, forged) is None
    for wait in (forged, f"{forged}:5:1", f"{run.run_id}:{forged}:1"):
        assert told(app, RESULT_TASK, {"a": 1}, wait=wait) is None
        assert told(app, FAILED_TASK, forged, wait=wait) is None
    assert told(app, SUBMIT_TASK, forged) is None
    assert told(app, SUBMIT_TASK, {"id": "w", "stages": forged}, run_id=forged) is None
    assert told(app, SUBMIT_TASK, None, nobody=forged, reply_to=forged) is None
    told(app, RUN_TASK, forged)
    assert dump(bench) == before
    assert bench.drain(run).status == "completed"


def test_an_old_message_that_comes_again_changes_nothing(bench: Bench, app: Celery) -> None:
    run = submitted(bench)
    entries = [one.entry for one in run.plan.actions]
    bench.drain(run)
    before = dump(bench)
    for entry in entries * 2:
        assert told(app, HINT_TASK, run.run_id, entry) is None
    assert dump(bench) == before
