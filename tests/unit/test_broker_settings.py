"""What Celery is told of the broker."""

from __future__ import annotations

import pytest

from gostage_core import ConfigurationError, Runner
from gostage_core.broker.app import client_settings
from gostage_core.settings import Settings


def test_a_sockets_file_is_spelt_as_kombu_does() -> None:
    told = client_settings(Settings(redis_url="unix:///tmp/redis.sock?db=2"))
    assert told["broker_url"] == "redis+socket:///tmp/redis.sock?virtual_host=2"
    assert "socket_keepalive" not in told["broker_transport_options"]


def test_a_broker_of_its_own_is_the_one_that_celery_uses() -> None:
    told = client_settings(Settings(broker_url="amqp://guest@localhost//"))
    assert told["broker_url"] == "amqp://guest@localhost//"
    assert "broker_transport" not in told


@pytest.mark.parametrize("url", ["foo://x", "redis://host:99999/0"])
def test_a_broker_that_nobody_knows_is_refused_before_anything_is_submitted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="GOSTAGE_BROKER_URL"):
        Runner(broker=url)


def test_a_lease_that_is_not_renewed_in_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="three times GOSTAGE_TICK"):
        Settings.from_env({"GOSTAGE_LEASE": "1s", "GOSTAGE_TICK": "30s"})
