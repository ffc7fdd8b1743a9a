"""Side by side: a limit of how many at a time, a quorum that is enough, and a wait for all.

Without any of these, a parallel stage ends when all have completed, or with the first failure.
"""

# ruff: noqa: T201

from __future__ import annotations

import hashlib

from gostage_core import ActionContext, ActionStatus, Key, Stage, Workflow, action, quorum
from gostage_workers import LocalCluster

DIGESTS = Key("digests", list[str])


@action
def digest(ctx: ActionContext, part: int) -> None:
    """Compute the digest of a part; what siblings append is kept in plan order."""
    content = b"part %d" % part * 100_000
    ctx.store.append(DIGESTS, f"{part}:{hashlib.sha256(content).hexdigest()[:4]}")


@action
def write_copy(ctx: ActionContext, site: str) -> None:
    """Write a copy to a site."""
    if site == "Oslo":
        raise ConnectionError("Oslo does not answer")
    ctx.store.append("copies", site)


@action
def check(ctx: ActionContext, what: str) -> None:
    """Check one thing."""
    if what == "signature":
        raise ValueError("the signature is not ours")
    ctx.store.append("checked", what)


sites = ["Porto", "Oslo", "Graz"]
checks = ["size", "signature", "owner", "age"]

workflow = Workflow("backup")
workflow.add_stage(
    Stage("digest", [digest.s(part) for part in range(6)], parallel=True, max_parallel=2)
)
workflow.add_stage(
    Stage("copy", [write_copy.s(site) for site in sites], parallel=True, join=quorum(2))
)
workflow.add_stage(
    Stage(
        "check",
        [check.s(what).options(name=what) for what in checks],
        parallel=True,
        on_failure="wait_all",
    )
)

if __name__ == "__main__":
    with LocalCluster() as cluster:
        result = cluster.runner.execute(workflow)
    for stage in result.stages.values():
        done = sum(one.status is ActionStatus.COMPLETED for one in stage.actions)
        print(f"{stage.name} {stage.status}: {done} of {len(stage.actions)} actions completed")
    print("digests:", *result.store[DIGESTS])
    print("copies:", *result.store["copies"])
    print("checked:", *result.store["checked"])
    print(f"{result.status}: {result.error}")
