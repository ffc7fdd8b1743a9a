"""``gostage schema``: the JSON Schema of workflow files, for editors."""

from __future__ import annotations

import json
import os
import sys

import click

from gostage_core.authoring.schema import workflow_schema
from gostage_core.settings import Settings
from gostage_workers.cli.destination import Destination
from gostage_workers.cli.options import takes
from gostage_workers.cli.target import import_modules


@click.command()
@click.option(
    "--module", "-m", "modules", multiple=True, metavar="MODULE",
    help="Offer the actions of this module, too.  [default: $GOSTAGE_MODULES]",
)  # fmt: skip
@takes(Destination)
def schema(modules: tuple[str, ...], destination: Destination) -> None:
    """Print the JSON Schema of workflow files.

    Editors complete and check files with it. With --module the schema also has the actions and the
    middleware of these modules, with their parameters. A JSON file names its schema in "$schema", a
    YAML file in its first line: # yaml-language-server: $schema=workflow.schema.json
    """
    named = modules or Settings.from_env(os.environ).modules
    before = set(sys.modules) - set(named)
    import_modules(named)
    text = json.dumps(workflow_schema(lambda one: one.__module__ not in before), indent=2)
    destination.write(f"{text}\n")
