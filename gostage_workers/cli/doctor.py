"""``gostage doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import click
from kombu.exceptions import OperationalError
from rich.text import Text

from gostage_core.broker.app import is_redis, producer_app
from gostage_core.errors import UnavailableError
from gostage_core.preflight import Finding, inspect_server
from gostage_core.settings import redacted
from gostage_core.state.client import our_errors
from gostage_core.state.operations import State
from gostage_workers.cli.options import Connection, as_json, takes
from gostage_workers.cli.output import data, show
from gostage_workers.cli.reach import reach
from gostage_workers.cli.statuses import FAILED, NOT_REACHABLE

if TYPE_CHECKING:
    from gostage_core.settings import Settings

_STYLES: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "refused": ("✗", "red")}


@click.command()
@takes(Connection)
@as_json
def doctor(connection: Connection, json_: bool) -> None:
    """Check the server that keeps the runs, and the workers.

    Says which settings of the server weaken a promise, and who is there to execute actions.

    Exit status: 0 when nothing is refused (there may be warnings), 1 when something is, 3 when
    the server or the broker cannot be reached.
    """
    settings = connection.settings()
    findings, reached = _examine(settings)
    if json_:
        server = {"url": redacted(settings.redis_url), "namespace": settings.namespace}
        data({**server, "findings": findings})
    else:
        show(_report(settings, findings))
    if not reached:
        raise click.exceptions.Exit(NOT_REACHABLE)
    if any(finding.level == "refused" for finding in findings):
        raise click.exceptions.Exit(FAILED)


def _examine(settings: Settings) -> tuple[list[Finding], bool]:
    """Return what was found, and whether every server answered."""
    state = State(settings)
    try:
        reach(settings.redis_url)
        findings = [*inspect_server(state), _workers(state)]
    except UnavailableError as error:
        return [Finding("refused", "server", str(error))], False
    broker = _broker(settings)
    if broker is None:
        return findings, True
    return [*findings, broker], broker.level == "ok"


def _workers(state: State) -> Finding:
    """Look who renews leases in this namespace."""
    with our_errors(url=state.settings.redis_url):
        alive = cast(
            "list[bytes]",
            state.client.zrangebyscore(state.keys.of("alive"), state.server_ms(), "+inf"),
        )
    names = sorted({process.decode().rsplit(".", 2)[0] for process in alive})
    if not names:
        return Finding("warning", "workers", "none; start one with: gostage worker MODULE")
    return Finding("ok", "workers", f"{len(names)}: {', '.join(names)}")


def _broker(settings: Settings) -> Finding | None:
    """Try to connect to the broker, where it is another server than the one of the runs."""
    url = settings.broker_url
    if url is None or url == settings.redis_url:
        return None
    try:
        if is_redis(url):
            reach(url)
        else:
            with producer_app(settings).connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=3)
    except UnavailableError as error:
        return Finding("refused", "broker", str(error))
    except (OperationalError, OSError) as error:
        return Finding("refused", "broker", f"{redacted(url)} does not answer: {error}")
    return Finding("ok", "broker", redacted(url))


def _report(settings: Settings, findings: list[Finding]) -> Text:
    lines = [Text(f"{redacted(settings.redis_url)}, namespace {settings.namespace}", "bold")]
    for finding in findings:
        mark, style = _STYLES[finding.level]
        line = Text(f"{mark} ", style).append(f"{finding.setting:<16}", "bold")
        lines.append(line.append(f"  {finding.message}", "default"))
    return Text("\n").join(lines)
