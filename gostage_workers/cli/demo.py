"""``gostage demo``: a real workflow on an embedded server and two worker processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.live import Live
from rich.markdown import Markdown
from rich.progress_bar import ProgressBar
from rich.text import Text

from gostage_core.status import ActionStatus, RunStatus
from gostage_workers.cli.options import as_json
from gostage_workers.cli.output import data, err, note, out, result_data, span
from gostage_workers.cluster import LocalCluster
from gostage_workers.examples.survey import survey_workflow

if TYPE_CHECKING:
    from gostage_core.result import RunResult
    from gostage_core.run import Run


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--kill", is_flag=True, help="Kill one worker with SIGKILL in the middle of its work.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("stdlib-survey.md"),
    show_default=True,
    help="The file that the report goes to.",
)
@as_json
def demo(workers: int, kill: bool, output: Path, json_: bool) -> None:
    """Survey the Python standard library of this machine, end to end.

    Starts a server and worker processes of its own; nothing needs to be installed or running. The
    plan begins with two actions and grows by one for each package that is found.
    """
    note(f"starting an embedded server and {workers} worker processes")
    with LocalCluster(workers, modules=["gostage_workers.examples.survey"]) as cluster:
        note(f"server {cluster.url}, workers {', '.join(worker.name for worker in cluster.workers)}")
        run = cluster.runner.submit(survey_workflow(str(output.absolute())))
        result = _follow(run, cluster if kill else None)
        if json_:
            data(result_data(result))
        else:
            _show(result, output)
    if result.status is not RunStatus.COMPLETED:
        raise click.exceptions.Exit(1)


def _follow(run: Run, victim: LocalCluster | None) -> RunResult:
    planned = 0
    with Live(console=err, refresh_per_second=10, transient=True) as live:
        for _ in run.changes():
            result = run.result()
            actions = len(result.actions)
            if actions > planned:
                if planned:
                    live.console.print(f"the plan grew from {planned} to {actions} actions")
                planned = actions
            if victim is not None and _in_the_middle(result):
                pid = victim.kill_worker(_busy_worker(victim, result))
                live.console.print(f"[red]killed worker process {pid} with SIGKILL, in the middle of its work[/]")
                victim = None
            live.update(_picture(result))
            if result.status.is_terminal:
                return result
    raise AssertionError("a run's changes end with its end")


def _in_the_middle(result: RunResult) -> bool:
    """Tell whether a third of the plan is done and something runs."""
    done = sum(action.status is ActionStatus.COMPLETED for action in result.actions)
    return done * 3 > len(result.actions) and any(
        action.status is ActionStatus.RUNNING for action in result.actions
    )


def _busy_worker(cluster: LocalCluster, result: RunResult) -> int | None:
    """Return which worker executes something right now."""
    busy = [action.worker for action in result.actions if action.status is ActionStatus.RUNNING]
    for number, worker in enumerate(cluster.workers):
        if any(name.startswith(worker.name + ".") for name in busy):
            return number
    return None


def _picture(result: RunResult) -> Group:
    lines: list[Text | ProgressBar] = []
    for stage in result.stages.values():
        done = sum(action.status.is_terminal for action in stage.actions)
        running = [a.name for a in stage.actions if a.status is ActionStatus.RUNNING]
        lines.append(
            Text(f"{stage.name:<10} {done:>3}/{len(stage.actions):<3} ").append(", ".join(running), "cyan")
        )
        lines.append(ProgressBar(total=max(1, len(stage.actions)), completed=done, width=48))
    return Group(*lines)


def _show(result: RunResult, output: Path) -> None:
    if result.status is not RunStatus.COMPLETED:
        out.print(Text(f"the run is {result.status}: {result.error}", "red"))
        return
    out.print(Markdown(result.store.get("report", str)))
    again = [action for action in result.actions if action.attempt > 1]
    note(
        f"{len(result.actions)} actions in {span(result.duration)}; "
        f"{len(result.actions) - 2} of them were added while it ran"
    )
    for action in again:
        note(f"{action.stage}/{action.name} lost its worker and was done again (attempt {action.attempt})")
    note(f"the report is in {output}")
