"""Runs that are submitted within a transaction of the caller's database: with it, or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Final

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from gostage_core import (
    InvalidWorkflowError,
    NotStorableError,
    Runner,
    RunStatus,
    StoreUnavailableError,
)
from gostage_workers import LocalCluster
from tests.support import links
from tests.support.command import ROOT, SECONDS
from tests.support.outboxes import BEFORE_DELETE, BEFORE_RELAY, SHOPS, DjangoShop, SqlalchemyShop
from tests.support.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gostage_core import Run
    from tests.support.outboxes import Shop

    Open = Callable[..., Shop]


KNOWS_NOTHING: Final = """
import sys
from gostage_core import Runner
Runner(sys.argv[1], namespace=sys.argv[2]).submit_prepared(sys.stdin.read())
"""


class ChangeOfMindError(Exception):
    """What a transaction is rolled back for."""


class CountingRunner(Runner):
    """Remembers what it was asked to submit."""

    asked: list[str]

    def submit_prepared(self, text: str) -> Run:
        self.asked.append(text)
        return super().submit_prepared(text)


class MeetingRunner(Runner):
    """Submits only when another one is about to do so as well."""

    barrier: Barrier

    def submit_prepared(self, text: str) -> Run:
        self.barrier.wait(SECONDS)
        return super().submit_prepared(text)


@pytest.fixture(params=SHOPS)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "shop.db")


@pytest.fixture
def runner(server: RedisServer, namespace: str) -> Iterator[Runner]:
    runner = Runner(server.url, namespace=namespace)
    yield runner
    runner.close()


@pytest.fixture
def open_shop(library: str, path: str, runner: Runner) -> Iterator[Open]:
    opened: list[Shop] = []

    def open_one(runner: Runner = runner, *, at_commit: bool = True) -> Shop:
        opened.append(SHOPS[library](path, runner, at_commit=at_commit))
        return opened[-1]

    yield open_one
    for shop in opened:
        shop.close()


def runs(runner: Runner) -> list[str]:
    return [run.run_id for run in runner.list()]


def killed(library: str, path: str, runner: Runner, moment: str) -> str:
    """Have a process take an order and die at *moment*; return the id of its run."""
    words = (library, path, runner.settings.redis_url, runner.settings.namespace, moment)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.outboxes", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return ended.stdout.strip()


def test_a_commit_submits_the_run_under_the_id_that_was_told_before(
    open_shop: Open, runner: Runner
) -> None:
    shop = open_shop()
    with shop.transaction():
        run_id = shop.order("Ana", tags=["vip"])
        assert runs(runner) == []
    assert runs(runner) == [run_id]
    assert runner.get(run_id).store["customer"] == "Ana"
    assert [run.run_id for run in runner.list(tag="vip")] == [run_id]
    assert shop.rows() == {}


def test_a_rollback_leaves_neither_a_run_nor_a_row(open_shop: Open, runner: Runner) -> None:
    shop = open_shop()
    with suppress(ChangeOfMindError), shop.transaction():
        shop.order("Ana")
        raise ChangeOfMindError
    shop.relay()
    assert (runs(runner), shop.rows()) == ([], {})


def test_what_is_rolled_back_to_a_savepoint_is_not_submitted_and_the_rest_is(
    open_shop: Open, runner: Runner
) -> None:
    shop = open_shop()
    with shop.transaction():
        first = shop.order("Ana")
        with suppress(ChangeOfMindError), shop.savepoint():
            shop.order("Ben")
            raise ChangeOfMindError
        with shop.savepoint():
            last = shop.order("Cleo")
        assert runs(runner) == []
    assert sorted(runs(runner)) == sorted([first, last])
    assert shop.rows() == {}


def test_transactions_one_after_another_each_submit_their_own(
    open_shop: Open, runner: Runner
) -> None:
    shop = open_shop()
    ids = []
    for customer in ("Ana", "Ben"):
        with shop.transaction():
            ids.append(shop.order(customer))
    assert sorted(runs(runner)) == sorted(ids)


def test_a_process_that_is_killed_after_its_commit_has_its_run_submitted_by_another_one(
    open_shop: Open, library: str, path: str, runner: Runner
) -> None:
    run_id = killed(library, path, runner, BEFORE_RELAY)
    shop = open_shop()
    assert (runs(runner), shop.rows()) == ([], {run_id: ""})
    shop.relay()
    assert (runs(runner), shop.rows()) == ([run_id], {})


def test_a_process_that_is_killed_before_it_deletes_the_row_has_submitted_once(
    open_shop: Open, library: str, path: str, runner: Runner
) -> None:
    run_id = killed(library, path, runner, BEFORE_DELETE)
    shop = open_shop()
    assert (runs(runner), shop.rows()) == ([run_id], {run_id: ""})
    runner.get(run_id).cancel("it ends before the row is seen again")
    shop.relay()
    assert (runs(runner), shop.rows()) == ([run_id], {})
    assert runner.get(run_id).status is RunStatus.CANCELLED


def test_two_relays_that_submit_the_same_row_at_once_submit_one_run(
    open_shop: Open, runner: Runner
) -> None:
    shop = open_shop(at_commit=False)
    with shop.transaction():
        run_id = shop.order("Ana")
    meeting = MeetingRunner(settings=runner.settings)
    meeting.barrier = Barrier(2)
    failed: list[BaseException] = []

    def relay() -> None:
        try:
            shop.relay(meeting)
        except BaseException as error:
            failed.append(error)
        finally:
            if isinstance(shop, DjangoShop):
                shop.close()  # each thread has a connection of its own

    threads = [Thread(target=relay) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    meeting.close()
    assert failed == []
    assert (runs(runner), shop.rows()) == ([run_id], {})


def test_a_relay_is_done_with_all_that_waits(open_shop: Open, runner: Runner) -> None:
    shop = open_shop(at_commit=False)
    with shop.transaction():
        ids = [shop.order(customer) for customer in ("Ana", "Ben", "Cleo")]
    assert runs(runner) == []
    shop.relay()
    assert sorted(runs(runner)) == sorted(ids)
    assert shop.rows() == {}


def test_while_redis_is_away_the_caller_commits_and_the_run_follows_later(
    open_shop: Open, namespace: str
) -> None:
    with RedisServer() as server:
        runner = Runner(server.url, namespace=namespace)
        shop = open_shop(runner)
        server.kill()
        with shop.transaction():
            run_id = shop.order("Ana")
        assert shop.rows() == {run_id: ""}
        with pytest.raises(StoreUnavailableError):
            shop.relay()
        assert shop.rows() == {run_id: ""}
        server.start()
        shop.relay()
        assert (runs(runner), shop.rows()) == ([run_id], {})
        runner.close()


def test_what_can_never_be_submitted_is_kept_aside_with_its_error_and_blocks_nothing(
    open_shop: Open, runner: Runner
) -> None:
    counting = CountingRunner(settings=runner.settings)
    counting.asked = []
    shop = open_shop(counting, at_commit=False)
    shop.write("broken", '{"format":1}')
    with shop.transaction():
        run_id = shop.order("Ana")
    shop.relay()
    assert runs(runner) == [run_id]
    (kept,) = shop.rows().items()
    assert kept[0] == "broken"
    assert "run_id: field required" in kept[1]
    shop.relay()
    assert counting.asked.count('{"format":1}') == 1
    counting.close()


def test_an_id_that_another_run_has_is_an_error_and_no_success(
    open_shop: Open, runner: Runner
) -> None:
    shop = open_shop(at_commit=False)
    with shop.transaction():
        shop.order("Ana", run_id="mine")
    runner.submit(shop.workflow, run_id="mine")
    shop.relay()
    assert "'mine' exists already" in shop.rows()["mine"]
    assert "customer" not in runner.get("mine").store


def test_a_key_of_the_caller_holds_across_transactions(open_shop: Open, runner: Runner) -> None:
    shop = open_shop()
    with shop.transaction():
        first = shop.order("Ana", key="event-1")
    with shop.transaction():
        shop.order("Ana", key="event-1")
    assert (runs(runner), shop.rows()) == ([first], {})
    assert runner.submit(shop.workflow, key="event-1").run_id == first


def test_what_is_not_valid_is_refused_where_it_is_asked_for(
    open_shop: Open, runner: Runner
) -> None:
    shop = open_shop()
    with pytest.raises(NotStorableError), shop.transaction():
        shop.order(shop)
    with pytest.raises(InvalidWorkflowError), shop.transaction():
        shop.order("Ana", run_id="no spaces")
    assert (runs(runner), shop.rows()) == ([], {})


def test_a_commit_is_relayed_by_the_only_connection_that_its_pool_has(
    path: str, runner: Runner
) -> None:
    shop = SqlalchemyShop(path, runner, pool_size=1, max_overflow=0, pool_timeout=1)
    with shop.transaction():
        run_id = shop.order("Ana")
    assert (runs(runner), shop.rows()) == ([run_id], {})
    shop.close()


def test_a_process_that_knows_no_action_may_submit_what_workers_then_execute(
    server: RedisServer, namespace: str
) -> None:
    modules = ["tests.support.links"]
    with LocalCluster(1, url=server.url, namespace=namespace, modules=modules) as cluster:
        run = cluster.runner.prepare(links.workflow(links.triple.s()), store={"input": 14})
        subprocess.run(
            [sys.executable, "-c", KNOWS_NOTHING, server.url, namespace],
            input=run.text,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        result = cluster.runner.get(run.run_id).wait(SECONDS)
    assert (result.status, result.store["output"]) == (RunStatus.COMPLETED, 42)


def test_rows_that_others_are_at_are_passed_over_where_the_database_can(
    path: str, runner: Runner
) -> None:
    shop = SqlalchemyShop(path, runner)
    seen = []
    sa.event.listen(shop.engine, "before_execute", lambda *args: seen.append(args[1]))
    shop.relay()
    shop.close()
    (statement,) = seen
    assert str(statement.compile(dialect=postgresql.dialect())).endswith("FOR UPDATE SKIP LOCKED")
