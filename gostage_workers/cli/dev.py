"""``gostage dev``: server, workers and Flower, until Ctrl-C."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from gostage_core.settings import Settings
from gostage_workers.cli.flower import Flower
from gostage_workers.cli.health import trouble_of
from gostage_workers.cli.interrupts import all_as_ctrl_c
from gostage_workers.cli.logs import LogTail
from gostage_workers.cli.options import as_json
from gostage_workers.cli.output import count, data, err, note, problem
from gostage_workers.cli.statuses import FAILED
from gostage_workers.cli.target import import_modules, workflows_in
from gostage_workers.cluster import LocalCluster

_LOOK_EVERY_SECONDS: Final = 0.2
_COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue")


@click.command()
@click.argument("modules", nargs=-1)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N",
    help="So many workers.",
)  # fmt: skip
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Keep the runs and the logs here.  [default: gone at the end]",
)  # fmt: skip
@click.option(
    "--flower-port", type=click.IntRange(0, 65_535), default=5555, show_default=True,
    metavar="PORT", help="Port of Flower; 0 for any that is free.",
)  # fmt: skip
@click.option("--no-flower", is_flag=True, help="Do without Flower.")
@as_json
def dev(
    modules: tuple[str, ...],
    workers: int,
    data_dir: Path | None,
    flower_port: int,
    no_flower: bool,
    json_: bool,
) -> None:
    """Bring up a server, workers with MODULES, and Flower, until Ctrl-C.

    Nothing needs to be installed or running. Without MODULES the workers import those of
    $GOSTAGE_MODULES. What the workers log is shown; Flower asks for a password, which is printed.
    With --json the addresses are printed as one JSON document once all is up.
    """
    settings = Settings.from_env(os.environ, modules=modules or None)
    import_modules(settings.modules)
    flower = None if no_flower else Flower(flower_port)
    try:
        with all_as_ctrl_c(), ExitStack() as stack:
            place = _bring_up(stack, settings, workers, data_dir, flower)
            tails = [
                LogTail(one.name.partition("@")[0], one.process.log_path)
                for one in place.cluster.workers
            ]
            if json_:
                data(place.document())
            else:
                _introduce(place, settings.modules)
            _watch(place, tails)
    except KeyboardInterrupt:
        note("stopped: server, workers and Flower have ended")


@dataclass(frozen=True, slots=True)
class _Place:
    """What is up."""

    cluster: LocalCluster
    flower: Flower | None

    def document(self) -> dict[str, object]:
        """Return the addresses, and who is there."""
        flower = self.flower
        return {
            "redis_url": self.cluster.url,
            "workers": [{"name": one.name, "pid": one.pid} for one in self.cluster.workers],
            "flower": None if flower is None else flower.document(),
        }

    def trouble(self) -> str | None:
        """Say what has ended that should not have."""
        flower = None if self.flower is None else self.flower.error
        return trouble_of(self.cluster) or flower


def _bring_up(
    stack: ExitStack, settings: Settings, workers: int, data_dir: Path | None, flower: Flower | None
) -> _Place:
    note(f"starting an embedded server and {count(workers, 'worker')}")
    cluster = stack.enter_context(
        LocalCluster(
            workers, modules=settings.modules, data_dir=data_dir, namespace=settings.namespace
        )
    )
    if flower is not None:
        note("starting Flower")
        logs = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(flower.stop)
        flower.start(cluster.url, settings.namespace, logs)
    return _Place(cluster, flower)


def _introduce(place: _Place, modules: tuple[str, ...]) -> None:
    names = ", ".join(worker.name for worker in place.cluster.workers)
    lines = {"Redis": place.cluster.url, "Workers": names}
    if modules:
        lines["Modules"] = ", ".join(modules)
    if place.flower is not None:
        lines["Flower"] = place.flower.url
    for name, value in lines.items():
        err.print(Text(f"{name:<8} ", "bold").append(value, "default"), soft_wrap=True)
    note("In another terminal:")
    for command in (
        f"export GOSTAGE_REDIS_URL={place.cluster.url}", f"gostage run {_example(modules)}",
    ):  # fmt: skip
        err.print(Text(f"  {command}"), soft_wrap=True)
    note("Ctrl-C ends all of it.")


def _example(modules: tuple[str, ...]) -> str:
    """Return something that can be run: the first workflow that there is."""
    targets = (f"{module}:{name}" for module in modules for name in workflows_in(module))
    return next(targets, "package.module:workflow")


def _watch(place: _Place, tails: list[LogTail]) -> None:
    """Show what the workers log, until something has ended that should not have."""
    try:
        while (trouble := place.trouble()) is None:
            _show_new_lines(tails)
            time.sleep(_LOOK_EVERY_SECONDS)
    finally:
        _show_new_lines(tails)
    problem(trouble)
    raise click.exceptions.Exit(FAILED)


def _show_new_lines(tails: list[LogTail]) -> None:
    for number, tail in enumerate(tails):
        colour = _COLOURS[number % len(_COLOURS)]
        for line in tail.new_lines():
            err.print(Text(f"{tail.name} │ ", colour).append(line, "default"), soft_wrap=True)
