"""What belongs on the worker and in no store: files, locks, connections, clients."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import queue
import re
import socket
import subprocess
import threading
import types
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Final

_CLASSES: Final[tuple[tuple[str, tuple[type, ...]], ...]] = (
    ("an open file", (io.IOBase,)),
    ("a socket", (socket.socket,)),
    ("a generator or coroutine", (Generator, AsyncGenerator, Coroutine)),
    ("a module", (types.ModuleType,)),
    ("a thread", (threading.Thread,)),
    ("a pool of threads or processes", (concurrent.futures.Executor,)),
    ("a process", (subprocess.Popen,)),
    ("an event loop", (asyncio.AbstractEventLoop,)),
    ("a future", (asyncio.Future, concurrent.futures.Future)),
    ("a queue", (queue.Queue, queue.SimpleQueue, asyncio.Queue)),
    (
        "a function",
        (types.FunctionType, types.BuiltinFunctionType, types.MethodType),
    ),
    (
        "a lock",
        (
            *(type(threading.Lock()), type(threading.RLock()), threading.Condition),
            *(threading.Event, threading.Semaphore, threading.Barrier),
            *(asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore),
        ),
    ),
)

# Told by their names: to recognise an object of a library must not import the library.
_LIBRARIES: Final = frozenset({
    "aiobotocore", "aiohttp", "aiokafka", "aiomysql", "aiopg", "aiosqlite", "amqp", "anthropic",
    "asyncpg", "asyncssh", "azure", "boto3", "botocore", "cassandra", "celery",
    "clickhouse_connect", "clickhouse_driver", "confluent_kafka", "docker", "duckdb",
    "elasticsearch", "ftplib", "google", "grpc", "http", "httpx", "imaplib", "kafka", "kombu",
    "ldap3", "motor", "mysql", "MySQLdb", "nats", "neo4j", "openai", "opensearchpy", "oracledb",
    "paho", "paramiko", "pika", "poplib", "psycopg", "psycopg2", "psycopg_pool", "pymongo",
    "pymysql", "pyodbc", "redis", "requests", "smtplib", "snowflake", "sqlalchemy", "sqlite3",
    "sqlmodel", "ssl", "tempfile", "urllib3", "valkey", "websocket", "websockets", "zmq",
})  # fmt: skip

_OPEN: Final = re.compile(
    "(anthropic|celery|channel|client|cluster|connection|consumer|cursor|driver|elasticsearch"
    "|engine|filewrapper|ftp|ftp_tls|imap4|imap4_ssl|lmtp|openai|opensearch|pipeline|pool"
    "|poolmanager|pop3|producer|pubsub|redis|scoped_session|sentinel|session|sessionmaker|smtp"
    "|smtp_ssl|socket|sslcontext|valkey)$",
    re.IGNORECASE,
)
"""How classes of these libraries are called whose objects hold something open."""

_ALL_OPEN: Final = frozenset({"billiard", "multiprocessing"})
"""Libraries with no class for data."""


def handle_of(cls: type) -> str | None:
    """Say what objects of *cls* are, if they can only live on a worker, or ``None``."""
    for what, kinds in _CLASSES:
        if issubclass(cls, kinds):
            return what
    for base in cls.__mro__:
        library = str(base.__module__).partition(".")[0]
        if library in _ALL_OPEN or (library in _LIBRARIES and _OPEN.search(base.__name__)):
            return f"a live {library} object"
    return None
