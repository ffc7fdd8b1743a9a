"""One server for all tests, one namespace for each."""

from __future__ import annotations

import os
import signal
import uuid
from typing import TYPE_CHECKING

import pytest

from gostage_core.authoring.conditions import conditions
from gostage_core.authoring.registry import registry
from gostage_core.settings import Settings
from gostage_core.state.operations import State
from gostage_core.testing.memory import MemoryClient, MemoryServer
from tests.support.bench import Bench
from tests.support.server import RedisServer
from tests.support.twin import Twin
from tests.support.watched import WatchedBench

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure() -> None:
    """Let children be interrupted: a shell has what it starts in the background ignore that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def namespace() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def settings(server: RedisServer, namespace: str) -> Settings:
    return Settings(redis_url=server.url, namespace=namespace)


@pytest.fixture
def state(settings: Settings) -> Iterator[State]:
    state = State(settings)
    yield state
    state.client.close()


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    with registry.isolated(), conditions.isolated():
        yield


@pytest.fixture
def bench(settings: Settings, fresh_registry: None) -> Iterator[Bench]:
    bench = Bench(settings)
    yield bench
    bench.close()


@pytest.fixture
def memory_bench(namespace: str, fresh_registry: None) -> Iterator[Bench]:
    """A bench over a server in memory, whose time stands still."""
    bench = Bench(Settings(namespace=namespace), MemoryClient(MemoryServer()))
    yield bench
    bench.close()


@pytest.fixture
def twin(server: RedisServer) -> Iterator[Twin]:
    """The real server and the one in memory, asked the same."""
    twin = Twin(server, MemoryServer())
    yield twin
    twin.close()


@pytest.fixture(params=["once", "twice"])
def watched(
    request: pytest.FixtureRequest, namespace: str, fresh_registry: None
) -> Iterator[WatchedBench]:
    """A bench that checks each step; at the second time, whose every call is repeated."""
    bench = WatchedBench(Settings(namespace=namespace), twice=request.param == "twice")
    yield bench
    bench.close()


@pytest.fixture
def watched_once(namespace: str, fresh_registry: None) -> Iterator[WatchedBench]:
    """A bench that checks each step, for what takes many."""
    bench = WatchedBench(Settings(namespace=namespace))
    yield bench
    bench.close()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where everything is required, a test that was skipped is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", ())) if reporter else 0
    if os.environ.get("TESTS_REQUIRED") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
