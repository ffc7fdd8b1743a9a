"""Messages are lost, doubled, late, malformed or of runs that are gone: each is only a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from gostage_core.errors import RunNotFoundError
from gostage_workers.app import create_app
from tests.chaos.directed import assert_committed_once, held_by, row_of
from tests.support.eventually import eventually
from tests.support.gated import Gate
from tests.support.queue_items import MALFORMED

if TYPE_CHECKING:
    from pathlib import Path

    from gostage_core import Run
    from tests.chaos.conftest import Told
    from tests.support.crew import Crew

pytestmark = pytest.mark.chaos

QUEUE = "gostage"


class Busy:
    """Every worker is held up by a run of its own, so that messages wait in the queue."""

    def __init__(self, crew: Crew, directory: Path) -> None:
        directory.mkdir()
        self._crew = crew
        self._gate = Gate(directory)
        self.runs = [crew.runner.submit(held_by(self._gate)) for _ in crew.members]
        eventually(lambda: len(self._gate.begun) == len(crew.members))

    @property
    def waiting(self) -> list[bytes]:
        """The messages in the queue."""
        return cast("list[bytes]", self._crew.state.client.lrange(QUEUE, 0, -1))

    def end(self) -> None:
        """Let the workers go on."""
        self._gate.open()


@pytest.fixture
def busy(crew: Crew, tmp_path: Path) -> Busy:
    return Busy(crew, tmp_path / "busy")


def workers(crew: Crew) -> list[int | None]:
    return [member.worker.pid for member in crew.members]


@pytest.mark.parametrize("how", ["DEL", "celery purge"])
def test_every_run_is_sent_again_when_the_queue_was_deleted(
    crew: Crew, busy: Busy, how: str
) -> None:
    runs = [crew.runner.submit(row_of(2)) for _ in range(20)]
    assert len(busy.waiting) == 20
    if how == "DEL":
        crew.state.client.delete(QUEUE)
    else:
        assert create_app(crew.server.url).control.purge() == 20
    busy.end()
    for run in (*runs, *busy.runs):
        assert_committed_once(run)


def test_copies_of_a_message_find_its_work_taken(
    crew: Crew, busy: Busy, gate: Gate, told: Told
) -> None:
    run = crew.runner.submit(held_by(gate))
    [message] = busy.waiting
    busy.end()
    eventually(lambda: gate.begun)
    crew.state.client.lpush(QUEUE, *[message] * 3)
    eventually(lambda: told(run).get("ended:held") == 3)
    assert len(gate.begun) == 1
    gate.open()
    assert_committed_once(run)


def test_a_message_that_comes_when_its_work_is_done_changes_nothing(
    crew: Crew, busy: Busy, told: Told
) -> None:
    run = crew.runner.submit(row_of(3))
    [message] = busy.waiting
    crew.state.client.delete(QUEUE)
    busy.end()
    assert_committed_once(run)
    before = run.journal()
    crew.state.client.rpush(QUEUE, message)
    eventually(lambda: told(run).get("ended:done"))
    assert run.journal() == before


def test_messages_and_workers_of_runs_that_are_gone_leave_nothing_behind(
    crew: Crew, busy: Busy, told: Told
) -> None:
    before = workers(crew)
    runs = [crew.runner.submit(row_of(2)) for _ in range(5)]
    messages = busy.waiting
    crew.state.client.flushall()
    crew.state.client.lpush(QUEUE, *messages)
    busy.end()
    eventually(lambda: all(told(run).get("ended:gone") for run in (*runs, *busy.runs)))
    assert_committed_once(crew.runner.submit(row_of(2)))
    assert workers(crew) == before
    assert not keys_of(crew, [*runs, *busy.runs])
    with pytest.raises(RunNotFoundError):
        crew.runner.get(runs[0].run_id)


def keys_of(crew: Crew, runs: list[Run]) -> list[bytes]:
    """What the server has of these runs, the names of keys and what is in the indexes."""
    client, keys = crew.state.client, crew.state.keys
    found = cast("list[bytes]", client.keys(f"{keys.prefix}*"))
    for name in ("wake", "runs", "expiry"):
        found += cast("list[bytes]", client.zrange(keys.of(name), 0, -1))
    return [one for one in found if any(run.run_id.encode() in one for run in runs)]


def test_malformed_messages_between_those_of_runs_stop_no_worker(crew: Crew, busy: Busy) -> None:
    before = workers(crew)
    runs = []
    for item in MALFORMED.values():
        crew.state.client.lpush(QUEUE, item)
        runs.append(crew.runner.submit(row_of(2)))
    busy.end()
    for run in (*runs, *busy.runs):
        assert_committed_once(run)
    assert workers(crew) == before
