"""Work that the books of a living process have, and that it is not at, goes to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gostage_core import ActionContext, RunStatus, Workflow, action
from gostage_core.attempt import Moment
from gostage_core.audit import Audit

if TYPE_CHECKING:
    from collections.abc import Collection

    from gostage_core import Run
    from tests.support.bench import Bench

PROCESS = "w"


class Worker:
    """A worker whose process lives, and has an attempt on its books that it knows nothing of."""

    def __init__(self, bench: Bench) -> None:
        @action("count")
        def count(ctx: ActionContext) -> None:
            ctx.store.increment("count")

        workflow = Workflow("w")
        workflow.add_stage("s").add(count.s())
        self.run: Run = bench.submit(workflow)
        bench.die_at = Moment.CLAIMED
        bench.step(PROCESS)
        self._bench = bench
        self._audit = Audit(bench.state, bench.rescuer)

    def look(self, at_work: Collection[str] = ()) -> None:
        self._audit._next = 0.0
        self._audit.look([PROCESS], lambda: at_work)

    @property
    def is_claimed(self) -> bool:
        return bool(self._bench.state.claims_of(PROCESS))


@pytest.fixture
def worker(bench: Bench) -> Worker:
    return Worker(bench)


def test_what_nobody_is_at_is_taken_back_at_the_second_look(bench: Bench, worker: Worker) -> None:
    worker.look()
    assert worker.is_claimed, "a claim and its work are not read in the same instant"
    worker.look()
    assert not worker.is_claimed
    result = bench.drain(worker.run)
    assert result.status is RunStatus.COMPLETED
    assert result.store["count"] == 1
    assert result.actions[0].attempt == 1, "what was given back is no try"


def test_what_the_worker_is_at_is_left_to_it(worker: Worker) -> None:
    for _ in range(4):
        worker.look(at_work=[f"{worker.run.run_id} 2"])
    assert worker.is_claimed


def test_books_are_compared_for_some_looks_after_the_server_has_changed_and_no_longer(
    bench: Bench, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        worker.look(at_work=[f"{worker.run.run_id} 2"])
    for _ in range(4):
        worker.look()
    assert worker.is_claimed, "the server is the same, so the worker has it right"
    monkeypatch.setattr(bench.state, "server_id", lambda: "another")
    worker.look()
    worker.look()
    assert not worker.is_claimed


def test_looks_that_come_too_soon_compare_nothing(bench: Bench, worker: Worker) -> None:
    audit = Audit(bench.state, bench.rescuer)
    for _ in range(4):
        audit.look([PROCESS], list)
    assert worker.is_claimed
