"""Draws a run and the workers that it is on, for a screen that is drawn anew while it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gostage_core.status import ActionStatus
from gostage_workers.cli.plan_lines import amount_done, worker_name

if TYPE_CHECKING:
    from gostage_core.result import ActionResult, RunResult
    from gostage_workers.cli.casualty import Casualty
    from gostage_workers.cluster import LocalCluster
    from gostage_workers.cluster_worker import ClusterWorker

_BAR_WIDTH: Final = 40


def picture(result: RunResult, cluster: LocalCluster, missing: Casualty | None) -> Group:
    """Return the stages with their bars, and each worker with the action that it is at.

    Args:
        result: how the run stands.
        cluster: the workers.
        missing: the attempt that counts as running on a worker that was killed.
    """
    return Group(_stages(result), Text(), _workers(result, cluster, missing))


def _stages(result: RunResult) -> Table:
    table = _grid()
    for stage in result.stages.values():
        done = sum(action.status.is_terminal for action in stage.actions)
        bar = ProgressBar(max(1, len(stage.actions)), amount_done(stage.actions), width=_BAR_WIDTH)
        table.add_row(Text(stage.name, "bold"), f"{done:>3}/{len(stage.actions)}", bar)
    return table


def _workers(result: RunResult, cluster: LocalCluster, missing: Casualty | None) -> Table:
    lost = None if missing is None else (missing.entry, missing.attempt)
    running = {
        worker_name(action.worker): action
        for action in result.actions
        if action.status is ActionStatus.RUNNING and (action.entry, action.attempt) != lost
    }
    table = _grid()
    for worker in cluster.workers:
        table.add_row(Text(worker.name, "bold"), *_occupation(worker, running.get(worker.name)))
    if missing is not None:
        waits = Text("lost: its lease runs out", "red")
        table.add_row(Text("nobody", "bold"), Text(missing.action, "cyan"), waits)
    return table


def _occupation(worker: ClusterWorker, action: ActionResult | None) -> tuple[Text, Text]:
    if not worker.is_ready:
        return Text("is started again", "red"), Text()
    if action is None:
        return Text("idle", "dim"), Text()
    doing = Text(f"{action.stage}/{action.name}", "cyan")
    if action.progress is None:
        return doing, Text()
    return doing, Text(f"{action.progress:>4.0%} {action.message}", "dim")


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=8, no_wrap=True)
    table.add_column(min_width=6, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    return table
