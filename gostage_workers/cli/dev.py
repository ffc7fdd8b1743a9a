"""``gostage dev``: server, workers and Flower, until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gostage_workers.cli.output import err, note
from gostage_workers.cluster import LocalCluster

if TYPE_CHECKING:
    from types import FrameType


@click.command()
@click.argument("modules", nargs=-1)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the data here.")
@click.option("--flower-port", type=click.IntRange(0, 65_535), default=5555, show_default=True, help="0 for no Flower.")
def dev(modules: tuple[str, ...], workers: int, data_dir: Path | None, flower_port: int) -> None:
    """Bring up a server, workers with MODULES, and Flower; ends with Ctrl-C."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    done = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        done.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    note(f"starting an embedded server and {workers} worker processes")
    with LocalCluster(workers, modules=modules, data_dir=data_dir) as cluster:
        flower = _start_flower(cluster.url, flower_port) if flower_port else None
        err.print(f"export GOSTAGE_REDIS_URL={cluster.url}", soft_wrap=True)
        note("submit with: gostage run package.module:workflow   end with Ctrl-C")
        try:
            done.wait()
        finally:
            if flower is not None:
                flower.terminate()
                flower.wait(timeout=10)


def _start_flower(url: str, port: int) -> subprocess.Popen[bytes]:
    """Start Flower behind a password of its own: without one, any page in a browser may drive it."""
    password = secrets.token_urlsafe(9)
    environment = {**os.environ, "GOSTAGE_REDIS_URL": url, "FLOWER_BASIC_AUTH": f"dev:{password}"}
    argv = [
        sys.executable, "-m", "celery", "-A", "gostage_workers.app", "flower",
        "--address=127.0.0.1", f"--port={port}", "--logging=warning",
    ]  # fmt: skip
    process = subprocess.Popen(argv, env=environment, start_new_session=True)  # noqa: S603 - our own argv
    err.print(f"Flower: http://dev:{password}@127.0.0.1:{port}/", soft_wrap=True)
    return process
