"""First contact with the servers of a command: an answer or a clear error within seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import redis
from kombu.transport import resolve_transport
from redis.backoff import NoBackoff
from redis.retry import Retry

from gostage_core.broker.app import is_redis
from gostage_core.errors import ConfigurationError
from gostage_core.settings import redacted
from gostage_core.state.client import our_errors

if TYPE_CHECKING:
    from gostage_core.settings import Settings

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 3.0


def reach(url: str) -> None:
    """Ask the Redis server at *url* for a sign of life, once.

    What a runner asks later is asked again and again where no answer comes, for up to half a
    minute; a person who has mistyped a port should not wait for that.

    Raises:
        AccessRefusedError: it does not take the user or the password.
        StoreUnavailableError: it does not answer, or is no Redis server.
    """
    client = redis.Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    with our_errors(url=url), client:
        client.ping()


def check_broker_url(settings: Settings) -> None:
    """Check that Celery has a transport for the broker's URL.

    Raises:
        ConfigurationError: it has none, or one that is not installed.
    """
    url = settings.broker_url
    if url is None or is_redis(url):
        return
    try:
        resolve_transport(urlsplit(url).scheme or url)
    except (KeyError, ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"GOSTAGE_BROKER_URL {redacted(url)!r} is not the URL of a broker: "
            f"{error.args[0] if error.args else error}"
        ) from error
