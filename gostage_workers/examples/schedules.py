"""A heartbeat every second, and a report each morning: kept in Redis, no beat process.

Every worker keeps to the schedules. Of each time there is one run, whichever of them dies.
"""

# ruff: noqa: T201

from __future__ import annotations

import time

from gostage_core import ActionContext, Workflow, action
from gostage_workers import LocalCluster


@action
def beat(ctx: ActionContext) -> None:
    """Note that it is alive."""
    ctx.store["beat"] = True


heartbeat = Workflow("heartbeat")
heartbeat.add_stage("beat").add(beat.s())

BEATS = 3


def main() -> None:
    """Let a schedule submit some runs, while a worker is killed."""
    with LocalCluster() as cluster:
        schedules = cluster.runner.schedules
        report = schedules.add("report", heartbeat, cron="0 7 * * MON-FRI", timezone="Asia/Tokyo")
        at = {f"{moment:%H:%M %Z}" for moment in report.next_times(10)}
        print(f"{report.name}: {report.info.timing}, that is {', '.join(at)}")

        schedule = schedules.add("heart", heartbeat, every=1)
        killed = False
        while schedule.info.fired < BEATS:
            if schedule.info.fired and not killed:
                killed = bool(cluster.kill_worker())
            time.sleep(0.1)
        schedule.pause("enough", actor="ana")
        runs = cluster.runner.list(tag="schedule:heart", limit=BEATS)
        print(f"{schedule.name}: {len({run.run_id for run in runs})} runs, one for each time")
        print(f"paused by {schedule.info.paused_by}: {schedule.info.paused_reason}")


if __name__ == "__main__":
    main()
