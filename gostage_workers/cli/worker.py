"""``gostage worker``."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from celery import signals

from gostage_core.authoring.registry import registry
from gostage_core.errors import UnavailableError
from gostage_core.preflight import check_server
from gostage_core.state.operations import State
from gostage_workers.app import create_app
from gostage_workers.cli.options import Connection, takes
from gostage_workers.cli.output import note
from gostage_workers.cli.reach import reach
from gostage_workers.cli.target import import_modules

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery

    from gostage_core.settings import Settings

logger: Final = logging.getLogger(__name__)


@click.command()
@click.argument("modules", nargs=-1)
@click.option(
    "--pool", "-P", type=click.Choice(["prefork", "threads", "solo"]), default="prefork",
    show_default=True, help="What actions run in: processes, threads, or the worker itself.",
)  # fmt: skip
@click.option(
    "--concurrency", "-c", type=click.IntRange(1), metavar="N",
    help="So many actions side by side.  [default: the number of cores]",
)  # fmt: skip
@click.option(
    "--queues", "-Q", metavar="NAMES",
    help="Queues to take from, separated by commas.  [default: the namespace's own]",
)  # fmt: skip
@click.option("--hostname", "-n", metavar="NAME", help="Name of the worker, as fast@%h.")
@click.option(
    "--loglevel", "-l", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
    show_default=True, help="What is logged, to standard error.",
)  # fmt: skip
@click.option(
    "--log-format", type=click.Choice(["text", "json"]),
    help="Lines for people, or a JSON object a line.  [default: $GOSTAGE_LOG_FORMAT, else text]",
)  # fmt: skip
@takes(Connection)
def worker(
    modules: tuple[str, ...],
    pool: str,
    concurrency: int | None,
    queues: str | None,
    hostname: str | None,
    loglevel: str,
    log_format: str | None,
    connection: Connection,
) -> None:
    """Execute the actions that MODULES register.

    Without MODULES those of $GOSTAGE_MODULES are imported; the current directory is looked into.

    A real Celery worker: `celery -A gostage_workers.app worker` with GOSTAGE_MODULES does the
    same, with all of Celery's options. Ctrl-C or SIGTERM lets it finish what it is at and end; a
    second Ctrl-C ends it at once, and other workers take over what it was at.
    """
    settings = connection.settings(modules, log_format=log_format)
    import_modules(settings.modules)
    app = create_app(settings=settings)
    say = _logging_json(app, loglevel) if settings.log_format == "json" else note
    if all(id.startswith("gostage.") for id in registry.ids()):
        say("this worker knows no actions: name the modules that define them")
    _check_server(settings, say)
    options = {"--concurrency": concurrency, "--queues": queues, "--hostname": hostname}
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    argv = ["worker", f"--pool={pool}", f"--loglevel={loglevel}", *_FEWER_MESSAGES, *given]
    if settings.log_format == "json":
        argv.insert(0, "--quiet")  # a banner is no JSON
    raise click.exceptions.Exit(_work(app, argv))


_FEWER_MESSAGES: Final = ("--without-gossip", "--without-mingle")
"""Nothing of ours needs what Celery's workers tell each other."""


def _logging_json(app: Celery, loglevel: str) -> Callable[[str], None]:
    """Have all that is written from now on be JSON, and return what writes a warning."""
    app.log.setup(logging.getLevelNamesMapping()[loglevel.upper()])
    # There Celery says, past its logging, that it stops.
    sys.__stdout__ = None  # type: ignore[misc]
    return logger.warning


def _check_server(settings: Settings, say: Callable[[str], None]) -> None:
    """Refuse a server that is not fit before Celery begins; one that is away is waited for."""
    try:
        reach(settings.redis_url)
        check_server(State(settings))
    except UnavailableError as error:
        say(f"{error}; the worker waits for it")


def _work(app: Celery, argv: list[str]) -> int:
    """Run a worker until it ends, and return its exit status.

    Celery 5.7 expects click to raise the status, and click 8 returns it: it would be lost.
    """
    begun: list[Any] = []

    def remember(instance: Any, **_: Any) -> None:
        begun.append(instance)

    signals.celeryd_init.connect(remember)
    app.worker_main(argv)
    return next((int(one.exitcode) for one in begun if one.exitcode), 0)
