"""Workflow, stage, action, store: the second stage reads what the first one stored.

Stages come one after another, and so do the actions of a stage. The store is what they share.
"""

# ruff: noqa: T201

from __future__ import annotations

from statistics import fmean

from gostage_core import Action, ActionContext, Key, Stage, Workflow, action
from gostage_workers import LocalCluster

TEMPERATURES = Key("temperatures", list[float])


class ReadLog(Action):
    """Reads the temperatures that a weather station noted."""

    line: str
    correction: float = 0.0

    def execute(self, ctx: ActionContext) -> None:
        """Store the station's name, and its temperatures under a typed key."""
        station, *numbers = self.line.split()
        ctx.store["station"] = station
        ctx.store[TEMPERATURES] = [float(number) + self.correction for number in numbers]
        ctx.log.info("%d temperatures from %s", len(numbers), station)


@action(store_as="mean")
def average(ctx: ActionContext) -> float:
    """Return the mean temperature; a function's value is stored under ``store_as``."""
    return fmean(ctx.store[TEMPERATURES])


@action
def report(ctx: ActionContext, unit: str) -> None:
    """Put the report together."""
    station = ctx.store.get("station", str)
    ctx.store["report"] = f"{station}: {ctx.store.get('mean', float):.1f} {unit} on average"


workflow = Workflow("weather", name="Weather report")
collect = workflow.add_stage("collect", name="Collect")
collect.add(ReadLog(line="Zermatt 3.5 4.0 6.0", correction=0.5))
workflow.add_stage(Stage("report", [average.s(), report.s(unit="°C")], name="Report"))


def main() -> None:
    """Run the workflow, and show what became of each of its parts."""
    with LocalCluster() as cluster:
        result = cluster.runner.execute(workflow)
    print(f"{workflow.name}: {result.status}")
    for stage in result.stages.values():
        names = ", ".join(f"{one.name} {one.status}" for one in stage.actions)
        print(f"  {stage.name}: {names}")
    print(result.store["report"])


if __name__ == "__main__":
    main()
