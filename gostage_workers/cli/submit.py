"""``gostage run`` and ``gostage submit``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import click
from pydantic_core import from_json

from gostage_core.errors import RunTimeoutError, UnavailableError
from gostage_core.status import RunStatus
from gostage_workers.cli.documents import run_document
from gostage_workers.cli.follow import follow
from gostage_workers.cli.options import Connection, argument, as_json, duration, option, takes
from gostage_workers.cli.output import data, note, problem, show, span
from gostage_workers.cli.statuses import FAILED, INTERRUPTED, NOT_REACHABLE, InputError
from gostage_workers.cli.target import import_modules, workflow_of
from gostage_workers.cli.tree import run_tree

if TYPE_CHECKING:
    from gostage_core.result import RunResult
    from gostage_core.run import Run


@dataclass(frozen=True, slots=True)
class Submission:
    """What is submitted, and how."""

    target: str = argument()
    pairs: tuple[str, ...] = option(
        "--set",
        multiple=True,
        metavar="KEY=VALUE",
        help="A first value of the store: JSON, or else text. May be repeated.",
    )
    modules: tuple[str, ...] = option(
        "--module",
        "-m",
        multiple=True,
        metavar="MODULE",
        help="Import this module for the actions that a file names.  [default: $GOSTAGE_MODULES]",
    )
    run_id: str | None = option(metavar="ID", help="An id of your own for the run.")
    key: str | None = option(
        metavar="KEY", help="Submit once for this key: again gives the same run."
    )
    on_conflict: str = option(
        type=click.Choice(["join", "reject", "replace"]), default="join", show_default=True,
        help="When a run has --key already: take that one, fail, or cancel it and begin anew.",
    )  # fmt: skip
    concurrency_key: str | None = option(
        metavar="KEY", help="Of whom the run is: what the workflow's throttle counts it under."
    )
    tags: tuple[str, ...] = option(
        "--tag", multiple=True, metavar="TAG", help="A word to find the run by. May be repeated."
    )
    deadline: float | None = option(
        type=duration, help="A run that is not done after this time fails: 90s, 5m, 2h."
    )

    def submit(self, connection: Connection) -> Run:
        """Create the run.

        Raises:
            InputError: there is no such workflow, or a value that is none.
            GostageError: as :meth:`Runner.submit`.
        """
        import_modules(self.modules or connection.settings().modules)
        workflow = workflow_of(self.target)
        values = values_of(self.pairs)
        return connection.runner().submit(
            workflow,
            store=values,
            run_id=self.run_id,
            key=self.key,
            on_conflict=cast("Any", self.on_conflict),
            concurrency_key=self.concurrency_key,
            deadline=self.deadline,
            tags=self.tags,
        )

    @property
    def worker_command(self) -> str:
        """What starts a worker that knows the actions, as far as can be told."""
        module, colon, _ = self.target.partition(":")
        modules = self.modules or ((module,) if colon else ("MODULE",))
        return f"gostage worker {' '.join(modules)}"


@click.command()
@takes(Submission)
@click.option("--timeout", type=duration, help="Wait at most so long; the run goes on after it.")
@takes(Connection)
@as_json
def run(submission: Submission, timeout: float | None, connection: Connection, json_: bool) -> None:
    """Submit TARGET, follow it until it has ended, and show how it went.

    TARGET is package.module:workflow (the current directory is looked into), or a YAML or JSON
    file.

    Ctrl-C ends the command, not the run. Exit status: 0 when the run has completed or bailed,
    1 when it failed, was cancelled or is not done within --timeout.
    """
    submitted = submission.submit(connection)
    result = _follow(submitted, submission, timeout, connection)
    if json_:
        data(run_document(submitted.summary, result))
    else:
        show(run_tree(submitted.summary, result, everything=False))
    if result.status not in (RunStatus.COMPLETED, RunStatus.BAILED):
        raise click.exceptions.Exit(FAILED)


@click.command()
@takes(Submission)
@takes(Connection)
@as_json
def submit(submission: Submission, connection: Connection, json_: bool) -> None:
    """Submit TARGET and print the id of its run.

    TARGET is package.module:workflow (the current directory is looked into), or a YAML or JSON
    file. Workers take the run from here; look at it with: gostage runs watch ID
    """
    submitted = submission.submit(connection)
    if json_:
        data({"run_id": submitted.run_id})
    else:
        click.echo(submitted.run_id)


def values_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``key=value`` options: a value is JSON where it can be read as such, else text.

    Raises:
        InputError: no ``=`` in one, or a value that begins as JSON and is none.
    """
    return dict(map(_pair, pairs))


def _pair(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals or not key:
        raise InputError(f"--set takes KEY=VALUE, not {pair!r}")
    try:
        return key, from_json(text, allow_inf_nan=False)
    except ValueError as error:
        if text.startswith(("{", "[", '"')):
            raise InputError(f"--set {key}: not JSON: {error}: {text[:60]}") from None
        return key, text


def _follow(
    run: Run, submission: Submission, timeout: float | None, connection: Connection
) -> RunResult:
    hint = f"no worker has taken the run yet; start one with: {submission.worker_command}"
    try:
        return follow(run, timeout, hint)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except RunTimeoutError:
        problem(f"run {run.run_id} has not ended within {span(timeout or 0)}")
        status = FAILED
    except UnavailableError as error:
        problem(str(error))
        status = NOT_REACHABLE
    _say_how_to_go_on(run, connection)
    raise click.exceptions.Exit(status)


def _say_how_to_go_on(run: Run, connection: Connection) -> None:
    note(f"run {run.run_id} goes on; watch it with:")
    note(f"  {connection.again('runs', 'watch', run.run_id)}")
