"""Connections, clients and the like are sent from the store to the worker's resources."""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from gostage_core.errors import NotStorableError
from gostage_core.values.codec import encode


def foreign(module: str, name: str, *bases: type) -> object:
    """Return an object of a class of a library that is not installed here."""
    return type(name, bases, {"__module__": module})()


@pytest.mark.parametrize(
    "handle",
    [
        foreign("sqlalchemy.engine.base", "Engine"),
        foreign("sqlalchemy.orm.session", "Session"),
        foreign("sqlalchemy.ext.asyncio.session", "AsyncSession"),
        foreign("sqlalchemy.orm.session", "sessionmaker"),
        foreign("psycopg2.extensions", "connection"),
        foreign("psycopg", "AsyncCursor"),
        foreign("pymongo.synchronous.mongo_client", "MongoClient"),
        foreign("httpx", "AsyncClient"),
        foreign("requests.sessions", "Session"),
        foreign("shop.api", "ShopApi", type(foreign("httpx", "Client"))),
        redis.Redis(),
        redis.Redis().pipeline(),
        redis.ConnectionPool(),
    ],
)
def test_a_handle_that_is_put_into_the_store_is_sent_to_the_resources(handle: object) -> None:
    with pytest.raises(NotStorableError, match=r"value\['a'\].*with @resource.*ctx\.resources"):
        encode({"a": handle})


def test_a_database_connection_and_its_cursor_are_sent_to_the_resources() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for handle in (connection, connection.cursor()):
            with pytest.raises(NotStorableError, match="a live sqlite3 object belongs on the wor"):
                encode(handle)


@pytest.mark.parametrize(
    "data", [foreign("httpx", "Response"), foreign("shop.models", "Session"), object()]
)
def test_what_may_be_data_is_not_taken_for_a_handle(data: object) -> None:
    with pytest.raises(NotStorableError) as caught:
        encode(data)
    assert "resource" not in str(caught.value)


def test_a_future_of_a_thread_belongs_on_the_worker() -> None:
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: 1)
        for handle in (pool, future):
            with pytest.raises(NotStorableError, match=r"ctx\.resources"):
                encode(handle)
