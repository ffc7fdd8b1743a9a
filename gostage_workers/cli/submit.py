"""``gostage run`` and ``gostage submit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gostage_core.status import RunStatus
from gostage_workers.cli.follow import follow
from gostage_workers.cli.options import as_json, connection, runner_of, values_of
from gostage_workers.cli.output import data, out, result_data, run_tree
from gostage_workers.cli.target import workflow_of

if TYPE_CHECKING:
    from gostage_core.result import RunResult

_set = click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A first value of the store; JSON or text.")
_module = click.option("--module", "-m", "modules", multiple=True, help="A module to import for the actions of a file.")
_run_id = click.option("--run-id", help="An id of your own.")
_key = click.option("--key", help="Submit once for this key; again gives the same run.")
_tag = click.option("--tag", "tags", multiple=True, help="To find the run by.")
_deadline = click.option("--deadline", help="After which a run that is not done fails, as 90s, 5m, 2h.")


@click.command()
@click.argument("target")
@_set
@_module
@_run_id
@_key
@_tag
@_deadline
@click.option("--timeout", type=float, help="Seconds to wait; the run goes on.")
@connection
@as_json
def run(
    target: str,
    pairs: tuple[str, ...],
    modules: tuple[str, ...],
    run_id: str | None,
    key: str | None,
    tags: tuple[str, ...],
    deadline: str | None,
    timeout: float | None,
    url: str | None,
    broker: str | None,
    namespace: str | None,
    json_: bool,
) -> None:
    """Submit TARGET, wait until it has ended, and show how it went.

    TARGET is package.module:workflow, or a YAML or JSON file.
    """
    workflow = workflow_of(target, modules)
    submitted = runner_of(url, broker, namespace).submit(
        workflow, store=values_of(pairs), run_id=run_id, key=key, tags=tags, deadline=deadline
    )
    result = follow(submitted, timeout)
    show_result(workflow.name or workflow.id, result, json_=json_)


@click.command()
@click.argument("target")
@_set
@_module
@_run_id
@_key
@_tag
@_deadline
@connection
@as_json
def submit(
    target: str,
    pairs: tuple[str, ...],
    modules: tuple[str, ...],
    run_id: str | None,
    key: str | None,
    tags: tuple[str, ...],
    deadline: str | None,
    url: str | None,
    broker: str | None,
    namespace: str | None,
    json_: bool,
) -> None:
    """Submit TARGET and print the id of its run.

    TARGET is package.module:workflow, or a YAML or JSON file.
    """
    workflow = workflow_of(target, modules)
    submitted = runner_of(url, broker, namespace).submit(
        workflow, store=values_of(pairs), run_id=run_id, key=key, tags=tags, deadline=deadline
    )
    if json_:
        data({"run_id": submitted.run_id})
    else:
        click.echo(submitted.run_id)


def show_result(title: str, result: RunResult, *, json_: bool) -> None:
    """Print a result, and end with the exit status that it means."""
    if json_:
        data(result_data(result))
    else:
        out.print(run_tree(title, result))
    if result.status is not RunStatus.COMPLETED and result.status is not RunStatus.BAILED:
        raise click.exceptions.Exit(1)
