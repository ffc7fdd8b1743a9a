"""``gostage worker``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gostage_workers.app import create_app
from gostage_workers.cli.options import connection


@click.command()
@click.argument("modules", nargs=-1)
@click.option("--pool", type=click.Choice(["prefork", "threads", "solo"]), default="prefork", show_default=True)
@click.option("--concurrency", "-c", type=click.IntRange(1), help="Actions side by side; the number of cores.")
@click.option("--queues", "-Q", help="Queues to take from, separated by commas; the namespace's own.")
@click.option("--hostname", "-n", help="Name of the node, as fast@%h.")
@click.option("--loglevel", "-l", default="INFO", show_default=True)
@connection
def worker(
    modules: tuple[str, ...],
    pool: str,
    concurrency: int | None,
    queues: str | None,
    hostname: str | None,
    loglevel: str,
    url: str | None,
    broker: str | None,
    namespace: str | None,
) -> None:
    """Execute the actions that MODULES register.

    A real Celery worker: `celery -A gostage_workers.app worker` with GOSTAGE_MODULES does the same.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    app = create_app(url, broker=broker, namespace=namespace, modules=modules)
    argv = ["worker", f"--pool={pool}", f"--loglevel={loglevel}", "--without-gossip", "--without-mingle"]
    if concurrency is not None:
        argv.append(f"--concurrency={concurrency}")
    if queues:
        argv.append(f"--queues={queues}")
    if hostname:
        argv.append(f"--hostname={hostname}")
    app.worker_main(argv)
