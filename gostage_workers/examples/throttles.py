"""Two tenants, and an API that takes two calls at a time: they take turns, and hold no worker.

A throttle holds over all workers and all runs. What does not fit stands in line.
"""

# ruff: noqa: T201

from __future__ import annotations

import time

from gostage_core import ActionContext, Run, Stage, Throttle, Workflow, action
from gostage_workers import LocalCluster


@action(throttle=Throttle("api", concurrency=2))
def call(_: ActionContext) -> None:
    """Call the API."""
    time.sleep(0.05)


def workflow(calls: int) -> Workflow:
    """Return a workflow that calls so many times, side by side."""
    made = Workflow("import")
    made.add_stage(Stage("call", [call.s() for _ in range(calls)], parallel=True))
    return made


def spans(run: Run) -> list[tuple[float, float]]:
    """Return from when to when each call of a run went."""
    return [
        (one.began_at.timestamp(), one.ended_at.timestamp())
        for one in run.wait().actions
        if one.began_at and one.ended_at
    ]


def main() -> None:
    """Let a small run come behind a large one, and look who was served when."""
    with LocalCluster(workers=4) as cluster:
        submitted = cluster.runner.submit(workflow(40), concurrency_key="large tenant")
        small = spans(cluster.runner.submit(workflow(4), concurrency_key="small tenant"))
        large = spans(submitted)
        calls = large + small
        most = max(sum(begin <= now < end for begin, end in calls) for now, _ in calls)
        print(f"{len(calls)} calls, {most} at a time")
        served_before = sum(begin < max(small)[1] for begin, _ in large)
        print(f"the small one waited for the large one's calls: {served_before > len(large) / 2}")


if __name__ == "__main__":
    main()
