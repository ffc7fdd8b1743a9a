"""``gostage runs plan``: the plan of a run, now or as it was, and how it came to be so."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from gostage_core.errors import PlanError
from gostage_core.result import Plan
from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import count, data, note, out
from gostage_workers.cli.statuses import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gostage_core.ledger import Revision
    from gostage_core.planning.outline import PlanDiff, PlanOutline


@click.command()
@click.argument("run")
@click.option("--log", is_flag=True, help="Every change of the plan: when, by whom, why, what.")
@click.option("--at", type=click.IntRange(1), metavar="N", help="The plan as of revision N.")
@click.option(
    "--diff", type=click.IntRange(1), nargs=2, metavar="A B",
    help="What changed from revision A to revision B.",
)  # fmt: skip
@takes(Connection)
@as_json
def plan(
    run: str,
    log: bool,
    at: int | None,
    diff: tuple[int, int] | None,
    connection: Connection,
    json_: bool,
) -> None:
    """Show the plan of a run.

    RUN is the id of the run. Each stage and action is shown with its number in the plan, by which
    `gostage runs edit` takes it. A plan is changed by actions while it runs, and by operators; each
    change of it is a revision, and any two can be compared as long as the run is retained.
    """
    if log + (at is not None) + (diff is not None) > 1:
        raise click.UsageError("take one of --log, --at and --diff")
    found = connection.runner().get(run).plan
    try:
        if log:
            _show_log(found.revisions, json_=json_)
        elif diff is not None:
            show_diff(found.diff(*diff), json_=json_)
        else:
            _show_outline(found if at is None else found.at(at), json_=json_)
    except PlanError as error:
        raise InputError(str(error)) from None


def show_diff(diff: PlanDiff, *, json_: bool) -> None:
    """Print what changed, a line each."""
    if json_:
        data(asdict(diff))
    elif not diff:
        note("no changes")
    for line in () if json_ else str(diff).splitlines():
        out.print(Text(line, diff_style(line)), soft_wrap=True)


def diff_style(line: str) -> str:
    """Return the colour of a line of a difference."""
    return {"+": "green", "-": "red", "~": "yellow"}.get(line[:1], "default")


def _show_log(revisions: tuple[Revision, ...], *, json_: bool) -> None:
    if json_:
        data([asdict(revision) for revision in revisions])
        return
    for revision in revisions:
        line = Text(f"{revision.number:>4}  ", "bold")
        line.append(revision.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"), "dim")
        line.append(f"  by {revision.actor}")
        line.append(f"  {revision.reason}" if revision.reason else "", "yellow")
        out.print(line, soft_wrap=True)
        for change in str(revision.changes).splitlines():
            out.print(Text(f"      {change}", diff_style(change)), soft_wrap=True)


def _show_outline(plan: Plan | PlanOutline, *, json_: bool) -> None:
    stages = list(_told(plan))
    if json_:
        data({"revision": plan.revision, "stages": stages})
        return
    total = sum(len(stage["actions"]) for stage in stages)
    note(f"revision {plan.revision}: {count(len(stages), 'stage')}, {count(total, 'action')}")
    for stage in stages:
        out.print(_line("", stage["id"], stage), soft_wrap=True)
        for action in stage["actions"]:
            name = action["path"].partition("/")[2]
            out.print(_line("  ", name, action), soft_wrap=True)


def _line(indent: str, name: str, told: dict[str, Any]) -> Text:
    line = Text(indent).append(name, "bold" if not indent else "default")
    line.append(f"  #{told['entry']}", "dim")
    return line.append(f"  {told['state']}" if told["state"] else "", "cyan")


def _told(plan: Plan | PlanOutline) -> Iterator[dict[str, Any]]:
    """Yield the stages of a plan: as it is with states, as it was with what would run."""
    stages: Iterable[Any] = plan.stages.values() if isinstance(plan, Plan) else plan.stages
    for stage in stages:
        actions: list[dict[str, Any]] = [
            {"entry": one.entry, "path": one.path, "state": _state(one)} for one in stage.actions
        ]
        yield {"entry": stage.entry, "id": stage.id, "state": _state(stage), "actions": actions}


def _state(one: Any) -> str:
    if hasattr(one, "status"):
        return str(one.status.value)
    if one.removed:
        return "removed"
    return "" if one.enabled else "disabled"
