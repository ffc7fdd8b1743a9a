"""``gostage metrics``: a small exporter for Prometheus."""

from __future__ import annotations

from functools import partial
from threading import Event

import click
from prometheus_client import CollectorRegistry, start_http_server

from gostage_core.broker.app import producer_app
from gostage_core.numbers import NumbersCollector, read_numbers
from gostage_core.state.operations import State
from gostage_workers.cli.interrupts import all_as_ctrl_c
from gostage_workers.cli.options import Connection, takes
from gostage_workers.cli.output import note
from gostage_workers.cli.reach import reach
from gostage_workers.cli.statuses import InputError


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9540,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    help="Who can reach it: 0.0.0.0 for everybody, for it asks nobody who they are.",
)
@takes(Connection)
def metrics(port: int, address: str, connection: Connection) -> None:
    """Serve the numbers of the cluster to Prometheus, until Ctrl-C.

    Runs, actions, queues, workers, timers and the work that is planned, at /metrics. It reads a
    few keys at each scrape, whatever the number of runs. One for each namespace is enough.
    """
    settings = connection.settings()
    reach(settings.redis_url)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        NumbersCollector(partial(read_numbers, State(settings), producer_app(settings)))
    )
    try:
        server, _ = start_http_server(port, address, registry)
    except OSError as error:
        raise InputError(f"cannot listen at {address}:{port}: {error}") from None
    note(f"serving http://{address}:{server.server_port}/metrics; Ctrl-C ends it")
    try:
        with all_as_ctrl_c():
            Event().wait()
    except KeyboardInterrupt:
        note("ended")
    finally:
        server.shutdown()
        server.server_close()
