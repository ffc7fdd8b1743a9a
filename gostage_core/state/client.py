"""Connections to the Redis that keeps the runs, and its errors in our own words."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from gostage_core.errors import (
    AccessRefusedError,
    ConfigurationError,
    CorruptRunError,
    StoreUnavailableError,
)
from gostage_core.settings import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator

Client = redis.Redis
"""What a State needs; one that :func:`connect` gives, or one of a server in memory."""

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0

_TROUBLE: Final = re.compile(
    r"\b(OOM|READONLY|MISCONF|NOREPLICAS|LOADING|MASTERDOWN|BUSY|CLUSTERDOWN|NOPERM)\b"
    r"|Script killed"
)
_NEWER: Final = re.compile(r"NEWER schema (\d+)")
_IN_SCRIPT: Final = re.compile(
    r"^(Error running script \(call to \w+\): )?(@?user_script: ?\d+: ?)*(CORRUPT )?"
)


def connect(url: str) -> redis.Redis:
    """Return a client for *url*; nothing is sent yet.

    Every operation of ours may be repeated, so a call whose answer was lost is sent again, up to
    three times within about a second.

    Raises:
        ConfigurationError: not a URL of a Redis server.
    """
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            # A socket's file does not know the option, not even to be told that it is off.
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3, (redis.ConnectionError,)),
            retry_on_error=[redis.ConnectionError],
            encoding_errors="surrogateescape",  # what others wrote goes back as it came
        )
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{redacted(url)!r} is not the URL of a Redis server: {error}"
        ) from None


@contextmanager
def our_errors(run_id: str = "", url: str = "") -> Iterator[None]:
    """Raise what goes wrong inside as an error of gostage, for *run_id* where it is about one."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise _refusal(str(error), url) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StoreUnavailableError(
            f"the Redis server at {redacted(url)} does not answer: {error}"
        ) from error
    except redis.exceptions.NoPermissionError as error:
        raise _refusal(str(error), url) from error
    except redis.ResponseError as error:
        raise _from_response(error, run_id, url) from error
    except redis.exceptions.InvalidResponse as error:
        raise StoreUnavailableError(
            f"what answers at {redacted(url)} is no Redis server"
        ) from error


def _from_response(error: redis.ResponseError, run_id: str, url: str) -> Exception:
    text = str(error)
    if run_id and _tells_of_damage(error, text):
        return CorruptRunError(run_id, _detail(text))
    return StoreUnavailableError(f"the Redis server at {redacted(url)} answers: {text}")


def _tells_of_damage(error: redis.ResponseError, text: str) -> bool:
    """Whether a script met what no version of ours wrote, rather than a server in trouble."""
    if "WRONGTYPE" in text:
        return True
    from_script = type(error) is redis.ResponseError and "user_script" in text
    return from_script and not _TROUBLE.search(text)


def newer_schema(schema: str) -> str:
    """Say of a run that a later version of gostage wrote it."""
    return f"it has schema {schema}, which this version of gostage does not know; upgrade it"


def _detail(text: str) -> str:
    newer = _NEWER.search(text)
    if newer:
        return newer_schema(newer[1])
    return _IN_SCRIPT.sub("", text.split(" script:")[0].split(", on @")[0])


def _refusal(text: str, url: str) -> AccessRefusedError:
    return AccessRefusedError(
        f"the Redis server at {redacted(url)} refuses us: {text}; check the user and the "
        f"password in GOSTAGE_REDIS_URL"
    )
