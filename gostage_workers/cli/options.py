"""Options that several commands share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gostage_core.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def connection(command: F) -> F:
    """Add ``--url``, ``--broker`` and ``--namespace``."""
    for option in (
        click.option("--namespace", help="Of the application; GOSTAGE_NAMESPACE."),
        click.option("--broker", help="Celery's broker, if it is another; GOSTAGE_BROKER_URL."),
        click.option("--url", help="Of the Redis that keeps the runs; GOSTAGE_REDIS_URL."),
    ):
        command = option(command)
    return command


def as_json(command: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json", "json_", is_flag=True, help="Print JSON on standard output and nothing else."
    )(command)


def runner_of(url: str | None, broker: str | None, namespace: str | None) -> Runner:
    """Return a runner for what the options say."""
    return Runner(url, broker=broker, namespace=namespace)


def values_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``key=value`` options: a value is JSON where it can be read as such, else text.

    Raises:
        click.UsageError: no ``=`` in one.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--set takes key=value, not {pair!r}")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values
