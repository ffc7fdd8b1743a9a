"""Resources: made at their first use, once a scope, torn down at its end; and what is refused."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gostage_core import ActionContext, Resources, action
from gostage_core.authoring.registry import Registry
from gostage_core.authoring.retry import NoRetry, Retry, RetryAfter, decide
from gostage_core.errors import (
    DuplicateActionError,
    InvalidResourceError,
    NotStorableError,
    ResourceError,
    ResourceNotFoundError,
)
from gostage_core.leaving import BailSignal
from gostage_core.testing import context
from gostage_core.values.codec import encode
from gostage_workers import resource
from gostage_workers.resource_scopes import ProcessScope
from gostage_workers.resources import Factory, ScopeName, resource_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Worker:
    """A worker process with resources of its own, and what happened to them, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._registry = Registry[Factory]("resource")
        self.process = ProcessScope(self._registry)

    def has(self, function: Callable[..., Any], *, scope: ScopeName = "process") -> None:
        """Register *function* under its own name."""
        name = function.__name__
        self._registry.register(name, Factory(name, function, scope))

    def has_many(self, scope: ScopeName, *functions: Callable[..., Any]) -> None:
        for function in functions:
            self.has(function, scope=scope)

    def noting(self, name: str, *needed: str) -> Callable[..., Iterator[str]]:
        """Return a factory that tells when it makes and when it tears down."""

        def factory(resources: Resources) -> Iterator[str]:
            made_of = [getattr(resources, one) for one in needed]
            self.events.append(f"make {name}")
            yield " of ".join([name, *made_of])
            self.events.append(f"end {name}")

        factory.__name__ = factory.__qualname__ = name
        return factory


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def isolated() -> Iterator[None]:
    with resource_registry.isolated():
        yield


# Registering


def test_a_registered_function_stays_the_function_that_it_was(isolated: None) -> None:
    @resource("db")
    def database() -> str:
        return "a database"

    assert database() == "a database"
    assert resource_registry.get("db").scope == "process"


@pytest.mark.parametrize("name", ["", "my db", "1st", "class", "_db", "__class__", 3, None])
def test_a_name_that_could_not_be_read_as_an_attribute_is_refused(name: Any) -> None:
    with pytest.raises(InvalidResourceError):
        resource(name)


def test_a_decorator_without_a_name_says_how_it_is_written() -> None:
    with pytest.raises(InvalidResourceError, match=r'@resource\("db"\)'):

        @resource  # type: ignore[arg-type]
        def database() -> None: ...


def test_a_scope_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidResourceError, match='"process" or "attempt", not \'session\''):
        resource("db", scope="session")  # type: ignore[arg-type]


def test_a_second_function_under_one_name_is_refused_and_both_are_named(isolated: None) -> None:
    @resource("db")
    def database() -> None: ...

    with pytest.raises(DuplicateActionError, match=r"resource id 'db'.*database.*other"):

        @resource("db")
        def other() -> None: ...


def test_the_same_function_again_takes_the_place_of_the_earlier_one(isolated: None) -> None:
    for text in ("first", "second"):

        @resource("db")
        def database(said: str = text) -> str:
            return said

    with resource_registry.get("db")({}) as made:  # type: ignore[arg-type]
        assert made == "second"


async def coroutine() -> None: ...


async def asynchronous() -> Any:
    yield


@contextlib.contextmanager
def managed() -> Iterator[None]:
    yield


def wanting(connection: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (coroutine, "is async"),
        (asynchronous, "is async"),
        (managed, "leave @contextmanager out"),
        (wanting, "one parameter called resources"),
        (threading.Lock, "must be a function"),
        ("database", "must be a function"),
    ],
)
def test_what_cannot_be_a_factory_is_refused_where_it_is_registered(
    function: Any, message: str
) -> None:
    with pytest.raises(InvalidResourceError, match=f"'db'.*{message}"):
        resource("db")(function)


# Making


def test_a_resource_of_the_process_is_made_once_and_at_its_first_use(worker: Worker) -> None:
    worker.has(worker.noting("db"))
    with worker.process.attempt():
        assert worker.events == []
    for _ in range(2):
        with worker.process.attempt() as resources:
            assert resources.db is resources.db
    assert worker.events == ["make db"]
    worker.process.close()
    assert worker.events == ["make db", "end db"]


def test_a_resource_of_an_attempt_is_made_once_in_each_that_uses_it(worker: Worker) -> None:
    worker.has(worker.noting("session"), scope="attempt")
    for _ in range(2):
        with worker.process.attempt() as resources:
            assert resources.session is resources.session
    with worker.process.attempt():
        pass
    assert worker.events == ["make session", "end session"] * 2


def test_a_plain_function_makes_a_resource_that_needs_no_teardown(worker: Worker) -> None:
    def settings() -> None:
        worker.events.append("made")

    worker.has(settings)
    with worker.process.attempt() as resources:
        assert resources.settings is None
        assert resources.settings is None
    worker.process.close()
    assert worker.events == ["made"]


def test_what_is_made_of_others_is_torn_down_before_them(worker: Worker) -> None:
    worker.has_many("process", worker.noting("db"), worker.noting("cache", "db"))
    worker.has_many(
        "attempt", worker.noting("session", "db"), worker.noting("repository", "session")
    )
    with worker.process.attempt() as resources:
        assert resources.repository == "repository of session of db"
        assert resources.cache == "cache of db"
    worker.process.close()
    assert worker.events == [
        *("make db", "make session", "make repository", "make cache"),
        *("end repository", "end session", "end cache", "end db"),
    ]


def test_what_a_process_keeps_cannot_be_made_of_what_an_attempt_keeps(worker: Worker) -> None:
    worker.has(worker.noting("session"), scope="attempt")
    worker.has(worker.noting("db", "session"))
    with (
        worker.process.attempt() as resources,
        pytest.raises(ResourceError, match="'session' lives for one attempt, and 'db' cannot"),
    ):
        _ = resources.db
    with pytest.raises(ResourceError, match="'session' lives for one attempt, and there is none"):
        worker.process.get("session")


def test_threads_that_use_it_first_at_the_same_time_get_one_resource(worker: Worker) -> None:
    made_by = []
    begun = threading.Barrier(5)

    def db() -> object:
        made_by.append(threading.get_ident())
        return object()

    def use(found: list[object]) -> None:
        with worker.process.attempt() as resources:
            begun.wait()
            found.append(resources.db)

    worker.has(db)
    found: list[object] = []
    threads = [threading.Thread(target=use, args=(found,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made_by) == 1
    assert len(set(map(id, found))) == 1


def test_a_slow_factory_keeps_nobody_from_another_resource(worker: Worker) -> None:
    in_factory, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        in_factory.set()
        assert go_on.wait(60)
        return "slow"

    worker.has_many("process", slow, worker.noting("quick"))
    thread = threading.Thread(target=worker.process.get, args=("slow",))
    thread.start()
    assert in_factory.wait(60)
    assert worker.process.get("quick") == "quick"
    go_on.set()
    thread.join()


def test_a_forked_process_makes_its_own_and_leaves_its_parents_alone(worker: Worker) -> None:
    worker.has(worker.noting("db"))
    _ = worker.process.get("db")
    worker.process.forked()
    worker.process.close()
    assert worker.events == ["make db"]
    _ = worker.process.get("db")
    worker.process.close()
    assert worker.events == ["make db", "make db", "end db"]


def test_the_resources_of_a_process_are_not_those_of_its_forks(isolated: None) -> None:
    from gostage_workers.resource_scopes import process_scope

    @resource("pid")
    def pid() -> int:
        return os.getpid()

    assert process_scope.get("pid") == os.getpid()
    child = os.fork()
    if not child:
        os._exit(0 if process_scope.get("pid") == os.getpid() else 1)
    assert os.waitpid(child, 0)[1] == 0


# Failing


def broken() -> None:
    raise OSError("no route")


def test_a_factory_that_raises_is_named_and_what_it_raised_is_the_cause(worker: Worker) -> None:
    worker.has(broken)
    with worker.process.attempt() as resources, pytest.raises(ResourceError) as caught:
        _ = resources.broken
    assert str(caught.value) == "resource 'broken' could not be made: OSError: no route"
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.resource == "broken"
    assert not isinstance(caught.value, AttributeError)


def test_an_error_deep_in_a_factory_names_the_resource_that_failed(worker: Worker) -> None:
    worker.has_many("process", broken, worker.noting("db", "broken"))
    with pytest.raises(ResourceError) as caught:
        worker.process.get("db")
    assert str(caught.value) == "resource 'broken' could not be made for 'db': OSError: no route"
    assert isinstance(caught.value.__cause__, OSError)


def test_a_factory_that_raised_is_tried_again_at_the_next_use(worker: Worker) -> None:
    tries = iter([OSError("no route"), None])

    def db() -> str:
        error = next(tries)
        if error:
            raise error
        return "a database"

    worker.has(db)
    with pytest.raises(ResourceError):
        worker.process.get("db")
    assert worker.process.get("db") == "a database"


def test_a_factory_that_yields_nothing_is_an_error(worker: Worker) -> None:
    def empty() -> Iterator[None]:
        yield from ()

    worker.has(empty)
    with pytest.raises(ResourceError, match=r"'empty' could not be made: .*didn't yield"):
        worker.process.get("empty")


def test_a_factory_that_asks_for_an_unknown_resource_is_not_taken_for_one(worker: Worker) -> None:
    worker.has(worker.noting("db", "missing"))
    with pytest.raises(
        ResourceError, match=r"'db' could not be made: .*no resource 'missing'"
    ) as c:
        worker.process.get("db")
    assert not isinstance(c.value, ResourceNotFoundError)


@pytest.mark.parametrize("scope", ["process", "attempt"])
def test_a_circle_of_factories_is_an_error_that_shows_it(worker: Worker, scope: ScopeName) -> None:
    worker.has_many(
        scope, worker.noting("a", "b"), worker.noting("b", "c"), worker.noting("c", "b")
    )
    with (
        worker.process.attempt() as resources,
        pytest.raises(ResourceError, match="'b' is made of itself: b -> c -> b"),
    ):
        _ = resources.a


def test_a_resource_that_asks_for_itself_is_a_circle(worker: Worker) -> None:
    worker.has(worker.noting("a", "a"))
    with pytest.raises(ResourceError, match="a -> a"):
        worker.process.get("a")


def test_threads_at_two_ends_of_a_circle_do_not_wait_for_each_other(worker: Worker) -> None:
    both = threading.Barrier(2)
    met = {"left": False, "right": False}

    def side(name: str, other: str) -> Callable[..., object]:
        def factory(resources: Resources) -> object:
            if not met[name]:
                met[name] = True
                both.wait(60)
            return getattr(resources, other)

        factory.__name__ = factory.__qualname__ = name
        return factory

    def use(name: str, errors: list[str]) -> None:
        try:
            worker.process.get(name)
        except ResourceError as error:
            errors.append(str(error))

    worker.has_many("process", side("left", "right"), side("right", "left"))
    errors: list[str] = []
    threads = [threading.Thread(target=use, args=(name, errors)) for name in met]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(errors) == 2
    assert all("is made of itself" in error for error in errors)


def test_an_attempt_that_has_ended_makes_nothing_any_more(worker: Worker) -> None:
    worker.has(worker.noting("session"), scope="attempt")
    with worker.process.attempt() as resources:
        pass
    with pytest.raises(ResourceError, match="an attempt that has ended"):
        _ = resources.session
    assert worker.events == []


def test_a_retry_policy_looks_at_what_a_factory_raised(worker: Worker) -> None:
    worker.has(broken)
    with pytest.raises(ResourceError) as caught:
        worker.process.get("broken")
    assert decide(Retry(3, on=OSError), caught.value, 1, 0.5) == 1.0
    assert decide(Retry(3, on=ResourceError), caught.value, 1, 0.5) == 1.0
    assert decide(Retry(3, on=KeyError), caught.value, 1, 0.5) is None
    assert decide(Retry(3, never_on=OSError), caught.value, 1, 0.5) is None


@pytest.mark.parametrize(("error", "delay"), [(NoRetry("never"), None), (RetryAfter(9), 9.0)])
def test_a_factory_can_say_when_its_attempt_is_tried_again(
    worker: Worker, error: Exception, delay: float | None
) -> None:
    def db() -> None:
        raise error

    worker.has(db)
    with pytest.raises(ResourceError) as caught:
        worker.process.get("db")
    assert decide(Retry(3), caught.value, 1, 0.5) == delay


# Tearing down


def test_what_the_body_raised_is_raised_at_the_yield(worker: Worker) -> None:
    def transaction() -> Iterator[None]:
        try:
            yield
        except ZeroDivisionError:
            worker.events.append("rolled back")
            raise
        worker.events.append("committed")

    def use() -> None:
        with worker.process.attempt() as resources:
            _ = resources.transaction
            _ = 1 / 0

    worker.has(transaction, scope="attempt")
    with pytest.raises(ZeroDivisionError):
        use()
    assert worker.events == ["rolled back"]


def test_an_attempt_that_bails_ends_well_for_its_resources(worker: Worker) -> None:
    worker.has(worker.noting("session"), scope="attempt")

    def use() -> None:
        with worker.process.attempt() as resources:
            _ = resources.session
            raise BailSignal("enough")

    with pytest.raises(BailSignal):
        use()
    assert worker.events == ["make session", "end session"]


def test_a_teardown_that_swallows_the_bodys_error_does_not_hide_it(worker: Worker) -> None:
    def lenient() -> Iterator[None]:
        with contextlib.suppress(ZeroDivisionError):
            yield

    def use() -> None:
        with worker.process.attempt() as resources:
            _ = resources.lenient
            _ = 1 / 0

    worker.has(lenient, scope="attempt")
    with pytest.raises(ZeroDivisionError):
        use()


def test_a_teardown_that_raises_is_logged_and_the_others_are_done(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    def clumsy() -> Iterator[None]:
        yield
        raise OSError("cannot close")

    def endless() -> Iterator[None]:
        yield
        yield

    for scope in ("attempt", "process"):
        own = Worker()
        own.has_many(scope, own.noting("db"), clumsy, endless)
        with caplog.at_level(logging.ERROR), own.process.attempt() as resources:
            _ = resources.db, resources.clumsy, resources.endless
        own.process.close()
        assert own.events == ["make db", "end db"]
    logged = [record.getMessage() for record in caplog.records]
    assert [text.split()[4] for text in logged] == ["'endless'", "'clumsy'"] * 2
    assert "OSError: cannot close" in caplog.text


def test_an_interrupt_during_a_teardown_leaves_no_other_undone(worker: Worker) -> None:
    def interrupted() -> Iterator[None]:
        yield
        raise SystemExit(3)

    worker.has_many("process", worker.noting("db"), interrupted)
    _ = worker.process.get("db"), worker.process.get("interrupted")
    with pytest.raises(SystemExit):
        worker.process.close()
    assert worker.events == ["make db", "end db"]


def test_what_is_closed_twice_is_torn_down_once(worker: Worker) -> None:
    worker.has(worker.noting("db"))
    _ = worker.process.get("db")
    worker.process.close()
    worker.process.close()
    assert worker.events == ["make db", "end db"]


# The handle


def test_looking_at_the_resources_makes_none(worker: Worker) -> None:
    worker.has_many("process", worker.noting("db"), worker.noting("cache"))
    with worker.process.attempt() as resources:
        assert repr(resources) == str(resources) == "<resources: cache, db>"
        assert dir(resources) == ["cache", "db"]
        assert not hasattr(resources, "missing")
        assert not hasattr(resources, "__len__")
        assert not hasattr(resources, "_ipython_display_")
        assert getattr(resources, "missing", 3) == 3
        for travel in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="never leave their worker"):
                travel(resources)
        with pytest.raises(NotStorableError):
            encode(resources)
    assert worker.events == []


def test_an_unknown_resource_says_what_to_do(worker: Worker) -> None:
    with (
        worker.process.attempt() as resources,
        pytest.raises(ResourceNotFoundError, match=r"no resource 'db'.*@resource\('db'\)"),
    ):
        _ = resources.db


def test_nothing_can_be_put_among_the_resources(worker: Worker) -> None:
    with worker.process.attempt() as resources, pytest.raises(AttributeError):
        resources.db = 3  # type: ignore[attr-defined]


# In unit tests of actions


@action
def count(ctx: ActionContext) -> int:
    """Count with a resource."""
    return int(ctx.resources.db.count())


class FakeDatabase:
    def count(self) -> int:
        return 7


def test_an_action_is_tested_with_fakes_for_its_resources() -> None:
    assert count(context(resources={"db": FakeDatabase()})) == 7


def test_a_test_that_gives_no_fake_is_told_how() -> None:
    with pytest.raises(ResourceNotFoundError, match=r"'db' in this test.*resources=\{'db': "):
        count(context())
    assert not hasattr(context().resources, "__len__")
    assert dir(context(resources={"b": 1, "a": 2}).resources) == ["a", "b"]
