"""``gostage demo``: a real workflow on an embedded server and real worker processes."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from gostage_core.errors import UnavailableError
from gostage_core.status import RunStatus
from gostage_workers.cli.casualty import Reaper
from gostage_workers.cli.documents import run_document
from gostage_workers.cli.health import trouble_of
from gostage_workers.cli.interrupts import all_as_ctrl_c
from gostage_workers.cli.options import as_json
from gostage_workers.cli.output import count, data, err, note, out, show, span
from gostage_workers.cli.scene import picture
from gostage_workers.cli.statuses import FAILED, InputError
from gostage_workers.cli.tree import run_tree
from gostage_workers.cluster import LocalCluster
from gostage_workers.examples.survey import REPORT, survey_workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from gostage_core.result import RunResult
    from gostage_core.run import Run

_MODULE: Final = "gostage_workers.examples.survey"


@click.command()
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N",
    help="So many workers.",
)  # fmt: skip
@click.option("--kill", is_flag=True, help="Kill a worker with SIGKILL in the middle of an action.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    default=Path("stdlib-survey.md"), show_default=True, help="The file that the report goes to.",
)  # fmt: skip
@as_json
def demo(workers: int, kill: bool, output: Path, json_: bool) -> None:
    """Survey the Python standard library of this machine, end to end.

    Starts a server and workers of its own; nothing needs to be installed or running. The plan
    begins with two actions and grows by one for each package that the first one finds. With
    --kill a worker dies on the way, and the report is right all the same.

    With --json the run, and what became of the worker, is printed as one JSON document.
    """
    _check_writable(output)
    note(f"starting an embedded server and {count(workers, 'worker')}")
    with all_as_ctrl_c(), LocalCluster(workers, modules=[_MODULE]) as cluster:
        note(f"server {cluster.url}, workers {', '.join(one.name for one in cluster.workers)}")
        run = cluster.runner.submit(survey_workflow(str(output.absolute())))
        reaper = Reaper(cluster) if kill else None
        result = _follow(run, cluster, reaper)
        if json_:
            casualty = None if reaper is None else reaper.document()
            data({**run_document(run.summary, result), "casualty": casualty, "output": output})
        else:
            _show(run, result, reaper, output)
    if result.status is not RunStatus.COMPLETED:
        raise click.exceptions.Exit(FAILED)


def _check_writable(output: Path) -> None:
    where = output if output.exists() else output.absolute().parent
    if not os.access(where, os.W_OK):
        raise InputError(
            f"the report cannot be written to {str(output)!r}; name another file with --output"
        )


def _follow(run: Run, cluster: LocalCluster, reaper: Reaper | None) -> RunResult:
    growth = _Growth(run)
    live = Live(console=err, refresh_per_second=12, transient=True) if err.is_terminal else None
    with live or nullcontext():
        for _ in run.changes():
            if (trouble := trouble_of(cluster)) is not None:
                raise UnavailableError(trouble)
            result = run.result()
            growth.look(result, _say)
            if reaper is not None:
                reaper.look(result, _say)
            if live is not None:
                live.update(picture(result, cluster, None if reaper is None else reaper.missing))
            if result.status.is_terminal:
                return result
    raise AssertionError("a run's changes end with its end")


def _say(message: str, style: str = "default") -> None:
    err.print(Text(message, style), soft_wrap=True)


class _Growth:
    """Tells how the plan grows."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._actions = 0

    def look(self, result: RunResult, say: Callable[[str], None]) -> None:
        """Say so if there are more actions than before."""
        now = len(result.actions)
        if not self._actions:
            say(f"the plan begins with {count(now, 'action')}")
        elif now > self._actions:
            changes = [entry for entry in self._run.journal() if entry.kind == "plan.changed"]
            who = changes[-1].actor
            say(f"{who} changed it: it grew from {self._actions} to {now} actions")
        self._actions = now


def _show(run: Run, result: RunResult, reaper: Reaper | None, output: Path) -> None:
    if result.status is not RunStatus.COMPLETED:
        show(run_tree(run.summary, result, everything=False))
        return
    report = result.store[REPORT]
    if out.is_terminal:
        show(Markdown(report))
    else:
        click.echo(report, nl=False)
    added = sum(len(stage.actions) for stage in result.stages.values() if stage.added)
    note(
        f"{count(len(result.actions), 'action')} in {span(result.duration or 0)}, "
        f"{added} of them added while it ran"
    )
    if reaper is not None and reaper.document() is None:
        note("no worker was killed: none could be caught in the middle of an action")
    note(f"the report is in {output}")
