"""Transport options for workers and producers of our own, each with its reason."""

from __future__ import annotations

from typing import Final

BROKER_OPTIONS: Final[dict[str, float | int | bool]] = {
    # The default waits for ever: on a connection that is half open, a publish never returns, and
    # a worker cannot even be stopped. It must be longer than the pop of 1 s that waits for work.
    "socket_timeout": 5,
    # The system's own limit is two minutes and more when a host is gone without an answer.
    "socket_connect_timeout": 5,
    # Firewalls forget a connection that is idle for minutes; an idle worker has such ones.
    "socket_keepalive": True,
    # A pop on a half-open connection is noticed after 1 s + 2 intervals: 11 s, not the 51 s of the
    # default. Costs one PING on a connection that was idle for as long, no more.
    "health_check_interval": 5,
    # Each channel's own bound. With the default of 10, the acks of more threads than that fail
    # when they end in the same instant.
    "max_connections": 100,
}
"""``broker_transport_options`` that go with early acks.

``visibility_timeout`` is not among them: no hint is ever restored by it, and the shortest one on a
server counts for all of its apps.
"""
