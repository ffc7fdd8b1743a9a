"""Options that several commands share: each group of them becomes one frozen object."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import click

from gostage_core.duration import seconds
from gostage_core.runner import Runner
from gostage_core.settings import Settings, redacted
from gostage_workers.cli.reach import check_broker_url, reach

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_DECLARATION: Final = "click"


def argument(**attributes: Any) -> Any:
    """Return the field of a group that an argument of the command line fills."""
    return field(metadata={_DECLARATION: lambda name: click.argument(name, **attributes)})


def option(*flags: str, **attributes: Any) -> Any:
    """Return the field of a group that an option of the command line fills.

    Without *flags* the option is called like the field.
    """

    def declare(name: str) -> Callable[[F], F]:
        return click.option(name, *(flags or (f"--{name.replace('_', '-')}",)), **attributes)

    return field(metadata={_DECLARATION: declare})


def takes(group: type) -> Callable[[F], F]:
    """Give a command the options that the fields of *group*, a dataclass, declare.

    The command gets one object of the class, under the class's name in small letters.
    """

    def decorate(command: F) -> F:
        @wraps(command)
        def collected(**given: Any) -> Any:
            values = {one.name: given.pop(one.name) for one in fields(group)}
            return command(**{group.__name__.lower(): group(**values)}, **given)

        declared: Callable[..., Any] = collected
        for one in reversed(fields(group)):
            declared = one.metadata[_DECLARATION](one.name)(declared)
        return cast("F", declared)

    return decorate


def as_json(command: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json", "json_", is_flag=True, help="Print JSON to standard output, and nothing else."
    )(command)


def duration(text: str) -> float:
    """Read a duration of the command line in seconds: ``90``, ``90s``, ``5m``, ``2h``, ``7d``.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        return seconds(float(text) if _is_number(text) else text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the runs are kept, and where the workers hear of them."""

    url: str | None = option(
        metavar="URL",
        help="Redis that keeps the runs.  [default: $GOSTAGE_REDIS_URL, else redis://localhost:6379/0]",
    )
    broker: str | None = option(
        metavar="URL",
        help="Celery's broker, where it is another one.  [default: $GOSTAGE_BROKER_URL]",
    )
    namespace: str | None = option(
        metavar="NAME",
        help="Namespace of the application.  [default: $GOSTAGE_NAMESPACE, else gostage]",
    )

    def settings(self, modules: tuple[str, ...] = (), **given: object) -> Settings:
        """Return the settings of the environment, with what the options say on top.

        *given* are more of them, from options of one command; ``None`` says nothing.

        Raises:
            ConfigurationError: one that does not fit.
        """
        settings = Settings.from_env(
            os.environ,
            redis_url=self.url,
            broker_url=self.broker,
            namespace=self.namespace,
            modules=modules or None,
            **given,
        )
        check_broker_url(settings)
        return settings

    def runner(self) -> Runner:
        """Return a runner whose server answers.

        Raises:
            ConfigurationError: a setting that does not fit, or a password that is refused.
            StoreUnavailableError: the server does not answer within seconds.
        """
        runner = Runner(settings=self.settings())
        reach(runner.settings.redis_url)
        return runner

    def again(self, *words: str) -> str:
        """Return the command ``gostage`` *words* as somebody would type it to get here again."""
        given = {
            "--url": None if self.url is None or _has_password(self.url) else self.url,
            "--namespace": self.namespace,
        }
        options = [part for name, value in given.items() if value for part in (name, value)]
        return shlex.join(["gostage", *words, *options])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_password(url: str) -> bool:
    return redacted(url) != url or not urlsplit(url).scheme
