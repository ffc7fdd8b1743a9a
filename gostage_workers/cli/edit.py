"""``gostage runs edit``: change the plan of a run, or of many, while they run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from gostage_core.errors import GostageError, RunError, UnavailableError
from gostage_workers.cli.edit_text import change_by_text, text_of
from gostage_workers.cli.edit_words import Words
from gostage_workers.cli.options import Connection, as_json, option, takes
from gostage_workers.cli.output import count, data, note, out, problem
from gostage_workers.cli.plan import diff_style
from gostage_workers.cli.query import Query, name_of
from gostage_workers.cli.statuses import FAILED, InputError, status_of
from gostage_workers.cli.target import import_modules

if TYPE_CHECKING:
    from gostage_core.bulk import EditOutcome, RunEdits
    from gostage_core.planning.outline import PlanDiff
    from gostage_core.planning.plan_edit import PlanEdit
    from gostage_core.run import Run


@dataclass(frozen=True, slots=True)
class Way:
    """How the edit is made."""

    reason: str = option(required=True, metavar="TEXT", help="Why; kept in the run's history.")
    actor: str = option(default="", metavar="NAME", help="Who; by default your login name.")
    dry_run: bool = option(is_flag=True, help="Show what would change, and change nothing.")
    yes: bool = option("--yes", "-y", is_flag=True, help="Do not ask.")

    @property
    def who(self) -> str:
        """Whose name the change gets."""
        return name_of(self.actor)


@click.command()
@click.argument("run", required=False)
@takes(Words)
@takes(Query)
@takes(Way)
@click.option(
    "--module", "-m", "modules", multiple=True, metavar="MODULE",
    help="Import this module first, for the actions that are added or get other parameters.",
)  # fmt: skip
@takes(Connection)
@as_json
def edit(
    run: str | None,
    words: Words,
    query: Query,
    way: Way,
    modules: tuple[str, ...],
    connection: Connection,
    json_: bool,
) -> None:
    """Change what is still to come in a run.

    RUN is the id of the run. Without --disable, --enable, --remove, --set or --add the pending plan
    opens in $EDITOR as YAML. What changes is shown and asked about; then all of it is applied, or,
    when the run has moved on over it, nothing.

    ENTRY is the name of an action or the id of a stage; STAGE/NAME, STAGE/ or #NUMBER (of `gostage
    runs plan`) where that is not enough.

    With --workflow, --tag, --status or --since in place of RUN, every run under way that answers is
    edited; how many there are is told first.
    """
    import_modules(modules)
    query.check(run)
    if run is None:
        _edit_many(words, query, way, connection, json_=json_)
    else:
        _edit_one(connection.runner().get(run), words, way, json_=json_)


def _edit_one(run: Run, words: Words, way: Way, *, json_: bool) -> None:
    draft = Draft()
    while True:
        try:
            with run.edit(reason=way.reason, actor=way.who) as plan:
                if words:
                    words.change(plan)
                else:
                    draft.change(plan)
                _agree(plan.changes, way, json_=json_)
                changes = plan.changes
            break
        except (GostageError, InputError) as error:
            if draft.text is None:
                raise
            draft.go_on(error)
    if json_:
        data({"run_id": run.run_id, "applied": bool(changes), "changes": asdict(changes)})
    elif changes:
        note(f"applied; the plan is at revision {run.plan.revision}")


class Draft:
    """What somebody writes in the editor, until it can be applied."""

    def __init__(self) -> None:
        self.text: str | None = None
        """As it was left; ``None`` before."""

    def change(self, plan: PlanEdit) -> None:
        """Have the pending plan edited, or the text of the last time, and change *plan* by it."""
        edited = click.edit(
            self.text or text_of(plan), extension=".yaml", require_save=self.text is None
        )
        if edited is not None:
            self.text = edited
            change_by_text(plan, edited)

    def go_on(self, error: GostageError | InputError) -> None:
        """Say what is wrong, and go on if it is to be edited again; else keep the text in a file.

        Where the run has moved on, the text is applied to its plan of then.
        """
        problem(error.message if isinstance(error, InputError) else str(error))
        if not isinstance(error, RunError | UnavailableError):
            with suppress(click.Abort):
                if click.confirm("edit again?", default=True, err=True):
                    return
        with NamedTemporaryFile(
            "w", prefix="gostage-edit-", suffix=".yaml", delete=False, encoding="utf-8"
        ) as file:
            file.write(self.text or "")
        note(f"nothing was changed; the text is kept in {file.name}")
        status = error.exit_code if isinstance(error, InputError) else status_of(error)
        raise click.exceptions.Exit(status)


def _agree(changes: PlanDiff, way: Way, *, json_: bool) -> None:
    """Show what is about to change; leave the command where it is not to be applied."""
    if not changes:
        if json_:
            data({"applied": False, "changes": asdict(changes)})
        else:
            note("no changes")
        raise click.exceptions.Exit(0)
    if not json_:
        _show(changes)
    if way.dry_run:
        if json_:
            data({"applied": False, "changes": asdict(changes)})
        raise click.exceptions.Exit(0)
    if not (way.yes or json_):
        click.confirm("apply?", abort=True, err=True)


def _show(changes: PlanDiff) -> None:
    for line in str(changes).splitlines():
        out.print(Text(line, diff_style(line)), soft_wrap=True)


def _edit_many(
    words: Words, query: Query, way: Way, connection: Connection, *, json_: bool
) -> None:
    if not words:
        raise click.UsageError(
            "many runs are edited by --disable, --enable, --remove, --set, --add"
        )
    edits = connection.runner().edit(reason=way.reason, actor=way.who, **query.conditions())
    if not json_:
        note(f"{count(len(edits), 'run')} under way")
    if not (way.yes or way.dry_run or json_ or not len(edits)):
        click.confirm("edit each of them?", abort=True, err=True)
    failed = _report(edits, words, way, json_=json_)
    if failed:
        raise click.exceptions.Exit(FAILED)


def _report(edits: RunEdits, words: Words, way: Way, *, json_: bool) -> int:
    told: list[dict[str, Any]] = []
    failed = 0
    for outcome in edits.outcomes(words.change, dry_run=way.dry_run):
        failed += outcome.error is not None
        told.append(_told(outcome, way))
        if not json_:
            out.print(Text(_line(outcome, way)), soft_wrap=True)
    if json_:
        data(told)
    return failed


def _told(outcome: EditOutcome, way: Way) -> dict[str, Any]:
    return {
        "run_id": outcome.run_id,
        "applied": outcome.error is None and bool(outcome.changes) and not way.dry_run,
        "changes": asdict(outcome.changes),
        "error": None if outcome.error is None else str(outcome.error),
    }


def _line(outcome: EditOutcome, way: Way) -> str:
    if outcome.error is not None:
        return f"{outcome.run_id}  refused: {outcome.error}"
    return f"{outcome.run_id}  {'would be changed' if way.dry_run else 'changed'}"
