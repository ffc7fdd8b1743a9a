"""One workflow for every environment: its first action switches off what does not belong there.

What is disabled keeps its place and is skipped, what is removed is gone; the rest runs in order.
"""

# ruff: noqa: T201

from __future__ import annotations

from gostage_core import Action, ActionContext, Key, RunResult, Stage, Workflow, action
from gostage_workers import LocalCluster

ENVIRONMENTS = ("development", "staging", "production")
ENVIRONMENT = Key("environment", str)
DONE = Key("done", list[str])


@action
def fit_in(ctx: ActionContext) -> None:
    """Leave enabled what has no environment among its tags, or the one of this run."""
    here = ctx.store[ENVIRONMENT]
    ctx.actions.filter(any_tags=ENVIRONMENTS).disable()
    ctx.actions.filter(tag=here).enable()
    ctx.stages.filter(any_tags=ENVIRONMENTS).disable()
    ctx.stages.filter(tag=here).enable()
    if "quiet" in ctx.store:
        ctx.actions.filter(name_contains="tell").remove()


@action
def do(ctx: ActionContext) -> None:
    """Do what the entry's name says."""
    ctx.store.append(DONE, ctx.action.name)


def step(name: str, *environments: str) -> Action:
    """Return a step, for some environments or for all."""
    return do.s().options(name=name, tags=environments)


workflow = Workflow("release", name="Release")
workflow.add_stage(Stage("prepare", [fit_in.s(), step("build"), step("test")]))
approve = [step("ask for approval"), step("back up")]
workflow.add_stage(Stage("approve", approve, tags=["production"]))
rest = [
    step("deploy"),
    step("load test", "staging"),
    step("warm up", "staging", "production"),
    step("tell customers", "production"),
    step("tell the team"),
]
workflow.add_stage(Stage("deploy", rest))


def shown(result: RunResult) -> str:
    """Return what a run did, and what it left out."""
    counts = dict.fromkeys(("skipped", "removed"), 0)
    for one in result.actions:
        if one.status in counts:
            counts[one.status] += 1
    left_out = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{result.store[ENVIRONMENT]}: {', '.join(result.store[DONE])} ({left_out})"


def main() -> None:
    """Release to each environment, all at the same time."""
    with LocalCluster() as cluster:
        runs = [cluster.runner.submit(workflow, store={ENVIRONMENT: one}) for one in ENVIRONMENTS]
        runs.append(cluster.runner.submit(workflow, store={ENVIRONMENT: "staging", "quiet": True}))
        for run in runs:
            print(shown(run.wait()))


if __name__ == "__main__":
    main()
