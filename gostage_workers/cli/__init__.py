"""The ``gostage`` command."""

from __future__ import annotations

import sys

import click

from gostage_core.errors import GostageError, UnavailableError
from gostage_workers.cli.demo import demo
from gostage_workers.cli.dev import dev
from gostage_workers.cli.doctor import doctor
from gostage_workers.cli.output import problem
from gostage_workers.cli.runs import runs
from gostage_workers.cli.submit import run, submit
from gostage_workers.cli.worker import worker

FAILED = 1
USAGE = 2
NOT_REACHABLE = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gostage", prog_name="gostage")
def cli() -> None:
    """Durable, changeable, multi-stage workflows on Celery and Redis.

    Exit status: 0 done, 1 failed, 2 wrong usage, 3 a server that cannot be reached.
    """


for _command in (demo, dev, worker, run, submit, runs, doctor):
    cli.add_command(_command)


def main() -> None:
    """Run the command; an error of gostage is a message and an exit status, not a traceback."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as ending:
        sys.exit(ending.exit_code)
    except click.Abort:
        problem("interrupted")
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except UnavailableError as error:
        problem(str(error))
        sys.exit(NOT_REACHABLE)
    except GostageError as error:
        problem(str(error))
        sys.exit(USAGE)
