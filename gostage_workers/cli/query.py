"""Which runs a command is for, and who gives it."""

from __future__ import annotations

import getpass
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from gostage_core.status import RunStatus
from gostage_workers.cli.options import duration, option
from gostage_workers.cli.output import count, note

if TYPE_CHECKING:
    from collections.abc import Sized


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs, in place of one by its id."""

    workflow: str | None = option(metavar="ID", help="Every run of this workflow.")
    tag: str | None = option(metavar="TAG", help="Every run with this tag.")
    status: str | None = option(
        type=click.Choice([status.value for status in RunStatus]),
        metavar="STATUS",
        help="Only those that stand so.",
    )
    since: float | None = option(type=duration, help="Only those submitted so long ago at most.")

    def __bool__(self) -> bool:
        return any((self.workflow, self.tag, self.status, self.since))

    def conditions(self) -> dict[str, Any]:
        """Return the conditions as :class:`Runner` takes them."""
        return {
            "status": self.status,
            "workflow": self.workflow,
            "tag": self.tag,
            "since": moment_ago(self.since),
        }

    def check(self, run: str | None) -> None:
        """Check that either one run is named, or some are asked for.

        Raises:
            click.UsageError: both, or neither.
        """
        if (run is None) == (not self):
            raise click.UsageError(
                "name one run, or ask for runs by --workflow, --tag, --status, --since"
            )


@dataclass(frozen=True, slots=True)
class Voice:
    """Who acts, and why."""

    reason: str = option(default="", metavar="TEXT", help="Why; kept in the run's history.")
    actor: str = option(default="", metavar="NAME", help="Who; by default your login name.")

    @property
    def who(self) -> str:
        """Whose name it gets."""
        return name_of(self.actor)


def name_of(actor: str) -> str:
    """Return *actor*, or the login name of who sits there."""
    with suppress(OSError, KeyError, ImportError):
        return actor or getpass.getuser()
    return "operator"


def moment_ago(seconds: float | None) -> datetime | None:
    """Return the moment so many seconds ago."""
    return None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)


def agree(runs: Sized, what: str, *, yes: bool, quiet: bool) -> None:
    """Tell how many runs are found, and ask whether it is to be done to each of them.

    Raises:
        click.Abort: it is not.
    """
    if not quiet:
        note(f"{count(len(runs), 'run')} found")
    if len(runs) and not (yes or quiet):
        click.confirm(f"{what} each of them?", abort=True, err=True)
