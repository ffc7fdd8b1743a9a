"""``gostage graph``: a workflow, or a run as it stands, as a drawing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gostage_core.authoring.definition_graph import definition_graph
from gostage_core.errors import RunNotFoundError, UnavailableError
from gostage_core.graph.dot import to_dot
from gostage_core.graph.folding import folded
from gostage_core.graph.mermaid import to_mermaid
from gostage_core.graph.outline import to_text
from gostage_core.plan_graph import run_graph
from gostage_workers.cli.destination import Destination
from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import note
from gostage_workers.cli.statuses import InputError
from gostage_workers.cli.target import import_modules, is_file, names_a_module, workflow_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gostage_core.graph.node import Node

_FORMS: Final[Mapping[str, Callable[[Node], str]]] = {
    "mermaid": to_mermaid,
    "text": to_text,
    "dot": to_dot,
}


@click.command()
@click.argument("what", metavar="TARGET|FILE|RUN")
@click.option(
    "--format", "form", type=click.Choice(list(_FORMS)), default="mermaid", show_default=True,
    help="A flowchart of Mermaid, a tree of lines, or a graph of Graphviz.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Every stage and action, however many.")
@click.option("--run", "is_run", is_flag=True, help="The argument is the id of a run.")
@click.option(
    "--module", "-m", "modules", multiple=True, metavar="MODULE",
    help="Import this module for the actions that a file names.  [default: $GOSTAGE_MODULES]",
)  # fmt: skip
@takes(Destination)
@takes(Connection)
@as_json
def graph(
    what: str,
    form: str,
    everything: bool,
    is_run: bool,
    modules: tuple[str, ...],
    destination: Destination,
    connection: Connection,
    json_: bool,
) -> None:
    """Draw a workflow, or a run as it stands.

    The argument is a FILE if it ends in .yaml, .yml or .json and is there; else a TARGET if it is
    package.module:workflow and there is such a module (the current directory is looked into); else
    a RUN, by its id. --run says that it is the id of a run, whatever it looks like.

    A run is drawn with the state of each action, in its colour; what was added while it ran has a
    dashed border and says by whom. Of more than 40 actions in a row the first, the last and those
    worth a look are drawn, and of a large plan fewer; --all draws each (Mermaid refuses more than
    500 lines between boxes unless its maxEdges is raised). --json prints the tree itself, in full.
    """
    tree = _run_tree(what, connection, "") if is_run else _tree(what, modules, connection)
    if json_:
        text = f"{json.dumps(asdict(tree))}\n"
    else:
        text = _FORMS[form](tree if everything else folded(tree))
    destination.write(text)


def _tree(what: str, modules: tuple[str, ...], connection: Connection) -> Node:
    is_there = is_file(what) and Path(what).is_file()
    if not is_there and not names_a_module(what):
        return _run_tree(what, connection, _why_a_run(what))
    import_modules(modules or connection.settings().modules)
    return definition_graph(workflow_of(what).definition())


def _why_a_run(what: str) -> str:
    """Say why *what* is taken for the id of a run."""
    module, colon, _ = what.partition(":")
    if is_file(what):
        return f"there is no file {what!r} here"
    if colon:
        return f"there is no module {module!r} here that {what!r} could be in"
    return f"{what!r} is neither package.module:workflow nor a file in .yaml, .yml or .json"


def _run_tree(run_id: str, connection: Connection, reason: str) -> Node:
    try:
        run = connection.runner().get(run_id)
        return run_graph(run.result(), run.summary.name)
    except RunNotFoundError as error:
        raise InputError(f"{error}; and {reason}" if reason else str(error)) from None
    except UnavailableError:
        if reason:
            note(f"{run_id!r} was taken for the id of a run, for {reason}")
        raise
