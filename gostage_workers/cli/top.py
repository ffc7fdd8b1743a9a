"""``gostage top``: what the cluster does, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click
from rich.live import Live

from gostage_core.errors import UnavailableError
from gostage_core.state.operations import State
from gostage_workers.cli.dashboard import picture
from gostage_workers.cli.interrupts import all_as_ctrl_c
from gostage_workers.cli.options import Connection, as_json, duration, takes
from gostage_workers.cli.output import data, out, show
from gostage_workers.cli.overview import Overviews, document_of
from gostage_workers.cli.pools import PoolWatch, ask_pools

if TYPE_CHECKING:
    from gostage_workers.cli.overview import Overview

_ROWS: Final = 10
_FEWEST_ROWS: Final = 3
_LINES_AROUND: Final = 26
"""Of a picture: heads, titles and empty lines."""
_LISTS: Final = 6
_SOONEST: Final = 0.2


@click.command()
@click.option(
    "--interval", type=duration, default="1s", show_default=True, help="How often it is drawn anew."
)
@click.option("--once", is_flag=True, help="Draw it once, as it is now.")
@takes(Connection)
@as_json
def top(interval: float, once: bool, connection: Connection, json_: bool) -> None:
    """Show what the cluster does: queues, workers, actions, runs, failures.

    Drawn anew until Ctrl-C; once, where the output is no terminal. PLANNED is work that is in the
    plans of runs and not done, ABOUT how long it takes one slot by what such actions took so far.
    """
    runner = connection.runner()
    overviews = Overviews(runner, State(runner.settings))
    if json_:
        data(document_of(overviews.read(ask_pools(overviews.app))))
    elif once or not sys.stdout.isatty():
        show(picture(overviews.read(ask_pools(overviews.app)), _ROWS))
    else:
        _go_on(overviews, max(_SOONEST, interval))


def _go_on(overviews: Overviews, interval: float) -> None:
    """Draw again and again; Ctrl-C is how it is meant to end."""
    pools = PoolWatch(overviews.app)
    overview = overviews.read(pools.known())
    try:
        with all_as_ctrl_c(), Live(console=out, screen=True, auto_refresh=False) as live:
            trouble = ""
            while True:
                live.update(picture(overview, _rows(overview), trouble), refresh=True)
                time.sleep(interval)
                try:
                    overview, trouble = overviews.read(pools.known()), ""
                except UnavailableError as error:
                    trouble = str(error)
    except KeyboardInterrupt:
        pass
    finally:
        pools.close()


def _rows(overview: Overview) -> int:
    """Return how many rows of each list there is room for."""
    lists = (
        overview.numbers.queues, overview.workers, overview.numbers.actions,
        overview.running, overview.waiting, overview.failing,
    )  # fmt: skip
    room, open_ = max(0, out.height - _LINES_AROUND), sorted(map(len, lists))
    for at, length in enumerate(open_):
        share = room // (_LISTS - at)
        if length > share:
            return max(_FEWEST_ROWS, share)
        room -= length
    return max(_FEWEST_ROWS, open_[-1])
