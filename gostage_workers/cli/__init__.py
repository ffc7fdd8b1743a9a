"""The ``gostage`` command: its sub-commands, and what each error of theirs means for a shell."""

from __future__ import annotations

import sys

import click

from gostage_core.errors import GostageError
from gostage_workers.cli.control import cancel, pause, resume, retry, signal
from gostage_workers.cli.demo import demo
from gostage_workers.cli.dev import dev
from gostage_workers.cli.doctor import doctor
from gostage_workers.cli.edit import edit
from gostage_workers.cli.forget import delete, purge
from gostage_workers.cli.fork import fork
from gostage_workers.cli.graph import graph
from gostage_workers.cli.keys import keys
from gostage_workers.cli.messages import messages
from gostage_workers.cli.metrics import metrics
from gostage_workers.cli.output import problem
from gostage_workers.cli.plan import plan
from gostage_workers.cli.runs import runs
from gostage_workers.cli.schedule import schedule
from gostage_workers.cli.schema import schema
from gostage_workers.cli.statuses import FAILED, INTERRUPTED, status_of
from gostage_workers.cli.submit import run, submit
from gostage_workers.cli.throttle import throttle
from gostage_workers.cli.top import top
from gostage_workers.cli.watch import watch
from gostage_workers.cli.why import why
from gostage_workers.cli.worker import worker


class Commands(click.Group):
    """Lists its commands in the order in which somebody meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were added."""
        return list(self.commands)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="gostage", prog_name="gostage")
def cli() -> None:
    """Durable, changeable, multi-stage workflows on Celery and Redis.

    Try it with `gostage demo`: nothing needs to be installed or running for it.

    Exit status: 0 completed (or bailed, which is on purpose), 1 failed, 2 wrong usage,
    3 a server that cannot be reached.
    """


for _command in (
    demo, dev, worker, run, submit, runs, why, top, schedule, throttle, graph, schema, keys,
    metrics, doctor,
):  # fmt: skip
    cli.add_command(_command)
for _command in (
    watch, messages, cancel, pause, resume, retry, signal, plan, edit, fork, delete, purge
):  # fmt: skip
    runs.add_command(_command)


def main() -> None:
    """Run the command; an error of gostage is a message and an exit status, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without these letters shows others, and does not end the command.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    sys.exit(_run())


def _run() -> int:
    try:
        status = cli.main(standalone_mode=False)
    except click.Abort:
        problem("interrupted")
        return INTERRUPTED
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        problem(error.format_message())
        return error.exit_code
    except GostageError as error:
        problem(str(error))
        return status_of(error)
    except OSError as error:
        # What is asked for is written here; files that are read have errors of their own.
        problem(f"cannot write the answer: {error}")
        return FAILED
    return status if isinstance(status, int) else 0
