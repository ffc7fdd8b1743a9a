"""The plan grows by whole stages: a release goes to as many regions as the store names.

Added stages come right after the stage that adds them, in this order; they may add stages too.
"""

# ruff: noqa: T201

from __future__ import annotations

from gostage_core import ActionContext, Key, Stage, Workflow, action
from gostage_workers import LocalCluster

REGIONS = Key("regions", list[str])
LIVE = Key("live", list[str])


@action
def plan_rollout(ctx: ActionContext) -> None:
    """Add a stage for each region."""
    for region in ctx.store[REGIONS]:
        actions = [deploy.s(region), check.s(region)]
        ctx.add_stage(Stage(region, actions, name=f"Deploy to {region}", tags=["rollout"]))


@action
def deploy(ctx: ActionContext, region: str) -> None:
    """Deploy to one region."""
    ctx.store.append(LIVE, region)


@action
def check(ctx: ActionContext, region: str) -> None:
    """Look at a region; after the first one, have somebody look at the figures too."""
    if ctx.store[LIVE] == [region]:
        ctx.add_stage(Stage("figures", [compare_figures.s()], name="Compare the figures"))


@action
def compare_figures(ctx: ActionContext) -> None:
    """Compare the first region with those that are still to come."""
    waiting = [region for region in ctx.store[REGIONS] if region not in ctx.store[LIVE]]
    ctx.store["compared"] = f"{ctx.store[LIVE][0]} is fine, {len(waiting)} regions may follow"


@action
def announce(ctx: ActionContext) -> None:
    """Tell the world."""
    ctx.store["announcement"] = f"Version 2 is live in {', '.join(ctx.store[LIVE])}."


workflow = Workflow("release")
workflow.add_stage(Stage("prepare", [plan_rollout.s()], name="Prepare"))
workflow.add_stage(Stage("announce", [announce.s()], name="Announce"))

if __name__ == "__main__":
    with LocalCluster() as cluster:
        result = cluster.runner.execute(workflow, store={REGIONS: ["eu-west", "us-east", "asia"]})
    for stage in result.stages.values():
        print(stage.name + (f" (added by {stage.added_by})" if stage.added else ""))
    print(result.store["compared"])
    print(result.store["announcement"])
